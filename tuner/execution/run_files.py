"""Keeps the files of a run up to date with its study, and with its trials, while they run."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress

from tuner.run.csv_text import write_csv
from tuner.run.epoch_parts import write_epoch_parts
from tuner.run.events import LiveTrial
from tuner.run.folder import RunFolder
from tuner.run.leaderboard import curves, leaderboard
from tuner.run.leaderboard_snapshot import point_of, write_note
from tuner.run.records import StudyReader

_EVERY_S = 2.0
# Of the driver's time, at most, that writing may take: a long study is written less often.
_SHARE = 0.02


class RunFiles(ABC):
    """Writes files, but never so often that it slows the trials down.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due_at = clock()
        self._is_stale = True

    def mark_stale(self) -> None:
        """Notes that the study has changed."""
        self._is_stale = True

    def write_if_due(self) -> None:
        """Writes if the study has changed and the last writing was long enough ago."""
        if self._is_stale and self._clock() >= self._due_at:
            self.write()

    def write(self) -> None:
        """Writes now."""
        began = self._clock()
        self._write()
        now = self._clock()
        self._is_stale = False
        self._due_at = now + max(_EVERY_S, (now - began) / _SHARE)

    @abstractmethod
    def _write(self) -> None:
        """Writes the files from the study."""


class LeaderboardFiles(RunFiles):
    """`leaderboard.csv`, `curves.csv`, and for a long leaderboard the note that makes the CSV quick to read."""

    def __init__(self, folder: RunFolder, reader: StudyReader, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._folder = folder
        self._reader = reader

    def _write(self) -> None:
        point = point_of(self._reader, self._folder.journal)
        board = leaderboard(self._reader)
        write_csv(board, self._folder.leaderboard)
        write_csv(curves(self._reader), self._folder.curves)
        write_note(board, self._reader, point, self._folder)


class EpochPartsFile(RunFiles):
    """`logs/epochs.json`, from the trials that run.

    Args:
        study: the name of the study that they are of.
    """

    def __init__(self, folder: RunFolder, study: str, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._folder = folder
        self._study = study
        self._running: Sequence[LiveTrial] = ()

    def note(self, running: Sequence[LiveTrial]) -> None:
        """Notes that one of these trials is further, and writes if that is due."""
        self._running = running
        self.mark_stale()
        self.write_if_due()

    def close(self) -> None:
        """Removes the file: no trial runs any more."""
        with suppress(OSError):
            self._folder.epoch_parts.unlink(missing_ok=True)

    def _write(self) -> None:
        parts = {each.number: each.part for each in self._running if each.part is not None}
        write_epoch_parts(self._folder, self._study, parts)
