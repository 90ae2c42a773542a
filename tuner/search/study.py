"""Writes the study while a search runs: asks for trials, records and tells their results.

Must not import Ray or Keras.
"""

import os
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.kill_points import KillPoint, kill_point
from tuner.run.attributes import OF_EVERY_TRY, Attribute
from tuner.run.optuna_internals import enqueued_parameters, frozen, set_user_attributes
from tuner.run.records import (
    RUNS_AGAIN,
    StudyReader,
    counts_as_finished,
    deaths_before,
    failed_on,
    is_baseline,
    values_of,
)
from tuner.run.run_file import installed_versions
from tuner.run.score_errors import ValidationRows
from tuner.run.sessions import SessionEnd, SessionRecord, key_of
from tuner.run.study_records import number_in
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.ensemble import Ensemble, NoEnsemble
from tuner.search.pruner import HalvingPruner
from tuner.search.sampler import make_sampler
from tuner.search.shares import needs_larger_share
from tuner.settings.config import SamplerName
from tuner.settings.objectives import Objectives, Values
from tuner.settings.space import SearchSpace
from tuner.training.spec import derive_seed

_INTERRUPTED = f"interrupted by the end of the search; {RUNS_AGAIN}"


class SearchStudy:
    """The study while a search runs: every write to the trials of a search goes through here.

    A confirmation also enqueues its trials and records its requests in its own study: see `tuner.finalists`.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        *,
        seed: int,
        sampler: SamplerName,
        workers: int,
    ) -> None:
        self.study = study
        self.space = space
        self.seed = seed
        self._sampler = sampler
        self._workers = workers
        self._reader = StudyReader(study)
        self.ensemble: Ensemble = NoEnsemble()
        self.widened: tuple[str, ...] = ()  # what its space has more since this session

    @property
    def objectives(self) -> Objectives:
        """The objectives that trials are compared by."""
        return self._reader.objectives

    def read(self, trial: optuna.Trial) -> FrozenTrial:
        """The trial as the study has it now."""
        return frozen(trial)

    def requeue_interrupted_trials(self) -> list[int]:
        """Fails the trials that an ended session left running and enqueues them again; returns their numbers."""
        numbers = []
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._requeue(trial, _INTERRUPTED, deaths=deaths_before(trial))
            numbers.append(trial.number)
        return numbers

    def deaths_before(self, trial: optuna.Trial) -> int:
        """How often the process that trained these parameters died before this trial."""
        return deaths_before(self.read(trial))

    def requeue_lost_trial(
        self, trial: optuna.Trial, reason: str, *, deaths: int, node: str | None = None
    ) -> None:
        """Fails a trial whose process died or may be broken, and enqueues its parameters once more.

        Args:
            deaths: how often these parameters' process has died by now.
            node: the one that may be the cause; None: none is.
        """
        self._requeue(self.read(trial), f"{reason}; runs again", deaths=deaths, node=node)

    def requeue_with_larger_share(
        self, trial: optuna.Trial, reason: str, *, asked: object, lowered: int
    ) -> None:
        """Fails a trial that ran out of memory while it shared a GPU, and enqueues it with a larger share.

        Args:
            asked: the GPUs per trial that the person asked for.
            lowered: how often the packing had been lowered when the trial started.
        """
        trial.set_user_attr(Attribute.RAN_OUT, {"asked": asked, "lowered": lowered})
        kill_point(KillPoint.STATUS_NOTED)
        reason = f"{reason}; runs again with a larger share of the GPU"
        self._requeue(self.read(trial), reason, deaths=self.deaths_before(trial))

    def _requeue(
        self, trial: FrozenTrial, reason: str, *, deaths: int, node: str | None = None
    ) -> None:
        nodes = [*failed_on(trial), *([node] if node is not None else [])]
        # The values sampled so far; of an enqueued trial, such as a baseline, all of them.
        parameters = {**enqueued_parameters(trial), **trial.params}
        passed = max(trial.last_step or 0, int(number_in(trial.user_attrs, Attribute.PASSED)))
        attributes: dict[str, Any] = {
            **{n: trial.user_attrs[n] for n in OF_EVERY_TRY if n in trial.user_attrs},
            Attribute.RETRY_OF: trial.number,
            Attribute.BASELINE: is_baseline(trial),
            **({Attribute.DEATHS: deaths} if deaths else {}),
            **({Attribute.LARGER_SHARE: True} if needs_larger_share(trial) else {}),
            **({Attribute.PASSED: passed} if passed else {}),
            **({Attribute.FAILED_ON: nodes} if nodes else {}),
        }
        # Enqueued before the old trial is failed: if killed in between, the next session finds it and goes on.
        if parameters and not _has_retry(self.study, trial.number):
            self.study.enqueue_trial(
                parameters, user_attrs={str(name): value for name, value in attributes.items()}
            )
        kill_point(KillPoint.RETRY_ENQUEUED)
        set_user_attributes(
            self.study, trial, {Attribute.INTERRUPTED: True, Attribute.ERROR: reason}
        )
        kill_point(KillPoint.RETRY_MARKED)
        self.study.tell(trial.number, state=TrialState.FAIL)
        self.ensemble.discard(trial.number)
        self._forget_rungs()

    def _forget_rungs(self) -> None:
        if isinstance(self.study.pruner, HalvingPruner):  # no other one keeps rungs in memory
            self.study.pruner.forget()

    def ask(self) -> optuna.Trial:
        """A new trial, with a sampler of its own, seeded by the study's seed and the trial's number.

        A sampler that kept its random state would draw the same values again after a resume. Optuna asks the sampler
        only when the first parameter is suggested, so it can be set here.
        """
        trial = self.study.ask()
        seed = derive_seed(self.seed, f"sampler {trial.number}")
        self.study.sampler = make_sampler(
            self._sampler,
            self.objectives,
            number=trial.number,
            seed=seed,
            workers=self._workers,
        )
        return trial

    def seed_of(self, trial: optuna.Trial) -> int:
        """The seed that a trial is trained with: that of its first try."""
        return derive_seed(self.seed, f"trial {self.tries_of(trial)[0]}")

    def part_of(self, trial: optuna.Trial) -> int:
        """The part of the rows that validates a trial, see `tuner.data.rotation`: by turns, that of its first try."""
        parts = ValidationRows.of(self.study.user_attrs).parts
        return self.tries_of(trial)[0] % parts if parts else 0

    def stop_after(self, trial: optuna.Trial) -> int | None:
        """Epochs after which the trial ends in any case; None where only `max_epochs` and the pruner end it."""
        return None

    def keep_model(self, trial: optuna.Trial, model: bytes) -> None:
        """Keeps the model of a running trial, where that is one of the best."""
        self.ensemble.keep(self.read(trial), model)

    def tries_of(self, trial: optuna.Trial) -> list[int]:
        """The numbers of this trial's tries, in their order; the last one is its own."""
        numbers = [trial.number]
        if Attribute.RETRY_OF in trial.user_attrs:
            trials = self.study.get_trials(deepcopy=False)
            while (earlier := trials[numbers[0]].user_attrs.get(Attribute.RETRY_OF)) is not None:
                numbers.insert(0, earlier)
        return numbers

    def record_facts(self, trial: optuna.Trial, facts: TrialFacts) -> None:
        """Records where the trial runs and how large its model is."""
        known = {name: fact for name, fact in vars(facts).items() if fact is not None}
        trial.set_user_attr(Attribute.FACTS, known)

    def report(self, trial: optuna.Trial, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Records the metrics of an epoch; True when the trial should stop here.

        A baseline never stops. A trial that runs again does not stop where its first try went on, because it would be
        compared with trials that came later.
        """
        trial.set_user_attr(f"{Attribute.EPOCH}{epoch}", dict(metrics))
        kill_point(KillPoint.EPOCH_NOTED)
        if not self.objectives.can_prune:  # Optuna takes no values of epochs then
            return False
        trial.report(metrics[self.space.metric.name], step=epoch)
        # Asked for baselines, too: the pruner records their rungs, which others are compared with.
        is_behind = trial.should_prune()
        kill_point(KillPoint.REPORTED)
        attributes = trial.user_attrs
        is_spared = attributes.get(Attribute.BASELINE) or epoch <= attributes.get(
            Attribute.PASSED, 0
        )
        return is_behind and not is_spared

    def finish(self, trial: optuna.Trial, status: TrialStatus, error: str | None = None) -> None:
        """Ends the trial and tells Optuna its result.

        Diverged trials and those out of memory are pruned to Optuna, not failed: Optuna's TPE ignores failed trials
        and would suggest similar ones again. To TPE a pruned trial has its last epoch's value, or else the worst.
        """
        if error is not None:
            trial.set_user_attr(Attribute.ERROR, error)
        kill_point(KillPoint.STATUS_NOTED)
        if status is TrialStatus.COMPLETE:
            self.study.tell(trial, self._values(trial))
        else:
            if status is not TrialStatus.PRUNED:
                trial.set_user_attr(Attribute.STATUS, str(status))
            state = TrialState.FAIL if status is TrialStatus.FAILED else TrialState.PRUNED
            self.study.tell(trial, state=state)
        kill_point(KillPoint.TRIAL_TOLD)
        if status.has_worked:
            self.ensemble.admit(trial)
        else:
            self.ensemble.discard(trial.number)
            self._forget_rungs()

    def _values(self, trial: optuna.Trial) -> Values:
        """The values of a complete trial, one per objective, as in its row of the leaderboard."""
        values = values_of(self._reader.record(self.read(trial)), self.objectives)
        assert values is not None
        return values

    def finished_trials(self) -> list[FrozenTrial]:
        """The trials that count toward the budget: all that have ended, except those that run again."""
        return [t for t in self.study.get_trials(deepcopy=False) if counts_as_finished(t)]

    @property
    def seconds(self) -> float:
        """Seconds searched so far, over all sessions."""
        return number_in(self.study.user_attrs, Attribute.SECONDS)

    def begin_session(self, started: datetime) -> None:
        """Records that a session begins."""
        session = SessionRecord(
            started=started,
            seconds_before=self.seconds,
            host=socket.gethostname(),
            process=os.getpid(),
            versions=installed_versions(),
        )
        self._write_session(len(self._reader.sessions), session)

    def end_session(self, ended: datetime, reason: SessionEnd) -> None:
        """Records that the session that began last ends, and why."""
        *earlier, last = self._reader.sessions
        session = last.record.model_copy(update={"ended": ended, "reason": reason})
        self._write_session(len(earlier), session)

    def _write_session(self, number: int, session: SessionRecord) -> None:
        content = session.model_dump(mode="json", exclude_none=True)
        self.study.set_user_attr(key_of(number), content)

    def record_seconds(self, seconds: float) -> None:
        """Records the seconds searched so far, over all sessions."""
        self.study.set_user_attr(Attribute.SECONDS, round(seconds, 3))


def _has_retry(study: optuna.Study, number: int) -> bool:
    return any(
        trial.user_attrs.get(Attribute.RETRY_OF) == number
        for trial in study.get_trials(deepcopy=False)
    )
