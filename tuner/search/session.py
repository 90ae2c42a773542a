"""Decides for a running search: which trial runs next, which one stops, when all is done. Knows no Ray.

Stands between Ray's callbacks and the study; every call comes from the driver's one thread. It keeps no counts of its
own: it reads the study for everything that has happened, as `tuner watch` does.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import optuna

from tuner.kill_points import KillPoint, kill_point
from tuner.run.components import components_in
from tuner.run.epoch_parts import EpochPart
from tuner.run.events import Event, EventKind, SearchListener, SearchState
from tuner.run.progress import StudyProgress
from tuner.run.records import StudyReader, failed_on
from tuner.run.run_file import installed_versions
from tuner.run.sessions import SessionEnd, differing, note_on_versions, utc
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.kept_places import KeptPlaces
from tuner.search.shares import is_too_tight, needs_larger_share
from tuner.search.study import SearchStudy
from tuner.search.watchdog import Watchdog
from tuner.settings.config import SearchConfig
from tuner.settings.space import ARCHITECTURE
from tuner.text import joined
from tuner.training.spec import EpochResult, TrialSpec

# So many equal failures without a success end the search. An error repeats itself; bad luck in sampling takes longer
# to rule out.
_SAME_FAILURES = {
    TrialStatus.FAILED: 3,
    TrialStatus.DIVERGED: 8,
    TrialStatus.OUT_OF_MEMORY: 8,
}
# A trial whose nodes die again and again may be the cause of their deaths.
_MOST_TRIES = 20
# A running trial reports its progress so often; of many trials the driver takes so many reports per second.
_PROGRESS_EVERY_S = 4.0
_MOST_PROGRESS_PER_S = 10
# A killed search forgets no more of its time: while epochs end, and while none does.
_RECORD_SECONDS_EVERY_S = 5.0
_RECORD_SECONDS_AT_LEAST_EVERY_S = 30.0


class SearchSession:
    """One session of a search, from opening the study to closing it.

    Args:
        study: the open study; trials that an earlier session left running are enqueued again.
        config: the budget and the resources.
        workers: how many trials may run at once, for now.
        listener: gets every event.
        code: the digest of the code of each architecture of a person's own, as the search began with it.
        clock: seconds, from any start.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        study: SearchStudy,
        config: SearchConfig,
        *,
        workers: Callable[[], int],
        listener: SearchListener,
        code: Mapping[str, str] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.callback_error: Exception | None = None  # raised in one of Ray's callbacks
        self._study = study
        self._config = config
        self._workers = workers
        self._listener = listener
        self._code = code
        self._clock = clock
        self._began_at = self._seconds_recorded_at = clock()
        self._seconds_before = study.seconds
        self._running: dict[int, optuna.Trial] = {}
        self._notes: set[str] = set()
        self.kept_places = KeptPlaces(clock)
        self._failures: list[tuple[TrialStatus, str]] = []  # the latest last
        self._has_worked = False  # a trial of this session
        # Of processes that were ended for a hang, but whose trial ended well just before.
        self._uncharged_deaths = 0
        self._wall_clock = wall_clock
        self._is_flat = False
        study.begin_session(utc(wall_clock()))
        study.requeue_interrupted_trials()
        self._progress = StudyProgress(
            StudyReader(study.study), config, clock=clock, wall_clock=wall_clock
        )
        self._publish(self._progress.start(study.study.get_trials(deepcopy=False)))
        if note := note_on_versions(StudyReader(study.study).sessions):
            self.note(note)
        self._watchdog = Watchdog(config.epoch_timeout, self._progress.slowest_epoch_s, clock)
        self._notice_flatness()

    @property
    def state(self) -> SearchState:
        """The search's state, read from its study."""
        return self._progress.state

    # -- when it ends -------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Seconds searched, over all sessions."""
        return self._seconds_before + self._clock() - self._began_at

    @property
    def has_budget(self) -> bool:
        """Whether another trial may be started now."""
        trials = self._progress.finished + len(self._running)
        has_reason = self.repeated_failure is None and not self._is_flat
        return has_reason and not self._config.is_budget_used(trials=trials, seconds=self.seconds)

    @property
    def is_done(self) -> bool:
        """Whether no trial will ever be started again; while one runs, its process may die and the trial run again."""
        return not self.has_budget and not self._running

    @property
    def has_room(self) -> bool:
        """Whether fewer trials run than may run at once, and no place is kept for one that waits."""
        return not self.kept_places.are_any and len(self._running) < self._workers()

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time budget is used up, over all sessions."""
        limit = self._config.time_budget
        return limit is not None and self.seconds >= limit

    @property
    def repeated_failure(self) -> str | None:
        """The last error if no trial of this session has worked and the latest failed in the same way.

        More trials would fail, too, whatever worked before the search was continued.
        """
        if self._has_worked or not self._failures:
            return None
        kind, error = self._failures[-1]
        same = max(_SAME_FAILURES[kind], self._workers())
        recent = self._failures[-same:]
        # The errors of diverged and out-of-memory trials contain figures that differ between trials.
        alike = {(status, text if status is TrialStatus.FAILED else "") for status, text in recent}
        return error if len(recent) == same and len(alike) == 1 else None

    @property
    def last_failure(self) -> str | None:
        """The last trial's error, where trials failed and none has worked, in earlier sessions neither."""
        if self._progress.has_worked or not self._failures:
            return None
        return self._failures[-1][1]

    # -- one trial ----------------------------------------------------------------------------

    def start_trial(self) -> TrialSpec:
        """Asks the study for the next trial."""
        trial = self._study.ask()
        kill_point(KillPoint.ASKED)
        hyperparameters = self._study.space.suggest(trial)
        self._running[trial.number] = trial
        if needs_larger_share(trial):
            self.kept_places.wait_for_larger_share(trial.number)
        kill_point(KillPoint.SUGGESTED)
        self._publish_trial(trial)
        stop_after = self._study.stop_after(trial)
        return TrialSpec(
            number=trial.number,
            hyperparameters=hyperparameters,
            seed=self._study.seed_of(trial),
            max_epochs=self._config.epochs,
            stop_after=stop_after,
            # Where the number of epochs is fixed, nothing may be chosen by the validation loss.
            patience=(self._config.patience or None) if stop_after is None else None,
            part=self._study.part_of(trial),
        )

    def start_process(self, number: int) -> None:
        """Notes that Ray has found a place for the trial, whose process is starting; may be told again and again."""
        self.kept_places.release(number)
        self._watchdog.start(number)

    @property
    def starts_process(self) -> bool:
        """Whether Ray has found a place for a trial whose process is still starting."""
        return self._watchdog.starts_any

    def begin_trial(self, number: int) -> None:
        """Notes that the trial's process has begun to train it."""
        self.kept_places.release(number)
        self._watchdog.begin(number)

    def is_ended_for_hanging(self, number: int) -> bool:
        """Whether the trial's process was ended because an epoch, or its start, took too long."""
        return self._watchdog.has_ended(number)

    def has_larger_share(self, number: int) -> bool:
        """Whether the trial runs again because it ran out of memory while it shared a GPU."""
        return needs_larger_share(self._running[number])

    def newly_hanging(self) -> list[int]:
        """The trials that take too long: their processes are to be ended, which loses the trials."""
        return self._watchdog.newly_hanging()

    def note(self, text: str) -> None:
        """Tells the person, once."""
        if text not in self._notes:
            self._notes.add(text)
            self._listener.on_event(Event(EventKind.NOTE, error=text), self.state)

    def record_facts(self, number: int, facts: TrialFacts) -> None:
        """Records where the trial runs and how large its model is; tells where its code is not the search's."""
        trial = self._running[number]
        self._study.record_facts(trial, facts)
        architecture = trial.params.get(ARCHITECTURE, "")
        expected = self._code.get(architecture)
        if expected is not None and facts.code is not None and facts.code != expected:
            self.note(
                f"{facts.host} trains other code of {architecture} than this search began with ({facts.code}, not "
                f"{expected}): it was edited meanwhile, or that machine has another copy; bring the same file "
                "everywhere, and leave it as it is while a search runs"
            )

    def note_versions(self, host: str, versions: Mapping[str, str]) -> None:
        """Tells where a process that trains has other versions of Python and packages than this one, once per host."""
        changed = [
            f"{name} {other} (here {version})"
            for name, version, other in differing(installed_versions(), versions)
        ]
        if changed:
            self.note(
                f"{host} has other versions than this machine, so its trials may differ: {joined(changed)}"
            )

    @property
    def progress_every_s(self) -> float:
        """Seconds after which a trial that starts now is to report how far its epoch is."""
        return max(_PROGRESS_EVERY_S, self._workers() / _MOST_PROGRESS_PER_S)

    def continue_epoch(self, number: int, part: EpochPart) -> None:
        """Shows how far the trial is in its epoch; not recorded, and it decides only whether the trial hangs."""
        news = list(self._progress.advance(number, part))
        if news:
            self._watchdog.continue_epoch(number)
        self._publish(news)

    def pass_time(self) -> None:
        """Records the seconds searched where no epoch has ended for long: a search that is killed has used them."""
        if self._clock() - self._seconds_recorded_at >= _RECORD_SECONDS_AT_LEAST_EVERY_S:
            self._record_seconds()

    def follow_study(self) -> None:
        """Shows what was recorded beside the trials."""
        self._publish(self._progress.follow_study())

    def end_epoch(self, number: int, result: EpochResult) -> bool:
        """Records an epoch's metrics; True when the trial should stop here."""
        trial = self._running[number]
        self._watchdog.end_epoch(number)
        metrics = {
            name: value
            for name, value in vars(result).items()
            if name != "epoch" and value is not None
        }
        is_pruned = self._study.report(trial, result.epoch, metrics)
        if self._clock() - self._seconds_recorded_at >= _RECORD_SECONDS_EVERY_S:
            self._record_seconds()
        self._publish_trial(trial)
        return is_pruned

    @property
    def model_from(self) -> float | None:
        """The score from which on a trial's model may be kept; None: whatever its score."""
        return self._study.ensemble.model_from

    def keep_model(self, number: int, model: bytes) -> None:
        """Keeps the model of a trial that may be about to end; its epochs have been recorded."""
        self._study.keep_model(self._running[number], model)

    def end_trial(self, number: int, status: TrialStatus, error: str | None = None) -> None:
        """Ends a trial and records its status."""
        trial = self._forget(number)
        self._study.finish(trial, status, error)
        kill_point(KillPoint.TOLD)
        self._has_worked = self._has_worked or status.has_worked
        if status in _SAME_FAILURES:
            self._failures.append((status, error or ""))
        self._record_seconds()
        self._publish_trial(trial)
        self._notice_flatness()

    def failed_on(self, number: int) -> list[str]:
        """The nodes that earlier tries of the trial failed on."""
        return failed_on(self._study.read(self._running[number]))

    def fail_trial(self, number: int, reason: str, *, node: str) -> None:
        """Runs a trial again that failed where its process may be the cause, unless it did so in another one before.

        Args:
            node: the one that it failed on.
        """
        if failed_on(self._study.read(self._running[number])):
            self.end_trial(number, TrialStatus.FAILED, f"{reason} (in 2 processes)")
            return
        trial = self._forget(number)
        deaths = self._study.deaths_before(trial)
        self._study.requeue_lost_trial(trial, reason, deaths=deaths, node=node)
        self._publish_trial(trial)

    def lose_trial(
        self, number: int, reason: str, *, is_charged: bool = True, node: str | None = None
    ) -> None:
        """Runs a trial again whose process died or was ended, unless that happened too often.

        Args:
            is_charged: whether the trial may be the cause. It is not of a node's death, which does not count.
            node: the one that may be the cause, too.
        """
        trial = self._running[number]
        reason = self._watchdog.forget(number) or reason
        deaths = self._study.deaths_before(trial)
        if is_charged and self._uncharged_deaths:  # the trial was given one of these processes
            self._uncharged_deaths -= 1
        elif is_charged:
            deaths += 1
        is_hopeless = len(self._study.tries_of(trial)) >= _MOST_TRIES
        if deaths > self._config.retries or is_hopeless:
            times = f" ({_MOST_TRIES if is_hopeless else deaths} times)" if deaths != 1 else ""
            self.end_trial(number, TrialStatus.FAILED, f"{reason}{times}")
            return
        self._forget(number)
        self._study.requeue_lost_trial(trial, reason, deaths=deaths, node=node)
        self._publish_trial(trial)

    def enlarge_trial(self, number: int, reason: str, *, lowered: int) -> None:
        """Runs a trial again with a larger share, which ran out of memory while it shared a GPU.

        Args:
            lowered: how often the packing had been lowered when it started.
        """
        trial = self._forget(number)
        asked = self._config.asked_gpus
        self._study.requeue_with_larger_share(trial, reason, asked=asked, lowered=lowered)
        self._publish_trial(trial)

    def is_too_tight(self, lowered: int) -> bool:
        """Whether the packing has to be lowered once more: with a larger share, two trials found room."""
        return is_too_tight(self._study.study, self._config.asked_gpus, lowered)

    def close(self, reason: SessionEnd) -> None:
        """Ends the session; trials that still run are enqueued again for the next one."""
        self._record_seconds()
        self._study.requeue_interrupted_trials()
        self._study.end_session(utc(self._wall_clock()), reason)

    # -- inside -------------------------------------------------------------------------------

    def _forget(self, number: int) -> optuna.Trial:
        """The trial, which runs no more."""
        self.kept_places.release(number)
        if self._watchdog.forget(number) is not None:
            self._uncharged_deaths += 1
        return self._running.pop(number)

    def _notice_flatness(self) -> None:
        """Ends the search, with a note, where the person wants that and more trials would hardly help."""
        if not self._config.stop_when_flat or self._is_flat:
            return
        reader = StudyReader(self._study.study)
        if reader.objectives.costs:
            self.note(
                "--stop-when-flat judges by the score alone, so it ends no search by two objectives"
            )
        components = components_in(reader)
        if components is not None and components.is_flat:
            self._is_flat = True
            told = components.text_with_advice(reader.space.metric, reader.ensemble)
            self.note(f"ends: {told}")

    def _record_seconds(self) -> None:
        self._study.record_seconds(self.seconds)
        self._seconds_recorded_at = self._clock()
        self._progress.read_study()

    def _publish_trial(self, trial: optuna.Trial) -> None:
        self._publish(self._progress.follow(self._study.read(trial)))

    def _publish(self, news: Iterable[tuple[Event, SearchState]]) -> None:
        for event, state in news:
            self._listener.on_event(event, state)
