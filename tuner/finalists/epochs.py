"""How many epochs a finalist trains where no split is left to choose its best one: with `--train-on train+validation`.

The best epoch of one training is the highest of a few noisy values, and that of a trial that was stopped is no
measurement. So the number is a median over trainings that ended in order. Must not import Ray or Keras.
"""

import math
import statistics
from collections.abc import Sequence

import optuna

from tuner.run.attributes import Attribute
from tuner.run.ended_trainings import ended_trials
from tuner.run.records import TrialRecord
from tuner.run.train_on import TrainOn
from tuner.run.trial_status import TrialStatus


def fixed_epochs(
    finalist: TrialRecord, records: Sequence[TrialRecord], fresh: Sequence[int], max_epochs: int
) -> int:
    """The median best epoch, halves rounded up: of fresh seeds where there are any, else of complete trials.

    The trials are those of the finalist's architecture, or all where none of these is complete. Where no trial is
    complete, it is `max_epochs`.

    Args:
        records: of the search.
        fresh: the best epochs of fresh seeds of this finalist, from `best_epochs_on_train`.
    """
    complete = [each for each in records if each.status is TrialStatus.COMPLETE]
    alike = [each for each in complete if each.architecture == finalist.architecture]
    found = [each.best_epoch for each in alike or complete if each.best_epoch is not None]
    epochs = fresh or found or [max_epochs]
    return math.floor(statistics.median(epochs) + 0.5)


def best_epochs_on_train(confirmation: optuna.Study | None, finalist: int) -> list[int]:
    """The best epochs of the fresh seeds of a finalist that learned from the training split alone."""
    if confirmation is None:
        return []
    return [
        int(trial.user_attrs[Attribute.HELD_OUT]["epoch"])
        for training, trial in ended_trials(confirmation).items()
        if (training.trial, training.train_on) == (finalist, TrainOn.TRAIN)
        and Attribute.HELD_OUT in trial.user_attrs
    ]
