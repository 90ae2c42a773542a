"""Decides for a running search: what to try next, which trial stops, when all is done. Knows no Ray.

Between Ray's callbacks and the study: every call is made by the driver's one thread.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna

from tuner.faults import KillPoint, kill_point
from tuner.run.events import (
    BestTrial,
    Event,
    EventKind,
    LiveTrial,
    SearchListener,
    SearchState,
)
from tuner.run.records import (
    StudyReader,
    TrialRecord,
    best_of,
    front_trials,
    on_front,
)
from tuner.run.status import TrialFacts, TrialStatus
from tuner.search.study import SearchStudy
from tuner.search.watchdog import Watchdog
from tuner.settings.config import SearchConfig
from tuner.settings.objectives import FrontTrial
from tuner.training.spec import EpochResult, TrialSpec

_WORKED = (TrialStatus.COMPLETE, TrialStatus.PRUNED)
# So many alike and nothing else: an error repeats itself, bad luck in sampling takes longer to rule out.
_SAME_FAILURES = {
    TrialStatus.FAILED: 3,
    TrialStatus.DIVERGED: 8,
    TrialStatus.OUT_OF_MEMORY: 8,
}


# A trial whose nodes die, again and again, is perhaps what they die of.
_MOST_TRIES = 20
_NOTE_SECONDS_EVERY_S = 5.0  # a search that is killed forgets no more than this and an epoch


@dataclass
class _Running:
    optuna_trial: optuna.Trial
    live: LiveTrial


class SearchSession:
    """One sitting of a search, from opening the study to its budget's end.

    Args:
        study: the open study; what an earlier sitting cut off is taken up again here.
        config: what was asked.
        workers: how many trials may run at once, for now.
        listener: told of every event.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        study: SearchStudy,
        config: SearchConfig,
        *,
        workers: Callable[[], int],
        listener: SearchListener,
        clock: Callable[[], float],
    ) -> None:
        self._study = study
        self._config = config
        self._workers = workers
        self._listener = listener
        self._clock = clock
        self._running: dict[int, _Running] = {}
        self._failures: list[tuple[TrialStatus, str]] = []  # the latest ones
        self._seconds_noted_at = clock()
        self._front: list[TrialRecord] = []
        self._doomed_processes = 0  # ended for a hang whose trial ended well just before
        self.error: Exception | None = None  # raised in one of Ray's callbacks
        study.requeue_cut_off_trials()
        reader = StudyReader(study.study)
        records = [reader.record(trial) for trial in study.finished_trials()]
        self.state = self._first_state(records)
        self._watchdog = Watchdog(config.epoch_timeout, _slowest_epoch_s(records), clock)
        self._tell(Event(EventKind.SEARCH_STARTED))

    # -- what to do ---------------------------------------------------------------------------

    @property
    def has_budget(self) -> bool:
        """Whether another trial may be started now."""
        trials = self.state.finished + len(self._running)
        return self.doomed is None and not self._config.is_budget_used(
            trials=trials, seconds=self.seconds
        )

    @property
    def is_done(self) -> bool:
        """Whether no trial will ever be started again: of one that runs, the process may still die."""
        return not self.has_budget and not self._running

    @property
    def has_room(self) -> bool:
        """Whether fewer trials run than may run at once."""
        return len(self._running) < self._workers()

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time budget is used up, over all sittings."""
        limit = self._config.time_budget
        return limit is not None and self.seconds >= limit

    @property
    def doomed(self) -> str | None:
        """Why going on is pointless: no trial ever worked and the last ones failed in the same way."""
        if any(self.state.counts.get(status) for status in _WORKED) or not self._failures:
            return None
        kind, error = self._failures[-1]
        same = max(_SAME_FAILURES[kind], self._workers())
        recent = self._failures[-same:]
        # Diverged and out-of-memory trials name figures that differ from one to the next.
        alike = {(status, text if status is TrialStatus.FAILED else "") for status, text in recent}
        return error if len(recent) == same and len(alike) == 1 else None

    @property
    def only_failure(self) -> str | None:
        """The last trial's error when not one trial worked."""
        if any(self.state.counts.get(status) for status in _WORKED) or not self._failures:
            return None
        return self._failures[-1][1]

    def start_trial(self) -> TrialSpec:
        """Asks the study for the next trial."""
        trial = self._study.ask()
        kill_point(KillPoint.ASKED)
        hyperparameters = self._study.space.suggest(trial)
        spec = TrialSpec(
            number=trial.number,
            hyperparameters=hyperparameters,
            seed=self._study.seed_of(trial),
            max_epochs=self._config.epochs,
            stop_after=self._study.stop_after(trial),
        )
        live = LiveTrial(
            number=trial.number,
            architecture=hyperparameters.architecture,
            parameters=self._study.space.values(trial.params),
            started=self._clock(),
            max_epochs=self._config.epochs,
            baseline=self._study.is_baseline(trial),
            label=self._study.label_of(trial),
        )
        self._running[trial.number] = _Running(trial, live)
        kill_point(KillPoint.SUGGESTED)
        self._tell(Event(EventKind.TRIAL_STARTED, live))
        return spec

    def begin_trial(self, number: int) -> None:
        """The trial has its process, which begins now."""
        self._watchdog.begin(number)

    def newly_hanging(self) -> list[int]:
        """The trials whose epoch takes too long: their processes are to be ended, and are lost then."""
        return self._watchdog.newly_hanging()

    def note_facts(self, number: int, facts: TrialFacts) -> None:
        """What a worker says of the trial that it has begun."""
        self._study.record_facts(self._running[number].optuna_trial, facts)

    def end_epoch(self, number: int, result: EpochResult) -> bool:
        """Notes an epoch's figures; True when the trial should stop here."""
        running = self._running[number]
        self._watchdog.end_epoch(number)
        metrics = {name: value for name, value in vars(result).items() if name != "epoch"}
        is_pruned = self._study.report(running.optuna_trial, result.epoch, metrics)
        metric = self._study.space.metric
        value, earlier = metrics[metric.name], running.live.score
        score = value if earlier is None else metric.best([earlier, value])
        running.live = dataclasses.replace(running.live, epoch=result.epoch, score=score)
        if self._clock() - self._seconds_noted_at >= _NOTE_SECONDS_EVERY_S:
            self._note_seconds()
        self._tell(Event(EventKind.EPOCH_ENDED, running.live, score=value))
        return is_pruned

    def keep_model(self, number: int, model: bytes) -> None:
        """The model of a trial that is about to end."""
        self._study.keep_model(self._running[number].optuna_trial, model)

    def end_trial(self, number: int, status: TrialStatus, error: str | None = None) -> None:
        """Ends a trial and records how."""
        running = self._running.pop(number)
        if self._watchdog.forget(number) is not None:
            self._doomed_processes += 1
        self._study.finish(running.optuna_trial, status, error)
        kill_point(KillPoint.TOLD)
        if status in _SAME_FAILURES:
            self._failures.append((status, error or ""))
        live = running.live
        best = self.state.best
        if live.score is not None and status.is_ranked:
            metric = self._study.space.metric
            if best is None or (metric.as_cost(live.score), live.number) < (
                metric.as_cost(best.score),
                best.number,
            ):
                best = BestTrial(live.number, live.architecture, live.score)
        counts = Counter(self.state.counts)
        counts[status] += 1
        front = self.state.front
        if self._study.objectives is not None:
            front = self._front_with([self._study.record(running.optuna_trial)])
        self.state = dataclasses.replace(self.state, counts=dict(counts), best=best, front=front)
        self._note_seconds()
        self._tell_ended(live, status, error)

    def lose_trial(self, number: int, reason: str, *, is_charged: bool = True) -> None:
        """The trial's process died or was ended: runs it again, unless that happened too often.

        Args:
            is_charged: whether it may have been the trial's doing. A node's death is not, so it does not count.
        """
        trial = self._running[number].optuna_trial
        reason = self._watchdog.forget(number) or reason
        deaths = self._study.deaths_before(trial)
        if is_charged and self._doomed_processes:  # the trial was handed one of them
            self._doomed_processes -= 1
        elif is_charged:
            deaths += 1
        is_hopeless = len(self._study.tries_of(trial)) >= _MOST_TRIES
        if deaths > self._config.retries or is_hopeless:
            times = f" ({_MOST_TRIES if is_hopeless else deaths} times)" if deaths != 1 else ""
            self.end_trial(number, TrialStatus.FAILED, f"{reason}{times}")
            return
        live = self._running.pop(number).live
        error = self._study.requeue_lost_trial(trial, reason, deaths=deaths)
        self._tell_ended(live, TrialStatus.FAILED, error)

    def close(self) -> None:
        """Notes the time searched; trials still running are cut off and taken up again by the next sitting."""
        self._note_seconds()
        self._study.requeue_cut_off_trials()

    @property
    def seconds(self) -> float:
        """Seconds searched, earlier sittings included."""
        return self.state.seconds_before + self._clock() - self.state.started

    # -- inside -------------------------------------------------------------------------------

    def _front_with(self, ended: Sequence[TrialRecord]) -> tuple[FrontTrial, ...]:
        """The front, after these have ended, too; empty where there is one objective."""
        objectives = self._study.objectives
        if objectives is None:
            return ()
        self._front = on_front([*self._front, *ended], objectives)
        return front_trials(self._front, objectives.cost)

    def _first_state(self, records: Sequence[TrialRecord]) -> SearchState:
        metric = self._study.space.metric
        best = best_of(records, metric)
        return SearchState(
            name=self._config.run_name,
            metric=str(metric.name),
            seconds_before=self._study.seconds_before,
            started=self._clock(),
            trial_budget=self._config.trial_budget,
            time_budget_s=self._config.time_budget,
            counts=dict(Counter(record.status for record in records)),
            best=BestTrial(best.number, best.architecture, best.score)
            if best is not None and best.score is not None
            else None,
            doing=self._study.doing,
            objectives=self._study.objectives,
            front=self._front_with(records),
        )

    def _note_seconds(self) -> None:
        self._study.record_seconds(self.seconds)
        self._seconds_noted_at = self._clock()

    def _tell_ended(self, live: LiveTrial, status: TrialStatus, error: str | None) -> None:
        self._tell(
            Event(
                EventKind.TRIAL_ENDED,
                live,
                status=status,
                error=error,
                score=live.score,
                seconds=self._clock() - live.started,
            )
        )

    def _tell(self, event: Event) -> None:
        self.state = dataclasses.replace(
            self.state, running=tuple(running.live for running in self._running.values())
        )
        self._listener.on_event(event, self.state)


def _slowest_epoch_s(records: Sequence[TrialRecord]) -> float:
    """Seconds of the slowest epoch of earlier sittings; 0 when there was none."""
    epochs = (metrics["seconds"] for record in records for metrics in record.curve.values())
    return max(epochs, default=0.0)
