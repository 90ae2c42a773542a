"""Reads a study: its trials as records, and their order.

Leaderboard, report, live table and resume all read trials here. Must not import Ray or Keras.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import assert_never

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.errors import RunFolderError
from tuner.run.attributes import Attribute
from tuner.run.ensemble import EnsembleRecord, ensemble_in
from tuner.run.sessions import Session, seconds_between, sessions_in
from tuner.run.study_records import number_in
from tuner.run.trial_status import TrialStatus
from tuner.settings.hyperparameters import Scalar
from tuner.settings.metric import Metric
from tuner.settings.objectives import Cost, FrontTrial, Objectives, Values, make_objectives
from tuner.settings.space import SearchSpace
from tuner.text import one_line

RUNS_AGAIN = "runs again when it is continued"  # the end of an interrupted trial's reason


@dataclass(frozen=True)
class TrialRecord:
    """One trial, with everything that the study knows about it."""

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
    code: str | None = None  # a digest of the architecture's code, where it is a person's own
    tries: int = 1  # how often these parameters have run, with this trial
    starter: str | None = None  # the trial of an earlier run that has the same configuration
    # Of the rows, which validated it; None where the same rows validate all.
    part: int | None = None
    interrupted: bool = False  # its parameters run again
    superseded: bool = False  # they have begun to

    @property
    def ranked_score(self) -> float | None:
        """The score, where it is evidence about the configuration.

        The score of a trial that broke (diverged, failed, out of memory) does not. A trial that runs again is
        represented by its next try.
        """
        return self.score if self.status.is_ranked and not self.superseded else None

    @property
    def trained_s(self) -> float:
        """Seconds of its epochs, training and validation together."""
        return sum(metrics.get("seconds", 0.0) for metrics in self.curve.values())

    @property
    def seconds(self) -> float | None:
        """Wall-clock from start to end; None while it runs.

        The end of an interrupted trial is not known: its epochs' seconds count.
        """
        if self.interrupted:
            return self.trained_s
        if self.started is None or self.ended is None:
            return None
        return seconds_between(self.started, self.ended, at_least=self.trained_s)

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median over the epochs, training and validation together."""
        # A damaged journal may lack some.
        times = sorted(each["seconds"] for each in self.curve.values() if "seconds" in each)
        if not times:
            return None
        middle = len(times) // 2
        return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2

    def cost(self, cost: Cost) -> float | None:
        """The trial's cost; None while it is not known."""
        match cost:
            case Cost.WEIGHTS:
                return self.weights
            case Cost.SECONDS_PER_EPOCH:
                return self.seconds_per_epoch
            case _:
                assert_never(cost)


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
        content = self.study.user_attrs.get(Attribute.SPACE)
        if not isinstance(content, dict):
            raise RunFolderError(
                f"study {self.study.study_name}: not made by tuner, or cut short (no space in it); "
                "search again under another --name"
            )
        return SearchSpace.from_mapping(content, "study.journal: space")

    @cached_property
    def objectives(self) -> Objectives:
        """The objectives that the trials are compared by.

        Raises:
            RunFolderError: the study holds something else.
        """
        metric = self.space.metric
        if len(self.study.directions) == 1:
            return make_objectives(metric, None)
        names = self.study.metric_names
        directions = [str(direction.name).lower() for direction in self.study.directions]
        for cost in Cost:
            objectives = make_objectives(metric, cost)
            if (objectives.names, objectives.directions) == (names, directions):
                return objectives
        raise RunFolderError(
            f"study {self.study.study_name}: its objectives {one_line(repr(names))} are none of tuner's; "
            "search again under another --name"
        )

    @property
    def sessions(self) -> list[Session]:
        """The sessions that the study records; empty for a run made before sessions were recorded.

        Raises:
            RunFolderError: one of them is damaged.
        """
        return sessions_in(self.study.user_attrs, self.seconds)

    @property
    def ensemble(self) -> EnsembleRecord | None:
        """The best trials averaged; None where no trials' weights were kept.

        Raises:
            RunFolderError: the record is damaged.
        """
        return ensemble_in(self.study.user_attrs)

    @property
    def n_from_narrower(self) -> int:
        """How many of the first trials were drawn from narrower spaces than this one.

        Raises:
            RunFolderError: the study holds something else.
        """
        return int(number_in(self.study.user_attrs, Attribute.NARROWER))

    @property
    def seconds(self) -> float:
        """Seconds searched so far.

        Raises:
            RunFolderError: the study holds something else.
        """
        return number_in(self.study.user_attrs, Attribute.SECONDS)

    def records(self) -> list[TrialRecord]:
        """Every trial that was started, in the order of their numbers."""
        trials = self.study.get_trials(deepcopy=False)
        begun = [trial for trial in trials if trial.state is not TrialState.WAITING]
        run_again = {trial.user_attrs.get(Attribute.RETRY_OF): trial.number for trial in begun}
        tries: dict[int | None, int] = {}  # by trial; the one that runs again has the larger number
        records = []
        for trial in begun:
            record = self.record(trial)
            tries[record.number] = 1 + tries.get(record.retry_of, 0)
            record = replace(record, tries=tries[record.number])
            if record.number in run_again:
                later = f"runs again as trial {run_again[record.number]}"
                error = record.error and record.error.replace(RUNS_AGAIN, later)
                record = replace(record, superseded=True, error=error)
            records.append(record)
        return records

    def record(self, trial: FrozenTrial) -> TrialRecord:
        """One trial as a record.

        Raises:
            RunFolderError: its entry in the study is damaged.
        """
        try:
            return self._record(trial)
        except (AttributeError, KeyError, TypeError, ValueError) as cause:
            raise RunFolderError(
                f"study {self.study.study_name}: trial {trial.number} is damaged ({one_line(repr(cause))}); "
                "restore study.journal from a backup, or search again under another --name"
            ) from cause

    def is_suggested(self, record: TrialRecord) -> bool:
        """Whether all of a trial's parameters are known: they are written one after the other."""
        if record.architecture not in self.space.architectures:
            return False
        return len(record.parameters) == len(self.space.parameters(record.architecture))

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        curve = {
            int(key.removeprefix(Attribute.EPOCH)): value
            for key, value in trial.user_attrs.items()
            if key.startswith(Attribute.EPOCH)
        }
        metric = self.space.metric
        best = best_epoch_of(curve, metric)
        facts = trial.user_attrs.get(Attribute.FACTS, {})
        return TrialRecord(
            number=trial.number,
            status=_status(trial),
            architecture=str(trial.params.get("architecture", "")),
            parameters=self.space.values(trial.params),
            curve=dict(sorted(curve.items())),
            best_epoch=best,
            score=curve[best][metric.name] if best is not None else None,
            baseline=is_baseline(trial),
            retry_of=trial.user_attrs.get(Attribute.RETRY_OF),
            seed=facts.get("seed"),
            host=facts.get("host"),
            device=facts.get("device"),
            weights=facts.get("weights"),
            code=facts.get("code"),
            part=facts.get("part"),
            started=trial.datetime_start,
            ended=trial.datetime_complete,
            error=trial.user_attrs.get(Attribute.ERROR),
            starter=trial.user_attrs.get(Attribute.STARTER),
            interrupted=is_interrupted(trial),
        )


