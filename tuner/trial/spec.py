"""What goes into a trial and what comes out of it, an epoch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tuner.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides a trial's figures, given the data."""

    number: int
    hyperparameters: Hyperparameters
    seed: int
    max_epochs: int


@dataclass(frozen=True)
class EpochResult:
    """One epoch's figures. `seconds` holds its training and its validation, not the building of the model."""

    epoch: int  # counted from 1
    loss: float  # over the epoch's batches, with dropout, while the weights moved
    accuracy: float  # likewise
    val_loss: float
    val_accuracy: float
    val_f1: float  # unweighted mean over the classes
    seconds: float


class TrainsByEpoch(Protocol):
    """What a search needs of a trial in progress."""

    @property
    def weights(self) -> int:
        """Number of the model's weights."""

    @property
    def device(self) -> str:
        """What it trains on: "cpu", or a GPU's name."""

    def epochs(self) -> Iterator[EpochResult]:
        """Trains, giving each epoch's figures as it ends; ends early when the trial is asked to stop.

        Raises:
            TrialDiverged: the loss became NaN or infinite.
            TrialOutOfMemory: memory ran out.
            TrialFailed: anything else went wrong in training.
        """


def never() -> bool:
    """The `should_stop` of a trial that nobody stops."""
    return False
