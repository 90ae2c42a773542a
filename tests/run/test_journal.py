"""Damaged journals: cut at any byte it opens; changed at any byte it opens or is refused in one line."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from support.examples import examples
from support.studies import open_study, run_trial

from tuner.errors import RunFolderError, UsageError
from tuner.run import Run
from tuner.run.csv_text import to_csv
from tuner.run.journal import mend_end, open_journal, trim_torn_line
from tuner.run.leaderboard import curves, leaderboard
from tuner.settings.space import SearchSpace

SPACE = SearchSpace.from_mapping(
    {
        "name": "small",
        "max_epochs": 9,
        "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
        "architectures": {"lstm": {}, "cnn_lstm": {"filters": {"int": [8, 32]}}},
        "baselines": [{"architecture": "lstm", "learning_rate": 1e-3}],
    },
    "small.yaml",
)
MANY = settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of five finished trials and one that runs."""
    journal = tmp_path_factory.mktemp("whole") / "study.journal"
    study = open_study(journal, SPACE)
    for accuracy in (0.5, 0.6, 0.7, 0.8, 0.9):
        run_trial(study, accuracy)
    study.space.suggest(study.ask())
    return journal


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_a_journal_cut_at_any_byte_loses_that_line_and_goes_on(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = whole.read_bytes()
    end = data.draw(st.integers(0, len(content)))
    journal = tmp_path / "study.journal"
    journal.write_bytes(content[:end])

    study = open_study(journal, SPACE)  # makes what a search that was killed early had not made yet
    study.requeue_interrupted_trials()
    run_trial(study, 0.8)

    mended = journal.read_bytes()
    assert mended.startswith(content[: content[:end].rfind(b"\n") + 1])
    board = leaderboard(Run(journal.parent).reader)
    assert (board["status"] == "complete").sum() >= content[:end].count(b'"state": 1, "values"') + 1


def read_all(journal: Path) -> None:
    """Everything that readers take from a journal."""
    reader = Run(journal.parent).reader
    to_csv(leaderboard(reader))
    to_csv(curves(reader))


@contextmanager
def read_or_refused_in_one_line() -> Iterator[None]:
    message = ""
    try:
        yield
    except UsageError as error:
        message = str(error)
    assert "\n" not in message


@MANY
@given(data=st.data())
def test_a_journal_hit_at_any_byte_is_read_or_refused_in_one_line(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    journal = tmp_path / "study.journal"
    journal.write_bytes(content)
    with read_or_refused_in_one_line():
        read_all(journal)
    assert journal.read_bytes() == content


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_a_journal_that_lost_or_doubled_lines_is_read_or_refused_in_one_line(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    lines = whole.read_bytes().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at : at + 1] = data.draw(st.sampled_from([[], [lines[at]] * 2, [b"{}\n"], [b"[]\n"]]))
    journal = tmp_path / "study.journal"
    journal.write_bytes(b"".join(lines))
    with read_or_refused_in_one_line():
        read_all(journal)
        run_trial(open_study(journal, SPACE), 0.8)


def test_a_journal_damaged_in_its_first_line_is_not_to_be_cut_to_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    journal.write_bytes(b"no json\n{}\n")
    with pytest.raises(RunFolderError, match=r"line 1 is damaged .* search again under another"):
        open_study(journal, SPACE)


def test_the_remedy_for_a_damaged_journal_works(whole: Path, tmp_path: Path) -> None:
    journal = Path(shutil.copy(whole, tmp_path))
    lines = journal.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    journal.write_bytes(b"".join([*lines[:half], b"damaged\n", *lines[half:]]))
    with pytest.raises(RunFolderError, match="keep what stands before") as refused:
        open_study(journal, SPACE)
    subprocess.run(str(refused.value).partition("before: ")[2], shell=True, check=True)
    assert journal.read_bytes() == b"".join(lines[:half])
    open_study(journal, SPACE)


def test_a_journal_of_another_study_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    storage = JournalStorage(JournalFileBackend(str(journal)))
    optuna.create_study(storage=storage, study_name="foreign")
    before = journal.read_bytes()
    with pytest.raises(RunFolderError, match="holds no study of tuner"):
        open_study(journal, SPACE)
    assert journal.read_bytes() == before


@pytest.mark.parametrize("line", [7, -1])
def test_a_damaged_line_is_named_with_the_remedy_and_left_as_it_is(
    whole: Path, tmp_path: Path, line: int
) -> None:
    lines = whole.read_bytes().splitlines(keepends=True)
    number = line if line > 0 else len(lines)
    lines[number - 1] = lines[number - 1].replace(b"{", b"(", 1)
    journal = tmp_path / "study.journal"
    journal.write_bytes(b"".join(lines))

    with pytest.raises(
        RunFolderError,
        match=rf"journal: line {number} is damaged .*restore .*head -n {number - 1} ",
    ):
        open_study(journal, SPACE)

    assert journal.read_bytes() == b"".join(lines)


def test_a_journal_whose_study_is_gone_is_refused_not_begun_anew(
    whole: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    deletes = b'{"op_code": 1, "worker_id": "x", "study_id": 0}\n'
    journal.write_bytes(whole.read_bytes() + deletes)
    with pytest.raises(RunFolderError, match="holds no study of tuner"):
        open_study(journal, SPACE)


def test_a_torn_last_line_is_removed_and_nothing_else(whole: Path, tmp_path: Path) -> None:
    journal = Path(shutil.copy(whole, tmp_path))
    torn_line = b'{"op_code": 6, "worker_id": "x'
    with open(journal, "ab") as file:
        file.write(torn_line)
    assert trim_torn_line(journal) == len(torn_line)
    assert journal.read_bytes() == whole.read_bytes()
    assert trim_torn_line(journal) == 0


def test_a_torn_journal_is_continued_as_if_it_were_whole(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    run_trial(open_study(journal, SPACE), 0.8)
    with open(journal, "ab") as file:
        file.write(b'{"op_code": 6, "worker_id": "x')
    run_trial(open_study(journal, SPACE), 0.9)
    assert [trial.value for trial in Run(journal.parent).study.trials] == [0.8, 0.9]


def test_optuna_still_passes_over_a_damaged_last_line(whole: Path, tmp_path: Path) -> None:
    """When it does no more, `mend_end` need not look at it."""
    journal = Path(shutil.copy(whole, tmp_path))
    with open(journal, "ab") as file:
        file.write(b"damaged\n")
    open_journal(journal)
    with pytest.raises(RunFolderError, match="is damaged"):
        mend_end(journal)