def ranked(records: Iterable[TrialRecord], metric: Metric) -> list[TrialRecord]:
    """Best first, in an order that two readers always agree on.

    Trials without a ranked score come last; equal scores go to the earlier trial.
    """
    return sorted(records, key=lambda each: (metric.sort_key(each.ranked_score), each.number))


def best_epoch_of(curve: Mapping[int, Mapping[str, float]], metric: Metric) -> int | None:
    """The epoch with the best value of `metric` that is a number, the earliest of equals; None where there is none."""
    values = {epoch: metrics[metric.name] for epoch, metrics in curve.items()}
    finite = {epoch: value for epoch, value in values.items() if math.isfinite(value)}
    return metric.best_epoch(finite) if finite else None


def best_of(records: Iterable[TrialRecord], metric: Metric) -> TrialRecord | None:
    """The first of the ranked ones; None while there is no ranked score."""
    return next(iter(ranked((r for r in records if r.ranked_score is not None), metric)), None)


def values_of(record: TrialRecord, objectives: Objectives) -> Values | None:
    """A trial's ranked score and its cost, as far as these are objectives; None while one of them is not known."""
    values = [record.ranked_score, *(record.cost(cost) for cost in objectives.costs)]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def on_front(records: Iterable[TrialRecord], objectives: Objectives) -> list[TrialRecord]:
    """The ranked trials that no other trial beats on both objectives, best score first; none by the metric alone.

    Running trials count with what they have reached so far, as they do in the ranking.
    """
    known, values = _comparable(records, objectives)
    return [known[position] for position in objectives.front(values)]


