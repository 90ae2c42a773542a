"""The trainings of a run's confirmations that have ended: those that make its finalists, and those without a model.

Must not import Ray or Keras.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.records import counts_as_finished
from tuner.run.requested_trainings import RequestedTraining, requests, training_of
from tuner.text import count_text

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Failure:
    """Trainings of a finalist that gave no model."""

    trial: int
    count: int
    out_of: int  # trainings that were requested
    reason: str  # of the last one

    @property
    def text(self) -> str:
        """The seeds that a finalist's figures leave out."""
        return (
            f"Trial {self.trial}: {self.count} of {count_text(self.out_of, 'seed')} gave no model and are "
            f"not part of these figures ({self.reason})."
        )


def ended_trials(study: "Study") -> dict[RequestedTraining, "FrozenTrial"]:
    """The last trial of every training that has ended, however it ended."""
    return {
        training: trial
        for trial in study.get_trials(deepcopy=False)
        if counts_as_finished(trial) and (training := training_of(trial)) is not None
    }


def confirmed(study: "Study") -> list[RequestedTraining]:
    """The trainings of the last request that has ended, and of earlier ones that learned from the same, each once.

    Of a finalist that was requested with several numbers of epochs, only those with the latest: others are seeds of
    another training.
    """
    ended = ended_trials(study)
    complete = [each for each in requests(study) if all(one in ended for one in each)]
    ways = {one.train_on for one in complete[-1]} if complete else set()
    alike = [one for each in complete for one in each if one.train_on in ways]
    latest = {one.trial: one.stop_after for one in alike}
    return list(dict.fromkeys(one for one in alike if one.stop_after == latest[one.trial]))


def failures(study: "Study", folder: RunFolder) -> list[Failure]:
    """The finalists of the last confirmation that has ended with fewer models than requested, and the reason."""
    trainings, ended = confirmed(study), ended_trials(study)
    lost: dict[int, list[str]] = defaultdict(list)
    for training in trainings:
        trial = ended[training]
        if not folder.finalist_model(training.trial, training.seed).is_file():
            what = trial.user_attrs.get(Attribute.STATUS) or trial.state.name.lower()
            error = trial.user_attrs.get(Attribute.ERROR)
            is_removed = Attribute.HELD_OUT in trial.user_attrs
            lost[training.trial].append(
                "its file was removed" if is_removed else f"{what}: {error}"
            )
    asked = [training.trial for training in trainings]
    return [
        Failure(number, len(reasons), asked.count(number), reasons[-1])
        for number, reasons in lost.items()
    ]
