"""Word vectors of a person's own: every form is read alike, and what is broken is refused in one line."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from tuner.data import SPECIAL_TOKENS, load_dataset
from tuner.data.vectors import digest_of, read_vectors
from tuner.errors import ConfigError, DataError, RunFolderError
from tuner.run.folder import RunFolder
from tuner.run.run_file import check_same_search, read_run_file, write_run_file
from tuner.settings.builtin import find_space
from tuner.settings.config import make_config
from tuner.settings.embeddings import starting_from_vectors
from tuner.settings.space import SearchSpace

VOCABULARY = (*SPECIAL_TOKENS, "the", "naïve", "film")
GLOVE = "film 1 2\nunheard 5 6\nnaïve -0.5 1e-3\nfilm 9 9\n"


@pytest.mark.parametrize(
    "content",
    [
        GLOVE.encode(),
        b"4 2\n" + GLOVE.encode(),
        (b"4 2\n" + GLOVE.encode()).replace(b"\n", b" \r\n"),
        gzip.compress(GLOVE.encode(), mtime=0),
        bz2.compress(GLOVE.encode()),
        lzma.compress(GLOVE.encode()),
        GLOVE.encode("utf-8-sig"),
    ],
    ids=["glove", "word2vec", "fasttext", "gzip", "bzip2", "xz", "byte order mark"],
)
def test_every_form_gives_the_same_vectors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.txt").write_bytes(content)
    vectors = read_vectors(str(tmp_path / "v.txt"), VOCABULARY)
    assert vectors.size == 2
    assert vectors.ids.tolist() == [5, 4]  # the first of two lines of a word
    np.testing.assert_allclose(vectors.values, [[1, 2], [-0.5, 1e-3]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"film\n", "line 1 must be a word and its values, or"),
        pytest.param(b"2 " + b"9" * 5000, "none of its words is in the data", id="many digits"),
        (b"", "none of its words is in the data; name vectors of this language"),
        (b"Film 1 2\n", "none of its words is in the data; .* and of lower case"),
        (b"the 1 2\nfilm 1\n", "line 2: must have 2 values, as the first line says, got 1"),
        (b"the 1 2\nfilm 1 x\n", "line 2: could not convert .*; the values of a word must be num"),
        (b"the 1 nan\n", "line 1: has a value that is not finite"),
        (b"the 1 1e39\n", "line 1: has a value that is not finite"),  # as the 32 bits that it gets
        (b"4 2\nfilm \0\1\2\n", "is no text; save word2vec's binary form as text first"),
        (gzip.compress(GLOVE.encode(), mtime=0)[:-9], "name a file of word vectors"),
        (bz2.compress(GLOVE.encode())[:-9], "name a file of word vectors"),
        (GLOVE.encode("utf-16"), "is text in UTF-16; save it as UTF-8"),
        (
            b"PK\x03\x04glove",
            "is a ZIP archive, not word vectors as text; unpack it and name a file in",
        ),
        (b"\x80\4kv", "is a Python pickle, not word vectors as text; save the vectors as text"),
        (None, "no such file; name a file of word vectors"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "v.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"v\.txt: .*{message}") as refused:
        read_vectors(str(path), VOCABULARY)
    assert "\n" not in str(refused.value)


def test_the_embedding_has_the_size_of_the_vectors_in_every_architecture_and_baseline() -> None:
    space = starting_from_vectors(find_space("imdb"), 300)
    sizes = {space.parameters(each)["embedding_size"] for each in space.architectures}
    assert sizes == {300}
    assert {baseline["embedding_size"] for baseline in space.baselines} == {300}
    assert starting_from_vectors(space, 300) == space  # as when the run is continued
    own = SearchSpace.from_mapping(
        {"name": "own", "architectures": {"lstm": {"embedding_size": 8}}}, "own"
    )
    assert starting_from_vectors(own, 50).parameters("lstm") == {"embedding_size": 50}
    mine = SearchSpace.from_mapping({"name": "mine", "architectures": {"a.b:c": {}}}, "mine")
    with pytest.raises(ConfigError, match=r"^vectors: a\.b:c builds an embedding of its own"):
        starting_from_vectors(mine, 50)


def test_the_vectors_are_a_part_of_what_makes_a_run_the_same(
    tmp_path: Path, sentences: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.txt"
    path.write_text("good 1 2\n")
    monkeypatch.chdir(tmp_path)
    given = {"space": space, "data": {"source": str(sentences)}, "out": str(tmp_path)}
    plain = make_config(given)
    config = make_config({**given, "data": {"source": str(sentences), "vectors": "v.txt"}})
    dataset = load_dataset(config.data)
    assert dataset.vectors is not None
    assert dataset.fingerprint == load_dataset(config.data.without_vectors).fingerprint
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    write_run_file(folder, config, dataset.fingerprint)
    recorded = read_run_file(folder)
    assert recorded.config.data.vectors == str(path)
    assert recorded.fingerprint is not None
    assert recorded.fingerprint.vectors == digest_of("v.txt")
    check_same_search(folder, config, dataset.fingerprint)
    with pytest.raises(RunFolderError, match="belongs to a search with other word vectors"):
        check_same_search(folder, plain, dataset.fingerprint)
    path.write_text("good 1 2.5\n")
    with pytest.raises(RunFolderError, match="belongs to a search with other word vectors"):
        check_same_search(folder, config, dataset.fingerprint)
