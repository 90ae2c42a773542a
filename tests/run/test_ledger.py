"""The ledger of test evaluations: what it tells of other runs, and how little it takes for it to go on without it."""

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tuner.run.ledger import Entry, Ledger, make_entry, others_text


def texts(numbers: Sequence[int]) -> list[bytes]:
    return [hashlib.blake2b(bytes(f"{n}", "ascii"), digest_size=16).digest() for n in numbers]


def entry(run: str = "mine", numbers: Sequence[int] = range(300), opened: str = "2026") -> Entry:
    return make_entry(run, "then", opened, texts(numbers))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "cache" / "ledger.jsonl")


def others(ledger: Ledger, asked: Entry) -> list[str]:
    return [each.run for each in ledger.of_other_runs(asked)]


def test_evaluations_of_other_runs_on_the_same_rows_are_known(ledger: Ledger) -> None:
    for run, numbers in (
        ("mine", range(300)),
        ("same", range(299, -1, -1)),
        ("sample", range(0, 300, 10)),
        ("elsewhere", range(1000, 1300)),
    ):
        ledger.record(entry(run, numbers))
    assert others(ledger, entry()) == ["same", "sample"]
    assert others(ledger, entry("sample", range(0, 300, 10))) == ["mine", "same"]
    assert others(ledger, entry("new", range(1000, 1300))) == ["elsewhere"]


def test_a_sample_is_recognized_in_a_large_split_and_a_text_in_common_is_not(
    ledger: Ledger,
) -> None:
    ledger.record(entry("all", range(4000)))
    for start in range(0, 4000, 400):
        assert others(ledger, entry("sample", range(start, start + 400))) == ["all"]
    ledger.record(entry("alike", [0, *range(9000, 9300)]))
    assert others(ledger, entry("mine", range(300))) == ["all"]


def test_runs_of_one_name_are_told_apart_and_copies_are_not(ledger: Ledger) -> None:
    ledger.record(entry())
    assert others(ledger, entry()) == []
    assert others(ledger, entry().model_copy(update={"created": "later"})) == ["mine"]
    renamed = entry("renamed")
    assert ledger.of_other_runs(renamed, own=["2026"]) == ()  # its own test log has that evaluation


def test_lines_that_cannot_be_read_are_skipped(ledger: Ledger) -> None:
    assert ledger.entries() == []
    ledger.record(entry("first"))
    assert ledger.path is not None
    with open(ledger.path, "ab") as file:
        file.write(b'\xff\x00{"run": 5}\n[]\n{"run": "cut o')
    ledger.record(entry("second"))
    assert [each.run for each in ledger.entries()] == ["first", "second"]


def test_processes_that_record_at_the_same_time_are_all_recorded(ledger: Ledger) -> None:
    runs = [f"run-{number}" for number in range(24)]
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(ledger.record, map(entry, runs)))
    assert sorted(each.run for each in ledger.entries()) == sorted(runs)


def test_a_ledger_that_cannot_be_written_is_told_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "ledger", tmp_path):  # no folder, and a folder in its place
        ledger = Ledger(path)
        caplog.clear()
        ledger.record(entry())
        assert "other runs will not know of this test evaluation" in caplog.text
        assert ledger.entries() == []


def test_whoever_has_no_place_for_a_ledger_goes_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> Path:
        raise PermissionError("/tmp/tuner-5 is not this user's folder; remove it")

    monkeypatch.setattr("tuner.run.ledger.cache_root", refuse)
    with caplog.at_level(logging.WARNING):
        ledger = Ledger.of_user()
    assert "/tmp/tuner-5 is not this user's folder" in caplog.text
    ledger.record(entry())
    assert ledger.of_other_runs(entry()) == ()


def test_others_are_told_in_one_sentence(ledger: Ledger) -> None:
    assert others_text(()) == ""
    for number, run in enumerate(["a", "b", "b", "c", "d"]):
        ledger.record(entry(run, opened=f"2026-11-0{number + 1}"))
    told = others_text(ledger.of_other_runs(entry()))
    assert "evaluated 5 times by other runs of yours (a, b, c, …), first on 2026-11-01:" in told
