"""The trainings of a run's confirmations, read from their study: requested, still to run, or ended.

`confirmed` gives those that make the run's finalists.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.errors import RunFolderError
from tuner.finalists.request import TrainOn
from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.optuna_internals import fail_waiting, set_user_attributes
from tuner.run.records import counts_as_finished, is_interrupted
from tuner.run.trial_status import TrialStatus
from tuner.text import one_line


@dataclass(frozen=True)
class RequestedTraining:
    """One trial of the search, to be trained again in one way with one seed."""

    finalist: int  # the search's trial
    seed: int
    stop_after: int | None  # epochs, where their number is fixed beforehand
    train_on: TrainOn

    @property
    def attributes(self) -> dict[str, object]:
        """As a trial of the confirmation's study has it."""
        return {
            str(Attribute.FINALIST): self.finalist,
            str(Attribute.SEED): self.seed,
            str(Attribute.STOP_AFTER): self.stop_after,
            str(Attribute.TRAIN_ON): str(self.train_on),
        }


def training_of(trial: FrozenTrial) -> RequestedTraining | None:
    """The training of a trial of the confirmation's study; None where its attributes name none."""
    attributes = trial.user_attrs
    try:
        return RequestedTraining(
            finalist=int(attributes[Attribute.FINALIST]),
            seed=int(attributes[Attribute.SEED]),
            stop_after=attributes.get(Attribute.STOP_AFTER),
            train_on=TrainOn(attributes[Attribute.TRAIN_ON]),
        )
    except (KeyError, TypeError, ValueError):
        return None


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
    return folder.finalist_model(training.finalist, training.seed).is_file()


def ended_trials(study: optuna.Study) -> dict[RequestedTraining, FrozenTrial]:
    """The last trial of every training that has ended, however it ended."""
    return {
        training: trial
        for trial in study.get_trials(deepcopy=False)
        if counts_as_finished(trial) and (training := training_of(trial)) is not None
    }


# -- requests -------------------------------------------------------------------------------------


def record_request(study: optuna.Study, trainings: Iterable[RequestedTraining]) -> None:
    """Records these trainings as the last request."""
    request = [_listed(each) for each in trainings]
    earlier = list(study.user_attrs.get(Attribute.REQUESTS, []))
    if not earlier or earlier[-1] != request:
        study.set_user_attr(Attribute.REQUESTS, [*earlier, request])


def requests(study: optuna.Study) -> list[list[RequestedTraining]]:
    """The requests so far, the latest one last.

    Raises:
        RunFolderError: the study is damaged.
    """
    given = study.user_attrs.get(Attribute.REQUESTS, [])
    try:
        return [
            [
                RequestedTraining(int(finalist), int(seed), epochs, TrainOn(way))
                for finalist, seed, epochs, way in request
            ]
            for request in given
        ]
    except (TypeError, ValueError) as cause:
        raise RunFolderError(
            f"study.journal: damaged ({Attribute.REQUESTS} must be lists of trainings, got "
            f"{one_line(repr(given))[:80]}); restore it from a backup, or search again under another --name"
        ) from cause


def _listed(training: RequestedTraining) -> list[object]:
    return [training.finalist, training.seed, training.stop_after, str(training.train_on)]


def confirmed(study: optuna.Study) -> list[RequestedTraining]:
    """The trainings of the last request that has ended, and of earlier ones that learned from the same, each once."""
    ended = ended_trials(study)
    complete = [each for each in requests(study) if all(one in ended for one in each)]
    ways = {one.train_on for one in complete[-1]} if complete else set()
    return list(dict.fromkeys(one for each in complete for one in each if one.train_on in ways))


def in_progress(study: optuna.Study) -> list[RequestedTraining]:
    """The trainings of the last request, whether they have ended or not."""
    return (requests(study) or [[]])[-1]


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
