"""The run's Optuna study: the only memory of a search. Opens it, builds its sampler and pruner, reads its trials.

Everything that is known of a trial lies in the study: parameters, every epoch's value, its state, and the user
attributes named below. Must not import Ray or Keras.
"""

import hashlib
import math
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tuner.config import PrunerName, SamplerName
from tuner.errors import RunFolderError
from tuner.hyperparameters import Scalar
from tuner.space import Mode, SearchSpace
from tuner.status import TrialFacts, TrialStatus

STUDY_NAME = "tuner"
_SPACE = "space"  # of the study: the space as plain data
_CLOCK = "seconds"  # of the study: seconds searched so far, over all sessions
_BASELINE = "baseline"  # of a trial: ran because the space names it
_STATUS = "status"  # of a trial: its TrialStatus where Optuna's state does not tell
_ERROR = "error"
_FACTS = "facts"  # of a trial: seed, host, device, weights
_EPOCH = "epoch:"  # of a trial, followed by the epoch's number: its metrics
_RETRY_OF = "retry_of"  # of a trial: the cut-off trial whose parameters it runs again


@dataclass(frozen=True)
class TrialRecord:
    """All that the study knows of one trial."""

    number: int
    status: TrialStatus
    architecture: str
    parameters: Mapping[str, Scalar]
    curve: Mapping[int, Mapping[str, float]]  # epoch (1-based) -> metric -> value
    best_epoch: int | None
    score: float | None  # the metric at the best epoch
    baseline: bool
    retry_of: int | None
    seed: int | None
    host: str | None
    device: str | None
    weights: int | None
    started: datetime | None
    ended: datetime | None
    error: str | None

    @property
    def seconds(self) -> float | None:
        """Wall-clock from start to end; None while it runs."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median over the epochs, training and validation together."""
        times = sorted(metrics["seconds"] for metrics in self.curve.values())
        if not times:
            return None
        middle = len(times) // 2
        return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2


def create_or_open_study(
    journal: Path,
    space: SearchSpace,
    *,
    seed: int,
    sampler: SamplerName,
    pruner: PrunerName,
    max_epochs: int,
    workers: int,
) -> "SearchStudy":
    """The study in `journal`, made with its baselines if it is new.

    The caller holds the run folder's lock: a writer that died may have left its last line unfinished and its own
    lock behind, and both are mended here.
    """
    if journal.is_file():
        trim_torn_line(journal)
        Path(f"{journal}.lock").unlink(missing_ok=True)
    journal.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=STUDY_NAME,
        direction="maximize" if space.metric.mode is Mode.MAX else "minimize",
        pruner=_make_pruner(pruner, max_epochs),
        load_if_exists=True,
    )
    if _SPACE not in study.user_attrs:
        for parameters in space.baseline_parameters():
            if not _is_known(study, parameters):
                study.enqueue_trial(parameters, user_attrs={_BASELINE: True})
        study.set_user_attr(_SPACE, space.to_mapping())
    return SearchStudy(study, space, seed=seed, sampler=sampler, workers=workers)


def load_study(journal: Path) -> optuna.Study:
    """The study in `journal`, for reading.

    Raises:
        RunFolderError: the file is missing, damaged or holds no study of ours.
    """
    if not journal.is_file():
        raise RunFolderError(f"{journal}: no such file; `tuner search` makes one")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.load_study(
            study_name=STUDY_NAME, storage=JournalStorage(JournalFileBackend(str(journal)))
        )
    except KeyError as cause:
        raise RunFolderError(f"{journal}: holds no study named {STUDY_NAME}") from cause
    except (ValueError, TypeError) as cause:
        raise RunFolderError(f"{journal}: not an Optuna journal, or damaged: {cause}") from cause


