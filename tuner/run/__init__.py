"""A run as it lies on disk, read: `Run` opens its files, each at most once.

Must not import `training`, `search`, `tracking` or any room above them, nor Ray or Keras.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.run.folder import RunFolder

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    from optuna.storages import JournalStorage

    from tuner.run.ensemble import EnsembleRecord
    from tuner.run.leaderboard_snapshot import Snapshot
    from tuner.run.records import StudyReader, TrialRecord
    from tuner.run.reference_record import ReferenceRecord
    from tuner.run.run_file import RunFile
    from tuner.settings.objectives import Objectives
    from tuner.settings.space import SearchSpace


class Run:
    """One search's outcome, read from its run folder; also while the search still runs.

    The journal is opened when it is first needed; later reads take what was appended since. A command makes one `Run`
    and hands it on.

    Args:
        path: the run folder.
        read_only: whether to refuse changes of the studies.

    Raises:
        RunFolderError: no run folder there.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        self.files = RunFolder.existing(path)
        self._is_read_only = read_only
        self._snapshot: Snapshot | None = None

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""
        return self.files.path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.files.name

    @cached_property
    def recorded(self) -> "RunFile":
        """The content of `run.yaml`: the settings, the versions and the data.

        Raises:
            RunFolderError: it is missing or damaged.
        """
        from tuner.run.run_file import read_run_file

        return read_run_file(self.files)

    @cached_property
    def storage(self) -> "JournalStorage":
        """The journal, open, with the studies of the search and of its confirmation.

        Raises:
            RunFolderError: it is damaged.
        """
        from tuner.run.journal import open_journal

        self._inode = self.files.journal.stat().st_ino
        return open_journal(self.files.journal, read_only=self._is_read_only)

    def reopen_if_replaced(self) -> None:
        """Forgets the journal if another file has taken its place: a copy from a machine that went further."""
        if "storage" in self.__dict__ and self.files.journal.stat().st_ino != self._inode:
            for name in ("storage", "study", "reader"):
                self.__dict__.pop(name, None)

    def look_again(self) -> None:
        """Forgets which study is the search's, and its settings: it may have gone on in a wider space."""
        for name in ("recorded", "study", "reader"):
            self.__dict__.pop(name, None)

    @cached_property
    def study(self) -> "optuna.Study":
        """The Optuna study of the search; each reading of its trials also reads the journal's new entries."""
        from tuner.errors import RunFolderError
        from tuner.run.journal import NO_STUDY, search_in

        study = search_in(self.storage)
        if study is None:
            raise RunFolderError(f"{self.files.journal}: {NO_STUDY}")
        return study

    @property
    def confirmation(self) -> "optuna.Study | None":
        """The Optuna study of the finalists, whose trials are their trainings; None before any confirmation."""
        from tuner.run.journal import confirmation_in

        return confirmation_in(self.storage, self.study)

    @cached_property
    def reader(self) -> "StudyReader":
        """The search's study, read as trial records."""
        from tuner.run.records import StudyReader

        return StudyReader(self.study)

    @property
    def objectives(self) -> "Objectives":
        """The objectives that trials are compared by: the metric alone, or the metric and a cost."""
        return self.reader.objectives if self._snapshot is None else self._snapshot.objectives

    @property
    def space(self) -> "SearchSpace":
        """The space that was searched."""
        return self.reader.space if self._snapshot is None else self._snapshot.space

    @property
    def ensemble(self) -> "EnsembleRecord | None":
        """The best trials averaged, with their figures; None where no trials' weights were kept."""
        return self.reader.ensemble if self._snapshot is None else self._snapshot.ensemble

    @property
    def reference(self) -> "ReferenceRecord | None":
        """The linear reference, with its figures; None where it was not measured."""
        from tuner.run.reference_record import reference_in

        return (
            reference_in(self.study.user_attrs)
            if self._snapshot is None
            else self._snapshot.reference
        )

    def leaderboard(self) -> "pd.DataFrame":
        """Every trial, best first: the columns of `leaderboard.csv`."""
        from tuner.run.leaderboard import leaderboard
        from tuner.run.leaderboard_snapshot import read_snapshot

        if "reader" not in self.__dict__:
            self._snapshot = read_snapshot(self.files)
            if self._snapshot is not None:
                return self._snapshot.board
        return leaderboard(self.reader)

    def curves(self) -> "pd.DataFrame":
        """Every epoch of every trial: the columns of `curves.csv`."""
        from tuner.run.leaderboard import curves

        return curves(self.reader)

    @property
    def best(self) -> "TrialRecord | None":
        """The trial at the top of the leaderboard; None before any has a score."""
        from tuner.run.records import best_of

        return best_of(self.reader.records(), self.space.metric)

    @property
    def pareto(self) -> "list[TrialRecord]":
        """The trials on the front of a search with two objectives, the best by the metric first; else none."""
        from tuner.run.records import on_front

        return on_front(self.reader.records(), self.reader.objectives)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"
