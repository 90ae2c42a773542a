"""The trainings of a run's confirmations: the trials they repeat, and those still to run or settled."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.optuna_internals import fail_waiting, set_user_attributes
from tuner.run.records import TrialRecord, counts_as_finished, is_interrupted, ranked
from tuner.run.requested_trainings import RequestedTraining, training_of
from tuner.run.trial_status import TrialStatus
from tuner.settings.space import SearchSpace


def best_distinct(
    records: Sequence[TrialRecord], space: SearchSpace, count: int
) -> list[TrialRecord]:
    """The best trials, no two with the same architecture and parameters.

    Trials that are equal in these have the mean of their scores: the best one alone would owe its place to its seed.
    """
    equal: dict[tuple[str, str], list[TrialRecord]] = {}
    for record in ranked(records, space.metric):
        if record.ranked_score is not None:
            equal.setdefault(configuration_of(record), []).append(record)
    order = sorted(
        equal.values(),
        key=lambda trials: space.metric.sort_key(
            fmean(each.ranked_score for each in trials if each.ranked_score is not None)
        ),
    )
    return [trials[0] for trials in order[:count]]


def configuration_of(record: TrialRecord) -> tuple[str, str]:
    """What equal trials have in common: architecture and parameters."""
    return record.architecture, repr(sorted(record.parameters.items()))


def as_in_last_tries(records: Sequence[TrialRecord]) -> Iterator[TrialRecord]:
    """Each trial with its number and the figures of the last of its tries that has a score.

    A trial may run again after it was confirmed, and models of finalists have its number in their names.
    """
    run_again = {each.retry_of: each for each in records if each.retry_of is not None}
    for record in records:
        last, later = record, run_again.get(record.number)
        while later is not None:
            last = later if later.ranked_score is not None else last
            later = run_again.get(later.number)
        yield replace(last, number=record.number)


def settled(study: optuna.Study, folder: RunFolder) -> set[RequestedTraining]:
    """The trainings that need not run again: their model is there, or they diverged.

    A training that failed or ran out of memory may work with another share of the machine.
    """
    return {
        training
        for trial in study.get_trials(deepcopy=False)
        if counts_as_finished(trial)
        and (training := training_of(trial)) is not None
        and (_diverged(trial) or _has_model(trial, training, folder))
    }


def _diverged(trial: FrozenTrial) -> bool:
    return trial.user_attrs.get(Attribute.STATUS) == TrialStatus.DIVERGED


def _has_model(trial: FrozenTrial, training: RequestedTraining, folder: RunFolder) -> bool:
    """False where its file was removed."""
    if trial.state is not TrialState.COMPLETE or Attribute.HELD_OUT not in trial.user_attrs:
        return False
    return folder.finalist_model(training.trial, training.seed).is_file()


# -- starting -------------------------------------------------------------------------------------


def retire_others(study: optuna.Study, wanted: Iterable[RequestedTraining]) -> None:
    """Fails the open trials of an interrupted confirmation that are not requested now, so that they are not trained."""
    kept = set(wanted)
    open_states = (TrialState.WAITING, TrialState.RUNNING)
    for trial in study.get_trials(deepcopy=False, states=open_states):
        if training_of(trial) not in kept:
            set_user_attributes(
                study, trial, {Attribute.INTERRUPTED: True, Attribute.ERROR: "no longer asked for"}
            )
            fail_waiting(study, trial)


def still_open(study: optuna.Study) -> set[RequestedTraining]:
    """The trainings that wait, or that were interrupted and will run again."""
    return {
        training
        for trial in study.get_trials(deepcopy=False)
        if not trial.state.is_finished()
        and not is_interrupted(trial)
        and (training := training_of(trial)) is not None
    }
