"""The splits that a run's models learn from. Must not import Ray, Keras or Optuna."""

from enum import StrEnum

from tuner.data import Dataset, EncodedSequences, Split, joined
from tuner.settings.config import SearchConfig


class TrainOn(StrEnum):
    """The splits that finalists, or a linear reference, learn from."""

    TRAIN = "train"  # and the best epoch is chosen on the validation split, as in the search
    BOTH = "train+validation"  # for a number of epochs that is fixed beforehand


def rows_of(dataset: Dataset, train_on: TrainOn) -> EncodedSequences:
    """The sequences of these splits."""
    train = dataset.splits[Split.TRAIN]
    return train if train_on is TrainOn.TRAIN else joined([train, dataset.splits[Split.VALIDATION]])


def learned_by_reference(config: SearchConfig) -> TrainOn:
    """The splits that the linear reference of a search learns from: those that its trials together learn from."""
    return TrainOn.BOTH if config.rotate_validation else TrainOn.TRAIN
