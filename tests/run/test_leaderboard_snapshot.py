"""A long leaderboard is read from `leaderboard.csv`, but only while that agrees with the study."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest
from support.studies import metrics, open_study, run_trial

from tuner.execution.run_files import LeaderboardFiles
from tuner.run import Run
from tuner.run import leaderboard_snapshot as snapshot
from tuner.run.csv_text import write_csv
from tuner.run.folder import RunFolder
from tuner.run.journal import CONFIRMATION, SEARCH, open_journal, study_in
from tuner.run.leaderboard import RANKED, leaderboard
from tuner.run.leaderboard_snapshot import point_of, read_snapshot, write_note
from tuner.run.records import StudyReader
from tuner.run.score_errors import ValidationRows
from tuner.run.trial_status import TrialStatus
from tuner.search.study import SearchStudy
from tuner.settings.objectives import Cost
from tuner.settings.space import SearchSpace


@pytest.fixture(autouse=True)
def short_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_LEAST_ROWS", 1)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "x")


@pytest.fixture
def study(folder: RunFolder, space: SearchSpace) -> SearchStudy:
    """Trials of every kind, with empty cells and with texts that the CSV shows changed."""
    study = open_study(folder.journal, space)
    for number in range(6):
        run_trial(study, 0.5 + number / 10)
    run_trial(study, 0.4, status=TrialStatus.FAILED)
    for error in ('=1+1, "x"\n\x1b[2J', "cannot open caf\udce9.npy", "", "NA", "one\r\ntwo\rthree"):
        trial = study.ask()
        space.suggest(trial)
        study.finish(trial, TrialStatus.FAILED, error)
    write(folder)
    return study


def write(folder: RunFolder) -> None:
    """Writes the files as a search does."""
    study = study_in(open_journal(folder.journal), SEARCH)
    assert study is not None
    reader = StudyReader(study)
    LeaderboardFiles(folder, reader, lambda: 0.0).write()


def replayed(folder: RunFolder) -> pd.DataFrame:
    return leaderboard(Run(folder.path).reader)


@pytest.fixture
def no_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal must not be replayed."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("replayed")

    monkeypatch.setattr(Run, "reader", property(refuse))


def test_a_snapshot_is_the_leaderboard_of_the_study(folder: RunFolder, study: SearchStudy) -> None:
    read = read_snapshot(folder)
    assert read is not None
    pd.testing.assert_frame_equal(read.board, replayed(folder), check_exact=True)
    assert [list(read.board[name]) for name in ("error", "host")] == [
        list(replayed(folder)[name]) for name in ("error", "host")
    ]
    assert read.board.attrs == replayed(folder).attrs == {RANKED: 6}
    assert read.space == study.space


def test_a_run_with_a_snapshot_is_not_replayed(
    folder: RunFolder, study: SearchStudy, no_replay: None
) -> None:
    run = Run(folder.path)
    assert len(run.leaderboard()) == 12
    assert run.space == study.space


def test_the_objectives_and_the_front_are_in_it(
    folder: RunFolder, space: SearchSpace, no_replay: None
) -> None:
    study = open_study(folder.journal, space, cost=Cost.WEIGHTS)
    for accuracy, weights in ((0.7, 10), (0.8, 30), (0.6, 20)):
        run_trial(study, accuracy, weights=weights)
    write(folder)
    run = Run(folder.path)
    board = run.leaderboard()
    assert list(board["pareto"]) == [True, True, False]
    assert run.objectives == study.objectives


def test_parts_of_the_rows_are_in_it(
    folder: RunFolder, study: SearchStudy, no_replay: None
) -> None:
    ValidationRows(100, parts=4).record(study.study)
    write(folder)
    read = read_snapshot(folder)
    assert read is not None
    assert read.board.columns[-1] == "part"


def test_entries_about_other_things_leave_the_snapshot_valid(
    folder: RunFolder, study: SearchStudy
) -> None:
    study.record_seconds(99.0)
    other = optuna.create_study(storage=open_journal(folder.journal), study_name=CONFIRMATION)
    other.set_user_attr("space", study.space.to_mapping())
    trial = other.ask()
    study.space.suggest(trial)
    trial.report(0.5, 1)
    other.tell(trial, 0.5)
    assert read_snapshot(folder) is not None
    write(folder)  # now there are trials of two studies before it
    again = other.ask()
    again.set_user_attr("a", 1)
    trial_before = read_snapshot(folder)
    assert trial_before is not None
    pd.testing.assert_frame_equal(trial_before.board, replayed(folder), check_exact=True)


def _another_trial(study: SearchStudy) -> None:
    run_trial(study, 0.99)


def _another_epoch(study: SearchStudy) -> None:
    trial = study.study._storage.get_all_trials(study.study._study_id)[12]
    study.study._storage.set_trial_user_attr(trial._trial_id, "epoch:1", metrics(0.99))


def _another_space(study: SearchStudy) -> None:
    study.study.set_user_attr("space", {**study.space.to_mapping(), "description": "other"})


@pytest.mark.parametrize("change", [_another_trial, _another_epoch, _another_space])
def test_entries_about_trials_make_the_snapshot_invalid(
    folder: RunFolder, study: SearchStudy, change: Callable[[SearchStudy], None]
) -> None:
    trial = study.ask()
    study.space.suggest(trial)
    write(folder)
    assert read_snapshot(folder) is not None
    change(study)
    assert read_snapshot(folder) is None
    pd.testing.assert_frame_equal(Run(folder.path).leaderboard(), replayed(folder))


def test_numbers_of_a_study_that_is_gone_do_not_hide_a_trials_end(
    folder: RunFolder, study: SearchStudy
) -> None:
    """A widening that was killed leaves a study that is deleted, and the numbers of its trials."""
    storage = open_journal(folder.journal)
    half = optuna.create_study(storage=storage, study_name="half")
    for _ in range(30):
        half.ask()
    optuna.delete_study(study_name="half", storage=storage)
    trial = study.ask()
    study.space.suggest(trial)
    write(folder)
    assert read_snapshot(folder) is not None
    study.finish(trial, TrialStatus.FAILED, "broken")
    assert read_snapshot(folder) is None


def test_another_journal_makes_the_snapshot_invalid(
    folder: RunFolder, study: SearchStudy, tmp_path: Path
) -> None:
    content = folder.journal.read_bytes()
    folder.journal.write_bytes(content[:-1])
    assert read_snapshot(folder) is None
    folder.journal.write_bytes(content.replace(b'"val_accuracy":0.9', b'"val_accuracy":0.8'))
    assert read_snapshot(folder) is None
    folder.journal.write_bytes(content)
    assert read_snapshot(folder) is not None


def test_half_an_entry_that_is_being_written_changes_nothing(
    folder: RunFolder, study: SearchStudy
) -> None:
    with open(folder.journal, "ab") as journal:
        journal.write(b'{"op_code":4,"study')
    assert read_snapshot(folder) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b"\xff", b"[" * 100_000])
def test_a_damaged_note_is_passed_over(
    folder: RunFolder, study: SearchStudy, content: bytes
) -> None:
    folder.leaderboard_note.write_bytes(content)
    assert read_snapshot(folder) is None
    assert len(Run(folder.path).leaderboard()) == 12


def test_a_csv_that_the_note_is_not_about_is_not_shown(
    folder: RunFolder, study: SearchStudy
) -> None:
    written = folder.leaderboard.read_bytes()
    folder.leaderboard.write_bytes(written.replace(b"0.9", b"0.8"))
    assert read_snapshot(folder) is None
    folder.leaderboard.unlink()
    assert read_snapshot(folder) is None
    folder.leaderboard.write_bytes(written)
    assert read_snapshot(folder) is not None


def test_a_note_of_another_format_is_passed_over(
    folder: RunFolder, study: SearchStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_FORMAT", 3)
    assert read_snapshot(folder) is None


def test_a_column_of_several_types_makes_no_note(folder: RunFolder, study: SearchStudy) -> None:
    folder.leaderboard_note.unlink()
    reader = Run(folder.path).reader
    board = leaderboard(reader)
    board["lstm_units"] = [*range(11), "many"]
    write_note(board, reader, point_of(reader, folder.journal), folder)
    assert not folder.leaderboard_note.exists()


def test_floats_are_read_exactly(folder: RunFolder, study: SearchStudy) -> None:
    reader = Run(folder.path).reader
    board = leaderboard(reader)
    rates = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1 / 3, 2**-1074 * 3, -0.0]
    board["learning_rate"] = pd.Series([*rates, *[None] * 6], dtype="Float64")
    write_csv(board, folder.leaderboard)
    write_note(board, reader, point_of(reader, folder.journal), folder)
    read = read_snapshot(folder)
    assert read is not None
    assert list(read.board["learning_rate"][:6]) == rates


def test_a_short_leaderboard_has_no_note(
    folder: RunFolder, study: SearchStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.leaderboard_note.unlink()
    monkeypatch.setattr(snapshot, "_LEAST_ROWS", 13)
    write(folder)
    assert not folder.leaderboard_note.exists()
