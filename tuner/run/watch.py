"""Follows a run that another process searches, from its run folder alone.

Optuna's storage continues reading where it stopped and replaces the object of a trial that changed. So unchanged trials
are recognised and skipped. Must not import Ray or Keras.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.errors import RunFolderError
from tuner.run import Run
from tuner.run.epoch_parts import EpochPart, read_epoch_parts
from tuner.run.events import SearchListener
from tuner.run.folder import RunFolder
from tuner.run.journal import is_confirmation
from tuner.run.lock import owner_of
from tuner.run.progress import Clock, News, StudyProgress
from tuner.run.records import StudyReader, is_interrupted
from tuner.run.requested_trainings import with_budget
from tuner.run.run_file import read_run_file
from tuner.settings.config import SearchConfig

if TYPE_CHECKING:
    from datetime import datetime

    from optuna import Study
    from optuna.trial import FrozenTrial

_POLL_S = 0.5


def watch(
    run: Run,
    listener: SearchListener,
    *,
    clock: Clock = time.monotonic,
    wall_clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Reports every event in the run to `listener` until its search ends; False when no search runs in it.

    Args:
        clock: seconds, from any start; the listener's.
        wall_clock: seconds since 1970, as trials record their starts.

    Raises:
        RunFolderError: the run folder is damaged.
        JournalLost: its journal was removed or replaced meanwhile.
    """
    if not _is_alive(run.files):
        return False
    watched = _WatchedRun(run, clock, wall_clock)
    while _is_alive(run.files):
        watched.report(listener)
        sleep(_POLL_S)
    watched.report(listener)  # what the search wrote before it released the lock
    return True


class _WatchedRun:
    """A run's studies: the search's own, and that of its finalists while they are trained."""

    def __init__(self, run: Run, clock: Clock, wall_clock: Clock) -> None:
        self._run = run
        self._folder = run.files
        self._clocks = clock, wall_clock
        self._watched: WatchedStudy | None = None
        self._seen: list[tuple[int, int]] = []

    def report(self, listener: SearchListener) -> None:
        """Reports the changes since the last call."""
        files = self._folder.journal, self._folder.run_file, self._folder.epoch_parts
        seen = [_stamp(each) for each in files]
        if seen == self._seen:
            return
        if seen[1:2] != self._seen[1:2]:  # the search was continued with another budget
            self._config = read_run_file(self._folder).config
        self._seen = seen
        try:
            self._watched = self._active_study()
            for event, state in self._watched.news(self._config):
                listener.on_event(event, state)
            parts = read_epoch_parts(self._folder, self._watched.name)
            for event, state in self._watched.parts_news(parts):
                listener.on_event(event, state)
        except ValueError as cause:
            # A line that is no JSON: Optuna lets its parser's error through.
            raise RunFolderError(
                f"{self._folder.journal}: was damaged meanwhile; `tuner status` shows where"
            ) from cause

    def _active_study(self) -> "WatchedStudy":
        """The study whose running trial began last; where none runs, the one that was watched so far.

        The latest, because a killed search leaves trials that seem to run.
        """
        watched = self._watched
        self._run.look_again()
        search = self._run.study
        running = [
            (begun, study)
            for study in (search, self._run.confirmation)
            if study is not None and (begun := _last_begun(study)) is not None
        ]
        _, latest = max(running, key=lambda each: each[0], default=(None, None))
        if watched is None or (latest is not None and latest.study_name != watched.name):
            return WatchedStudy(StudyReader(latest or search), *self._clocks)
        return watched


class WatchedStudy:
    """Finds the trials of a study that have changed since it was read last.

    Args:
        reader: of the study.
        clock: seconds, from any start.
        wall_clock: seconds since 1970.
    """

    def __init__(self, reader: StudyReader, clock: Clock, wall_clock: Clock) -> None:
        self.reader = reader
        self._clocks = {"clock": clock, "wall_clock": wall_clock}
        self._progress: StudyProgress | None = None
        self._trials: list[FrozenTrial] = []  # as they were last

    @property
    def name(self) -> str:
        """The study's name."""
        return self.reader.study.study_name

    def news(self, config: SearchConfig) -> News:
        """Every event with the state of the search at that moment; the first is the search's start."""
        before, self._trials = self._trials, self.reader.study.get_trials(deepcopy=False)
        if is_confirmation(self.reader.study):
            config = with_budget(config, sum(not is_interrupted(trial) for trial in self._trials))
        if self._progress is None:
            self._progress = StudyProgress(self.reader, config, **self._clocks)
            yield from self._progress.start(self._trials)
            return
        self._progress.config = config
        yield from self._progress.follow_study()
        for number, trial in enumerate(self._trials):
            if number >= len(before) or trial is not before[number]:
                yield from self._progress.follow(trial)

    def parts_news(self, parts: Mapping[int, EpochPart]) -> News:
        """The events of running trials that are further in their epochs, after `news`."""
        assert self._progress is not None
        for number, part in parts.items():
            yield from self._progress.advance(number, part)


def _is_alive(folder: RunFolder) -> bool:
    return owner_of(folder) is not None


def _last_begun(study: "Study") -> "datetime | None":
    """When the latest of the trials that run began."""
    trials = study.get_trials(deepcopy=False)
    begun = [t.datetime_start for t in trials if not t.state.is_finished() and t.datetime_start]
    return max(begun, default=None)


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