def trim_torn_line(journal: Path) -> int:
    """Cuts off a last line that its writer did not finish, and says how many bytes it had.

    Optuna opens such a journal and breaks at the next append, which continues on the torn line
    (https://github.com/optuna/optuna/issues/5138).
    """
    with open(journal, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        position = size
        while position > 0:
            start = max(0, position - 65536)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < size:
            file.truncate(position)
        return size - position


class SearchStudy:
    """The study while a search runs: asks, reports, prunes and tells in this package's words."""

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

    def requeue_cut_off_trials(self) -> list[int]:
        """Fails what a dead search left running and enqueues it once more; returns those trials' numbers."""
        numbers = []
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            attributes = {_RETRY_OF: trial.number, _BASELINE: is_baseline(trial)}
            if trial.params:
                # Recorded before the old one is failed: killed in between, the next start sees it and skips.
                if not _has_retry(self.study, trial.number):
                    self.study.enqueue_trial(trial.params, user_attrs=attributes)
                self.study._storage.set_trial_user_attr(trial._trial_id, _ERROR, _CUT_OFF)
            self.study.tell(trial.number, state=TrialState.FAIL)
            numbers.append(trial.number)
        return numbers

    def ask(self) -> optuna.Trial:
        """A new trial, its sampler seeded by the study's seed and the trial's number.

        A sampler that carried its random state along would draw the same values again after a resume.
        """
        number = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = _make_sampler(
            self._sampler, seed=derive_seed(self.seed, f"sampler {number}"), workers=self._workers
        )
        return self.study.ask()

    def record_facts(self, trial: optuna.Trial, facts: TrialFacts) -> None:
        """Notes where the trial runs and how large its model is."""
        trial.set_user_attr(_FACTS, dict(vars(facts)))

    def report(self, trial: optuna.Trial, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Notes one epoch; True when the trial should stop here. Baselines never should."""
        trial.set_user_attr(f"{_EPOCH}{epoch}", dict(metrics))
        trial.report(metrics[self.space.metric.name], step=epoch)
        return not trial.user_attrs.get(_BASELINE, False) and trial.should_prune()

    def finish(self, trial: optuna.Trial, status: TrialStatus, error: str | None = None) -> None:
        """Ends the trial.

        Diverged trials and those out of memory are told as pruned: Optuna's TPE ignores failed trials and
        would suggest the like again, but counts pruned ones without a value among the worst.
        """
        if error is not None:
            trial.set_user_attr(_ERROR, error)
        if status is TrialStatus.COMPLETE:
            values = self.study._storage.get_trial(trial._trial_id).intermediate_values
            best = self.space.metric.best(values)
            self.study.tell(trial, values[best])
            return
        if status is not TrialStatus.PRUNED:
            trial.set_user_attr(_STATUS, str(status))
        state = TrialState.FAIL if status is TrialStatus.FAILED else TrialState.PRUNED
        self.study.tell(trial, state=state)

    def finished_trials(self) -> list[FrozenTrial]:
        """Trials that count toward the budget: all that ended, but for those cut off by the search's own end."""
        return [t for t in self.study.get_trials(deepcopy=False) if counts_as_finished(t)]

    @property
    def seconds_before(self) -> float:
        """Seconds searched in earlier sessions."""
        return float(self.study.user_attrs.get(_CLOCK, 0.0))

    def record_seconds(self, seconds: float) -> None:
        """Notes the seconds searched so far, earlier sessions included."""
        self.study.set_user_attr(_CLOCK, round(seconds, 3))


class StudyReader:
    """A finished or running study, read as trial records."""

    def __init__(self, study: optuna.Study) -> None:
        self.study = study

    @cached_property
    def space(self) -> SearchSpace:
        """The space that was searched.

        Raises:
            RunFolderError: the study is not one of ours.
        """
        content = self.study.user_attrs.get(_SPACE)
        if not isinstance(content, dict):
            raise RunFolderError(
                f"study {self.study.study_name}: not made by tuner (no space in it)"
            )
        return SearchSpace.from_mapping(content, "study.journal: space")

    @property
    def seconds(self) -> float:
        """Seconds searched so far."""
        return float(self.study.user_attrs.get(_CLOCK, 0.0))

    def records(self) -> list[TrialRecord]:
        """Every trial that was started, in the order of their numbers."""
        trials = self.study.get_trials(deepcopy=False)
        return [self.record(trial) for trial in trials if trial.state is not TrialState.WAITING]

    def record(self, trial: FrozenTrial) -> TrialRecord:
        """One trial in this package's words."""
        curve = {
            int(key.removeprefix(_EPOCH)): value
            for key, value in trial.user_attrs.items()
            if key.startswith(_EPOCH)
        }
        name = self.space.metric.name
        values = {
            epoch: metrics[name] for epoch, metrics in curve.items() if math.isfinite(metrics[name])
        }
        best = self.space.metric.best(values) if values else None
        facts = trial.user_attrs.get(_FACTS, {})
        return TrialRecord(
            number=trial.number,
            status=_status(trial),
            architecture=str(trial.params.get("architecture", "")),
            parameters=self.space.values(trial.params),
            curve=dict(sorted(curve.items())),
            best_epoch=best,
            score=values[best] if best is not None else None,
            baseline=is_baseline(trial),
            retry_of=trial.user_attrs.get(_RETRY_OF),
            seed=facts.get("seed"),
            host=facts.get("host"),
            device=facts.get("device"),
            weights=facts.get("weights"),
            started=trial.datetime_start,
            ended=trial.datetime_complete,
            error=trial.user_attrs.get(_ERROR),
        )


def ranked(records: Iterable[TrialRecord], mode: Mode) -> list[TrialRecord]:
    """Best first, in an order that two readers always agree on.

    Scores of trials that broke (diverged, failed, out of memory) say nothing of the configuration, so these come
    last; equal scores go to the earlier trial.
    """
    sign = -1.0 if mode is Mode.MAX else 1.0

    def key(record: TrialRecord) -> tuple[bool, float, int]:
        counts = record.status.is_ranked and record.score is not None
        return (not counts, sign * (record.score or 0.0) if counts else 0.0, record.number)

    return sorted(records, key=key)


def counts_as_finished(trial: FrozenTrial) -> bool:
    """Whether a trial used up one of the budget's."""
    return trial.state.is_finished() and trial.user_attrs.get(_ERROR) != _CUT_OFF


def is_baseline(trial: FrozenTrial) -> bool:
    """Whether a trial ran because the space names it as a baseline."""
    return bool(trial.user_attrs.get(_BASELINE, False))


def derive_seed(seed: int, purpose: str) -> int:
    """A seed of 31 bits for one purpose, independent of those for others."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


_CUT_OFF = "cut off when the search ended; run again under another number"


def _status(trial: FrozenTrial) -> TrialStatus:
    noted = trial.user_attrs.get(_STATUS)
    if noted is not None:
        return TrialStatus(noted)
    return {
        TrialState.COMPLETE: TrialStatus.COMPLETE,
        TrialState.PRUNED: TrialStatus.PRUNED,
        TrialState.FAIL: TrialStatus.FAILED,
    }.get(trial.state, TrialStatus.RUNNING)


def _make_sampler(name: SamplerName, *, seed: int, workers: int) -> optuna.samplers.BaseSampler:
    if name is SamplerName.RANDOM:
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # `group`, without which conditional parameters are sampled one by one, is still called experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=max(10, 2 * workers),
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )


def _make_pruner(name: PrunerName, max_epochs: int) -> optuna.pruners.BasePruner:
    if name is PrunerName.HALVING:
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if name is PrunerName.HYPERBAND:
        return optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=max_epochs, reduction_factor=3
        )
    return optuna.pruners.NopPruner()


def _is_known(study: optuna.Study, parameters: Mapping[str, Any]) -> bool:
    """Whether an earlier start was killed after it enqueued this baseline."""
    return any(
        trial.system_attrs.get("fixed_params") == dict(parameters)
        for trial in study.get_trials(deepcopy=False)
    )


def _has_retry(study: optuna.Study, number: int) -> bool:
    return any(
        trial.user_attrs.get(_RETRY_OF) == number for trial in study.get_trials(deepcopy=False)
    )
