"""A run: its journal is opened once, read on, and opened anew only where another file took its place."""

import shutil
from pathlib import Path

import optuna
import pytest
from support.studies import open_study, run_trial

from tuner.errors import RunFolderError
from tuner.run import Run
from tuner.run.journal import CONFIRMATION
from tuner.settings.space import SearchSpace


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "x" / "study.journal"


def test_a_run_reads_entries_that_were_appended_since(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    run_trial(study, 0.5)
    run = Run(journal.parent)
    assert len(run.leaderboard()) == 1
    storage = run.storage
    run_trial(study, 0.6)
    assert len(run.leaderboard()) == len(run.curves()) == 2
    assert run.best is not None
    assert run.best.number == 1
    assert run.storage is storage


def test_both_studies_are_read_from_one_storage(journal: Path, space: SearchSpace) -> None:
    open_study(journal, space)
    run = Run(journal.parent)
    assert run.confirmation is None
    optuna.create_study(storage=run.storage, study_name=CONFIRMATION)
    assert run.confirmation is not None
    assert run.confirmation.study_name == CONFIRMATION
    assert run.study.user_attrs["space"] == space.to_mapping()


def test_a_run_that_is_opened_for_reading_refuses_changes(
    journal: Path, space: SearchSpace
) -> None:
    open_study(journal, space)
    run = Run(journal.parent, read_only=True)
    with pytest.raises(RunFolderError, match="was opened for reading only"):
        run.study.set_user_attr("mine", 1)


def test_a_journal_that_was_replaced_is_read_anew(
    journal: Path, space: SearchSpace, tmp_path: Path
) -> None:
    run_trial(open_study(journal, space), 0.5)
    run = Run(journal.parent)
    assert run.reader.records()
    storage = run.storage
    run.reopen_if_replaced()
    assert run.storage is storage
    shutil.copytree(journal.parent, tmp_path / "elsewhere")
    run_trial(open_study(tmp_path / "elsewhere" / "study.journal", space), 0.9)
    (tmp_path / "elsewhere" / "study.journal").replace(journal)
    run.reopen_if_replaced()
    assert [record.score for record in run.reader.records()] == [0.5, 0.9]


def test_a_journal_of_a_foreign_study_is_refused(journal: Path) -> None:
    journal.parent.mkdir()
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(journal))
    )
    optuna.create_study(storage=storage, study_name="mine")
    with pytest.raises(RunFolderError, match="holds no study of tuner; search again under another"):
        Run(journal.parent).study  # noqa: B018 - opened when it is asked for