def contenders(records: Iterable[TrialRecord], objectives: Objectives) -> list[TrialRecord]:
    """The ranked trials that a person may choose from: the front, or all where the metric is the only objective."""
    known, values = _comparable(records, objectives)
    return [known[position] for position in objectives.contenders(values)]


def front_trials(leaders: Iterable[TrialRecord], objectives: Objectives) -> tuple[FrontTrial, ...]:
    """The trials on a front, in the order given, as they are shown to a person."""
    return tuple(
        FrontTrial(record.number, record.architecture, *values)
        for record in leaders
        if (values := values_of(record, objectives)) is not None
    )


def _comparable(
    records: Iterable[TrialRecord], objectives: Objectives
) -> tuple[list[TrialRecord], list[Values]]:
    """The trials whose values are known, best score first, and these values."""
    pairs = [
        (record, values_of(record, objectives)) for record in ranked(records, objectives.metric)
    ]
    known = [(record, values) for record, values in pairs if values is not None]
    return [record for record, _ in known], [values for _, values in known]


def counts_as_finished(trial: FrozenTrial) -> bool:
    """Whether a trial counts toward the budget."""
    return trial.state.is_finished() and not is_interrupted(trial)


def is_interrupted(trial: FrozenTrial) -> bool:
    """Whether the end of the search, or the death of the process, came before the trial's result. It runs again."""
    return bool(trial.user_attrs.get(Attribute.INTERRUPTED, False))


def is_to_continue(trial: FrozenTrial) -> bool:
    """Whether the trial has not ended and may go on from a checkpoint: it runs, or waits to run again."""
    is_retry = Attribute.RETRY_OF in trial.user_attrs
    return not trial.state.is_finished() and (is_retry or trial.state is TrialState.RUNNING)


def deaths_before(trial: FrozenTrial) -> int:
    """How often the process that trained these parameters died before this trial."""
    return int(number_in(trial.user_attrs, Attribute.DEATHS))


def failed_on(trial: FrozenTrial) -> list[str]:
    """The nodes that earlier tries of a trial failed on, by Ray's ids; one per try."""
    found = trial.user_attrs.get(Attribute.FAILED_ON)
    return [str(each) for each in found] if isinstance(found, list) else []


def is_baseline(trial: FrozenTrial) -> bool:
    """Whether a trial ran because the space names it as a baseline."""
    return bool(trial.user_attrs.get(Attribute.BASELINE, False))


def _status(trial: FrozenTrial) -> TrialStatus:
    if Attribute.RAN_OUT in trial.user_attrs:  # it runs again, with a larger share of its GPU
        return TrialStatus.OUT_OF_MEMORY
    if is_interrupted(trial) and any(key.startswith(Attribute.EPOCH) for key in trial.user_attrs):
        return TrialStatus.PRUNED  # the epochs until then count
    noted = trial.user_attrs.get(Attribute.STATUS)
    if noted is not None:
        return TrialStatus(noted)
    return {
        TrialState.COMPLETE: TrialStatus.COMPLETE,
        TrialState.PRUNED: TrialStatus.PRUNED,
        TrialState.FAIL: TrialStatus.FAILED,
    }.get(trial.state, TrialStatus.RUNNING)
