"""The progress of a search, read from its study: the state that a live table draws, and the events between two states.

The searching process and `tuner watch` both read it here, so they show the same for the same study. How far a trial is
in its epoch is in no study: each tells it by `StudyProgress.advance`. A trial that has
ended never changes, so each is read once. An event thus costs as much in a long study as in a new one. Must not import
Ray or Keras.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from tuner.run.attributes import Attribute
from tuner.run.ensemble import ensemble_in
from tuner.run.epoch_parts import EpochPart
from tuner.run.events import BestTrial, Event, EventKind, LiveTrial, SearchState
from tuner.run.journal import is_confirmation
from tuner.run.records import (
    StudyReader,
    TrialRecord,
    best_epoch_of,
    best_of,
    counts_as_finished,
    front_trials,
    on_front,
)
from tuner.run.reference_record import reference_in
from tuner.run.requested_trainings import last_request, training_of
from tuner.run.study_records import number_in
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import SearchConfig
from tuner.settings.objectives import FrontTrial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Clock = Callable[[], float]
News = Iterator[tuple[Event, SearchState]]


class StudyProgress:
    """Turns changed trials of a study into events, each with the search's state at that moment.

    Args:
        reader: of the study.
        config: the budget that was asked for, and the epochs of a trial.
        clock: seconds, from any start; the listeners'.
        wall_clock: seconds since 1970, as trials record their starts.
    """

    def __init__(
        self,
        reader: StudyReader,
        config: SearchConfig,
        *,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
    ) -> None:
        self.config = config
        self.slowest_epoch_s = 0.0  # of the trials that have ended
        self._reader = reader
        self._clock = clock
        self._wall_clock = wall_clock
        self._running: dict[int, LiveTrial] = {}
        self._counts: Counter[TrialStatus] = Counter()
        self._best: TrialRecord | None = None
        self._leaders: list[TrialRecord] = []  # on the front
        self._front: tuple[FrontTrial, ...] = ()  # the same, as the state has them
        self._seconds = -1.0
        self.read_study()
        self._has_told_reference = self._reference is not None  # by an earlier session

    @property
    def finished(self) -> int:
        """How many trials count toward the budget."""
        return self._counts.total()

    @property
    def has_worked(self) -> bool:
        """Whether any trial ended in order."""
        return any(status.has_worked for status in self._counts)

    @property
    def state(self) -> SearchState:
        """The search as far as it has been read."""
        best = self._best
        return SearchState(
            name=self.config.run_name,
            metric=str(self._reader.space.metric.name),
            seconds=self._seconds,
            seconds_read_at=self._seconds_read_at,
            trial_budget=self.config.trial_budget,
            time_budget_s=self.config.time_budget,
            running=tuple(self._running.values()),
            counts=dict(self._counts),
            best=BestTrial(best.number, best.architecture, best.score)
            if best is not None and best.score is not None
            else None,
            activity="confirming" if self._is_confirmation else "searching",
            objectives=self._reader.objectives,
            front=self._front,
            ensemble=self._ensemble,
            reference=self._reference,
        )

    def start(self, trials: Sequence["FrozenTrial"]) -> News:
        """The start of the search, with what earlier sessions did, and of every trial that runs by now."""
        self._count([self._reader.record(trial) for trial in trials if counts_as_finished(trial)])
        yield Event(EventKind.SEARCH_STARTED), self.state
        for trial in trials:
            if not trial.state.is_finished():
                yield from self._start_trial(trial, self._reader.record(trial), is_new=False)

    def follow(self, trial: "FrozenTrial") -> News:
        """The events of a trial since it was read last: its start, its epochs, its end."""
        record = self._reader.record(trial)
        if trial.number not in self._running:
            yield from self._start_trial(trial, record)
        if trial.number not in self._running:
            return  # it starts when the rest of its parameters is known
        yield from self._epochs(record)
        if not trial.state.is_finished():
            return
        live = self._running.pop(trial.number)
        if counts_as_finished(trial):
            self._count([record])
        ended = Event(
            EventKind.TRIAL_ENDED,
            live,
            # An interrupted trial's score counts, but the trial did end by a failure.
            status=record.status
            if not record.interrupted or record.status.is_broken
            else TrialStatus.FAILED,
            error=record.error,
            score=record.score,
            # The study does not record the end of an interrupted trial: it ended just now.
            seconds=self._clock() - live.started if record.interrupted else record.seconds or 0.0,
        )
        yield ended, self.state

    def advance(self, number: int, part: EpochPart) -> News:
        """The event of a trial that is further in its epoch, which the study does not record."""
        live = self._running.get(number)
        if live is None or part.epoch != live.epoch + 1 or part == live.part:
            return
        live = self._running[number] = replace(live, part=part)
        yield Event(EventKind.EPOCH_CONTINUES, live), self.state

    def follow_study(self) -> News:
        """Reads the study; the event of its reference, where it has one since `start`."""
        self.read_study()
        if self._reference is not None and not self._has_told_reference:
            self._has_told_reference = True
            yield Event(EventKind.REFERENCE_MEASURED), self.state

    def read_study(self) -> None:
        """Reads how long was searched by now, the ensemble and the reference."""
        attributes = self._reader.study.user_attrs  # a copy each time
        self._ensemble = ensemble_in(attributes)
        self._reference = reference_in(attributes)
        seconds = number_in(attributes, Attribute.SECONDS)
        if seconds != self._seconds:
            self._seconds, self._seconds_read_at = seconds, self._clock()

    # -- inside -------------------------------------------------------------------------------

    @property
    def _is_confirmation(self) -> bool:
        return is_confirmation(self._reader.study)

    def _start_trial(
        self, trial: "FrozenTrial", record: TrialRecord, *, is_new: bool = True
    ) -> News:
        """The start of a trial, once all its parameters are known; the epochs of a new one follow as events."""
        is_suggested = trial.state.is_finished() or self._reader.is_suggested(record)
        if record.started is None or not is_suggested:
            return
        age = age_of(record.started, self._wall_clock())
        live = LiveTrial(
            number=record.number,
            architecture=record.architecture,
            parameters={
                name: record.parameters[name]
                for name in self._reader.space.varied_names
                if name in record.parameters
            },
            started=self._clock() - age,
            max_epochs=self.config.epochs,
            epoch=0 if is_new else max(record.curve, default=0),
            score=None if is_new else record.score,
            baseline=record.baseline,
            starter=record.starter,
            label=self._label(trial) if self._is_confirmation else None,
        )
        self._running[record.number] = live
        yield Event(EventKind.TRIAL_STARTED, live), self.state

    def _epochs(self, record: TrialRecord) -> News:
        metric = self._reader.space.metric
        seen: dict[int, Mapping[str, float]] = {}
        for epoch, metrics in record.curve.items():
            seen[epoch] = metrics
            live = self._running[record.number]
            if epoch > live.epoch:
                best = best_epoch_of(seen, metric)
                score = seen[best][metric.name] if best is not None else None
                live = replace(live, epoch=epoch, score=score, part=None)
                self._running[record.number] = live
                yield Event(EventKind.EPOCH_ENDED, live, score=metrics[metric.name]), self.state

    def _count(self, records: Sequence[TrialRecord]) -> None:
        """Adds trials that have ended to the counts, the best and the front."""
        self._counts.update(record.status for record in records)
        rivals = records if self._best is None else [self._best, *records]
        self._best = best_of(rivals, self._reader.space.metric)
        epochs = (metrics["seconds"] for record in records for metrics in record.curve.values())
        self.slowest_epoch_s = max([self.slowest_epoch_s, *epochs])
        objectives = self._reader.objectives
        self._leaders = on_front([*self._leaders, *records], objectives)
        self._front = front_trials(self._leaders, objectives)

    def _label(self, trial: "FrozenTrial") -> str | None:
        """The name of a confirmation's trial: the search's trial, and which of its seeds; None where it has none."""
        training = training_of(trial)
        if training is None:
            return None
        request = last_request(self._reader.study)
        seeds = [each.seed for each in request if each.trial == training.trial]
        if training.seed not in seeds:
            return None
        return f"{training.trial} (seed {seeds.index(training.seed) + 1} of {len(seeds)})"


def age_of(started: datetime, now: float) -> float:
    """Seconds since a trial's start.

    Optuna returns the start in this machine's time without its zone. In the hour that the end of summer time repeats,
    that is one of two moments: the later one counts, unless it has not come yet.

    Args:
        started: as the study records it.
        now: seconds since 1970.
    """
    ages = (now - started.replace(fold=fold).timestamp() for fold in (0, 1))
    return min((age for age in ages if age >= 0), default=0.0)
