"""A run as Python sees it: its folder, leaderboard, best trial and study."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.run.folder import RunFolder

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from tuner.run.records import StudyReader, TrialRecord
    from tuner.run.snapshot import Snapshot
    from tuner.settings.objectives import Objectives
    from tuner.settings.space import SearchSpace


class Run:
    """One search's outcome, read from its run folder; also while the search still goes on.

    Args:
        path: the run folder.

    Raises:
        RunFolderError: no run folder there.
    """

    def __init__(self, path: Path | str) -> None:
        self._folder = RunFolder.existing(path)
        self._snapshot: Snapshot | None = None

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""
        return self._folder.path

    @property
    def name(self) -> str:
        """The run's name."""
        return self._folder.name

    @cached_property
    def study(self) -> "optuna.Study":
        """The Optuna study itself; it reads the journal anew whenever it is asked for its trials."""
        from tuner.run.study import load_study

        return load_study(self._folder.journal)

    @cached_property
    def _reader(self) -> "StudyReader":
        from tuner.run.records import StudyReader

        return StudyReader(self.study)

    @property
    def objectives(self) -> "Objectives":
        """What the trials are compared by: the metric alone, or the metric and a cost."""
        return self._reader.objectives if self._snapshot is None else self._snapshot.objectives

    @property
    def space(self) -> "SearchSpace":
        """The space that was searched."""
        return self._reader.space if self._snapshot is None else self._snapshot.space

    def leaderboard(self) -> "pd.DataFrame":
        """Every trial, best first: the columns of `leaderboard.csv`."""
        from tuner.run.leaderboard import leaderboard
        from tuner.run.snapshot import read_snapshot

        if "_reader" not in self.__dict__:
            self._snapshot = read_snapshot(self._folder)
            if self._snapshot is not None:
                return self._snapshot.board
        return leaderboard(self._reader)

    def curves(self) -> "pd.DataFrame":
        """Every epoch of every trial: the columns of `curves.csv`."""
        from tuner.run.leaderboard import curves

        return curves(self._reader)

    @property
    def best(self) -> "TrialRecord | None":
        """The trial at the top of the leaderboard; None before any has a score."""
        from tuner.run.records import best_of

        return best_of(self._reader.records(), self.space.metric)

    @property
    def pareto(self) -> "list[TrialRecord]":
        """The trials on the front of a search with two objectives, the best by the metric first; else none."""
        from tuner.run.records import on_front

        return on_front(self._reader.records(), self._reader.objectives)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"
