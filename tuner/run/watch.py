"""Follows a run that searches elsewhere, from its run folder alone, and tells of it what the search itself would.

Optuna's storage reads on where it stopped and replaces a trial that changed by another object, so what has not changed
is passed over. Must not import Ray or Keras.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.errors import RunFolderError
from tuner.run.events import (
    BestTrial,
    Event,
    EventKind,
    LiveTrial,
    SearchListener,
    SearchState,
)
from tuner.run.folder import RunFolder
from tuner.run.lock import owner_of
from tuner.run.records import (
    StudyReader,
    TrialRecord,
    best_of,
    counts_as_finished,
    front_trials,
    is_cut_off,
    on_front,
)
from tuner.run.run_file import read_run_file
from tuner.run.status import TrialStatus
from tuner.run.study import CONFIRMATION, STUDY_NAME, load_study, study_beside
from tuner.settings.config import SearchConfig

if TYPE_CHECKING:
    from datetime import datetime

    from optuna import Study
    from optuna.trial import FrozenTrial

_POLL_S = 0.5

Clock = Callable[[], float]


def watch(
    folder: RunFolder,
    listener: SearchListener,
    *,
    clock: Clock = time.monotonic,
    wall_clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Tells `listener` of all that happens in the run until its search ends; False when none runs in it.

    Args:
        clock: seconds, from any start; the listener's.
        wall_clock: seconds since 1970, as trials note their starts.

    Raises:
        RunFolderError: the run folder is damaged.
        JournalTorn: its journal was removed or replaced meanwhile.
    """
    if not _is_alive(folder):
        return False
    run = _WatchedRun(folder, clock, wall_clock)
    while _is_alive(folder):
        run.tell(listener)
        sleep(_POLL_S)
    run.tell(listener)  # what it wrote before it let go
    return True


class _WatchedRun:
    """A run's studies: the search's own, and that of its finalists while they are trained."""

    def __init__(self, folder: RunFolder, clock: Clock, wall_clock: Clock) -> None:
        self._folder = folder
        self._clocks = clock, wall_clock
        self._study = load_study(folder.journal, read_only=True)
        self._watched: WatchedStudy | None = None
        self._seen: list[tuple[int, int]] = []

    def tell(self, listener: SearchListener) -> None:
        """Tells what is new."""
        seen = [_stamp(self._folder.journal), _stamp(self._folder.run_file)]
        if seen == self._seen:
            return
        if seen[1:] != self._seen[1:]:  # asked for anew, with another budget
            self._config = read_run_file(self._folder).config
        self._seen = seen
        try:
            self._watched = self._at_work()
            for event, state in self._watched.news(self._config):
                listener.on_event(event, state)
        except ValueError as cause:
            # A line that is no JSON: Optuna lets its parser's error through.
            raise RunFolderError(
                f"{self._folder.journal}: was damaged meanwhile; `tuner status` says where"
            ) from cause

    def _at_work(self) -> "WatchedStudy":
        """The study whose running trial began last; where none runs, the one that was watched so far.

        A search that was killed leaves trials that seem to run.
        """
        watched = self._watched
        at_work: dict[str, datetime] = {}
        for name in (STUDY_NAME, CONFIRMATION):
            study = study_beside(self._study, name)
            begun = _last_begun(study) if study is not None else None
            if begun is not None:
                at_work[name] = begun
        latest = max(at_work, key=lambda name: at_work[name], default=None)
        if latest is not None and (watched is None or watched.name != latest):
            study = study_beside(self._study, latest)
            assert study is not None
            return WatchedStudy(StudyReader(study), *self._clocks)
        return watched or WatchedStudy(StudyReader(self._study), *self._clocks)


