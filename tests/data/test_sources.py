"""Named data sets and files as sources: which exist, what is downloaded, what is refused."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tuner.data import SOURCES, Dataset, Split, imdb, load_dataset, summarize
from tuner.errors import DataError
from tuner.settings.data import SOURCE_NAMES, DataConfig, TokenMode


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("imdb_train", "^'imdb_train': there is no data set.*did you mean imdb-train"),
        ("rotten", "did you mean rotten-tomatoes.*imdb-train, rotten-tomatoes, imdb or a path"),
        ("qqqq", "of this name; write imdb-train"),
        ("no/such.csv", "^no/such.csv: there is no such file"),
        ("~nobody-of-this-name/a.csv", "there is no such file"),
        ("a" * 5000, "there is no data set or file"),
        ("two\nlines\0.csv", "there is no such file"),
        ("", "got a folder"),
        (os.curdir, "got a folder"),
    ],
)
def test_a_source_that_does_not_exist_is_refused_in_one_line(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        load_dataset(DataConfig(source=source))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("column", ["text_column", "label_column", "group_column"])
def test_a_named_source_has_no_columns_to_choose(column: str) -> None:
    with pytest.raises(DataError, match=r"imdb-train: a named data set has no columns.*'review'"):
        load_dataset(DataConfig.model_validate({"source": "imdb-train", column: "review"}))


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, tuner.data; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    heavy = {"pandas", "pyarrow", "pooch", "requests", "keras", "tensorflow", "ray", "optuna"}
    assert heavy.isdisjoint(loaded)


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def imdb_train(shared_cache: Path) -> Dataset:
    return load_dataset(DataConfig(), cache_folder=shared_cache)


@pytest.mark.slow
def test_imdb_train_is_the_25_000_reviews_without_network(imdb_train: Dataset) -> None:
    rows = np.concatenate([part.labels for part in imdb_train.splits.values()])
    assert Counter(rows.tolist()) == {0: 12_500, 1: 12_500}
    assert imdb_train.class_names == ("negative", "positive")
    assert imdb_train.vocabulary[3:6] == ("the", "and", "a")
    assert len(imdb_train.splits[Split.TRAIN]) == pytest.approx(17_500, abs=25)


@pytest.mark.slow
def test_no_copy_of_an_imdb_review_is_in_another_split(
    imdb_train: Dataset, shared_cache: Path
) -> None:
    seen = {
        split: {
            part.tokens[a:b].tobytes() for a, b in zip(part.offsets, part.offsets[1:], strict=False)
        }
        for split, part in imdb_train.splits.items()
    }
    assert sum(map(len, seen.values())) == len(set.union(*seen.values()))
    found = summarize(DataConfig(), cache_folder=shared_cache).findings
    assert (found.duplicates, found.leaked, found.rows_available) == (98, 0, 25_000)


def test_rotten_tomatoes_is_8_530_sentences() -> None:
    summary = summarize(DataConfig(source="rotten-tomatoes"))
    assert summary.rows == 8_530
    assert summary.lengths.longest < 60


# The official IMDB files, as a server on this machine has them.

_WORD_INDEX = {f"word{i}": i for i in range(1, 50)} | {"the": 50, "next\x85line": 51}


def _write_release(folder: Path) -> None:
    reviews = np.empty(40, dtype=object)
    reviews[:] = [[50, 51, 1 + i] for i in range(40)]
    sentiments = np.arange(40) % 2
    arrays = {
        "x_train": reviews,
        "y_train": sentiments,
        "x_test": reviews[:4],
        "y_test": sentiments[:4],
    }
    np.savez(folder / "imdb.npz", **arrays, allow_pickle=True)
    (folder / "words.json").write_text(json.dumps(_WORD_INDEX))


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder with a tiny release, and the URL under which it is served."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "server"
    folder.mkdir()
    _write_release(folder)
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _release(folder: Path, url: str) -> imdb.Release:
    def of(name: str, algorithm: str) -> imdb.Download:
        digest = hashlib.new(algorithm, (folder / name).read_bytes()).hexdigest()
        return imdb.Download(f"{url}/{name}", f"{algorithm}:{digest}", name)

    return imdb.Release(of("imdb.npz", "sha256"), of("words.json", "md5"))


def _load_imdb() -> Dataset:
    return load_dataset(DataConfig(source="imdb"))


def test_imdb_is_downloaded_once_and_keeps_its_test_set(
    served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, url = served
    monkeypatch.setattr(imdb, "OFFICIAL", _release(folder, url))
    dataset = _load_imdb()
    assert dataset.vocabulary[3:5] == ("next\x85line", "the")
    assert [len(part) for part in dataset.splits.values()] == [32, 4, 4, 4]
    assert dataset.splits[Split.TEST].labels.tolist().count(1) == 2
    for file in folder.iterdir():
        file.unlink()
    again = load_dataset(DataConfig(source="imdb", seed=1))  # another seed: not from the data cache
    assert again.fingerprint != dataset.fingerprint
    assert capfd.readouterr() == ("", "")


def test_imdb_is_read_as_words_alone() -> None:
    with pytest.raises(DataError, match="imdb: is read as words, got --tokens characters; leave"):
        load_dataset(DataConfig(source="imdb", tokens=TokenMode.CHARACTERS))


def test_imdb_that_is_swapped_after_its_hash_was_checked_is_not_unpickled(
    served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, url = served
    monkeypatch.setattr(imdb, "OFFICIAL", _release(folder, url))
    swapped = tmp_path / "imdb.npz"
    monkeypatch.setattr("pooch.retrieve", lambda *given, **more: swapped)
    swapped.write_bytes(b"a pickle of somebody else")
    with pytest.raises(DataError, match=r"imdb\.npz was changed while it was read; remove it"):
        imdb.read_imdb(imdb.OFFICIAL, tmp_path)


def _with_wrong_hash(folder: Path, url: str) -> imdb.Release:
    right = _release(folder, url)
    return imdb.Release(
        imdb.Download(right.reviews.url, "sha256:" + "0" * 64, "imdb.npz"), right.word_index
    )


def _without_files(folder: Path, url: str) -> imdb.Release:
    right = _release(folder, url)
    (folder / "imdb.npz").unlink()
    return right


def _without_server(folder: Path, _: str) -> imdb.Release:
    return _release(folder, "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("release", "reason"),
    [
        (_with_wrong_hash, "the hash differs"),
        (_without_files, "the server answered 404"),
        (_without_server, "ConnectionError"),
    ],
)
def test_a_failed_download_is_one_line_that_names_offline_data(
    served: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    own_cache: Path,
    release: Callable[[Path, str], imdb.Release],
    reason: str,
) -> None:
    monkeypatch.setattr(imdb, "OFFICIAL", release(*served))
    message = rf"imdb: http://.* \(.*{reason}\).* imdb-train or rotten-tomatoes, which work offline"
    with pytest.raises(DataError, match=message) as refused:
        _load_imdb()
    assert "\n" not in str(refused.value)
    assert not list(own_cache.rglob("*.npz"))


def test_a_server_that_never_answers_is_given_up(
    served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(imdb, "_READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(_QuietHandler, "do_GET", lambda _: answered.wait(10))
    monkeypatch.setattr(imdb, "OFFICIAL", _release(*served))
    with pytest.raises(DataError, match=r"\(ReadTimeout\)"):
        _load_imdb()
    answered.set()


def test_every_named_source_has_a_summary() -> None:
    assert tuple(SOURCES) == SOURCE_NAMES == ("imdb-train", "rotten-tomatoes", "imdb")
    assert [source.is_offline for source in SOURCES.values()] == [True, True, False]
    assert all(source.summary for source in SOURCES.values())
