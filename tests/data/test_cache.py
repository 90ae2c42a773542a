"""The cache of prepared data sets: what is read from it, and when an entry is made again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.data import Dataset, Split, load, load_dataset
from tuner.settings.data import DataConfig, TokenMode

WriteCsv = Callable[..., str]


@pytest.fixture
def source(write_csv: WriteCsv, forty_rows: list[tuple[str, str]]) -> str:
    return write_csv(forty_rows)


@pytest.fixture
def never_prepared(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After its call, a data set that is not in the cache is a failure."""

    def forbid() -> None:
        monkeypatch.setattr(load, "_prepare", lambda *_: pytest.fail("not from the cache"))

    return forbid


def _entries(cache: Path) -> list[Path]:
    return sorted((cache / "data").iterdir())


def _same(one: Dataset, other: Dataset) -> bool:
    return (one.name, one.fingerprint, one.class_names, one.vocabulary) == (
        other.name, other.fingerprint, other.class_names, other.vocabulary,
    ) and all(
        getattr(one.splits[split], array).tobytes() == getattr(other.splits[split], array).tobytes()
        and getattr(one.splits[split], array).dtype == getattr(other.splits[split], array).dtype
        for split in Split
        for array in ("tokens", "offsets", "labels")
    ) and all((one.clusters[split] == other.clusters[split]).all() for split in Split)  # fmt: skip


def test_the_second_load_is_the_first_from_disk(
    source: str, own_cache: Path, never_prepared: Callable[[], None]
) -> None:
    first = load_dataset(DataConfig(source=source))
    assert [path.suffix for path in _entries(own_cache)] == [".json", ".npz"]
    never_prepared()
    assert _same(load_dataset(DataConfig(source=source)), first)


def test_a_moved_file_is_still_cached_and_has_its_new_name(
    source: str, never_prepared: Callable[[], None]
) -> None:
    first = load_dataset(DataConfig(source=source))
    moved = Path(source).rename(Path(source).with_name("moved.csv"))
    never_prepared()
    second = load_dataset(DataConfig(source=str(moved)))
    assert (first.name, second.name) == ("rows.csv", "moved.csv")
    assert first.fingerprint == second.fingerprint


def test_a_warning_about_the_rows_is_shown_again_where_they_come_from_the_cache(
    tmp_path: Path, never_prepared: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "glue.tsv"
    rows = "".join(f"{number % 2}\tday {number}\n" for number in range(40))
    source.write_text(f'label\ttext\n{rows}1\t"so good\n0\tbad"\n')
    for _ in range(2):
        caplog.clear()
        load_dataset(DataConfig(source=str(source)))
        assert f"{source}: lines 42 to 43 are one row" in caplog.text
        never_prepared()


def test_other_settings_and_other_content_are_other_entries(source: str, own_cache: Path) -> None:
    plain = DataConfig(source=source)
    for other in ({}, {"seed": 1}, {"tokens": TokenMode.CHARACTERS}, {"sample": 20}):
        load_dataset(plain.model_copy(update=other))
    assert len(_entries(own_cache)) == 2 * 4
    with open(source, "a") as file:
        file.write("another,pos\n")
    load_dataset(plain)
    assert len(_entries(own_cache)) == 2 * 5


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "removed", "list"])
def test_a_damaged_entry_is_made_again(
    source: str, own_cache: Path, suffix: str, damage: str
) -> None:
    first = load_dataset(DataConfig(source=source))
    entry = next(path for path in _entries(own_cache) if path.suffix == suffix)
    content = entry.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    if damage == "removed":
        entry.unlink()
    else:
        damaged = {"empty": b"", "cut": content[:middle], "flipped": flipped, "list": b"[1]"}
        entry.write_bytes(damaged[damage])
    assert _same(load_dataset(DataConfig(source=source)), first)
    assert entry.read_bytes() == content


def test_nothing_half_written_is_left_behind(
    source: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    dataset = load_dataset(DataConfig(source=source))
    assert len(dataset.class_names) == 2
    assert _entries(own_cache) == []
    assert "cannot be written: [Errno 28] No space left" in caplog.text


def test_the_cache_lies_in_the_folder_that_was_given(
    source: str, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_dataset(DataConfig(source=source), cache_folder=tmp_path / "given")
    assert _entries(tmp_path / "given")
    assert not own_cache.exists()
    monkeypatch.delenv("TUNER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    load_dataset(DataConfig(source=source))
    assert list((tmp_path / "user").rglob("tuner/data/*.npz"))