class WatchedStudy:
    """Finds out what has happened in a study since it was asked last.

    Args:
        reader: of the study.
        clock: seconds, from any start.
        wall_clock: seconds since 1970.
    """

    def __init__(self, reader: StudyReader, clock: Clock, wall_clock: Clock) -> None:
        self.reader = reader
        self._clock = clock
        self._wall_clock = wall_clock
        self._trials: list[FrozenTrial] = []  # as they were last
        self._running: dict[int, LiveTrial] = {}
        self._counts: Counter[TrialStatus] = Counter()
        self._best: TrialRecord | None = None
        self._front: list[TrialRecord] = []
        self._seconds: float | None = None
        self._noted_at = clock()
        self._is_new = True

    @property
    def name(self) -> str:
        """The study's."""
        return self.reader.study.study_name

    def news(self, config: SearchConfig) -> Iterator[tuple[Event, SearchState]]:
        """Every event with the state that the search was in by then; first of all its start."""
        trials = self.reader.study.get_trials(deepcopy=False)
        if self.reader.seconds != self._seconds:
            self._seconds, self._noted_at = self.reader.seconds, self._clock()
        if self.name == CONFIRMATION:
            wanted = sum(not is_cut_off(trial) for trial in trials)
            config = config.model_copy(update={"trials": max(1, wanted), "time_budget": None})
        before, self._trials = self._trials, trials
        changed = [
            trial
            for number, trial in enumerate(trials)
            if number >= len(before) or trial is not before[number]
        ]
        if self._is_new:
            for trial in changed:
                if trial.state.is_finished():
                    self._count(trial)
            changed = [trial for trial in changed if not trial.state.is_finished()]
            yield Event(EventKind.SEARCH_STARTED), self._state(config)
        for trial in changed:
            for event in self._events(trial, config):
                yield event, self._state(config)
        self._is_new = False

    def _events(self, trial: "FrozenTrial", config: SearchConfig) -> Iterator[Event]:
        record = self.reader.record(trial)
        number, is_finished = trial.number, trial.state.is_finished()
        if record.started is None or not (is_finished or self.reader.is_suggested(record)):
            return  # its next change tells
        before = self._running.get(number)
        live = self._live(record, config)
        if before is None:
            before = live if self._is_new else replace(live, epoch=0, score=None)
            self._running[number] = before
            yield Event(EventKind.TRIAL_STARTED, before)
        metric = self.reader.space.metric
        values: dict[int, float] = {}
        for epoch, metrics in record.curve.items():
            value = metrics[metric.name]
            if math.isfinite(value):
                values[epoch] = value
            if epoch > before.epoch:
                score = values[metric.best_epoch(values)] if values else None
                self._running[number] = replace(live, epoch=epoch, score=score)
                yield Event(EventKind.EPOCH_ENDED, self._running[number], score=value)
        if is_finished:
            del self._running[number]
            self._count(trial, record)
            yield Event(
                EventKind.TRIAL_ENDED,
                live,
                # What a trial that was cut off had reached counts, but it did end by a failure.
                status=TrialStatus.FAILED if record.cut_off else record.status,
                error=record.error,
                score=record.score,
                seconds=record.seconds or 0.0,
            )

    def _count(self, trial: "FrozenTrial", record: TrialRecord | None = None) -> None:
        """Takes a trial that ended into the sums."""
        if not counts_as_finished(trial):
            return
        record = record or self.reader.record(trial)
        self._counts[record.status] += 1
        rivals = [record] if self._best is None else [self._best, record]
        self._best = best_of(rivals, self.reader.space.metric)
        if self.reader.objectives is not None:
            self._front = on_front([*self._front, record], self.reader.objectives)

    def _live(self, record: TrialRecord, config: SearchConfig) -> LiveTrial:
        assert record.started is not None
        age = max(0.0, self._wall_clock() - record.started.timestamp())
        return LiveTrial(
            number=record.number,
            architecture=record.architecture,
            parameters=record.parameters,
            started=self._clock() - age,
            max_epochs=config.epochs,
            epoch=max(record.curve, default=0),
            score=record.score,
            baseline=record.baseline,
        )

    def _state(self, config: SearchConfig) -> SearchState:
        best, objectives = self._best, self.reader.objectives
        return SearchState(
            name=config.run_name,
            metric=str(self.reader.space.metric.name),
            seconds_before=self._seconds or 0.0,
            started=self._noted_at,
            trial_budget=config.trial_budget,
            time_budget_s=config.time_budget,
            running=tuple(self._running.values()),
            counts=dict(self._counts),
            best=BestTrial(best.number, best.architecture, best.score)
            if best is not None and best.score is not None
            else None,
            doing="confirming" if self.name == CONFIRMATION else "searching",
            objectives=objectives,
            front=front_trials(self._front, objectives.cost) if objectives is not None else (),
        )


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
