"""A trial's input, its results epoch by epoch, and the seeds that follow from a run's seed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tuner.data import EncodedSequences
from tuner.run.epoch_parts import EpochPart
from tuner.settings.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides a trial's figures, given the data."""

    number: int
    hyperparameters: Hyperparameters
    seed: int
    max_epochs: int
    # Epochs, where their number is fixed beforehand.
    stop_after: int | None = None
    # It ends after so many epochs without a lower validation loss; None: it does not end for that.
    patience: int | None = None
    # Whether it stops within the schedule of `max_epochs`, as the training did whose best epoch `stop_after` is.
    stops_within_schedule: bool = False
    # The part of the rows that validates it, see `tuner.data.rotation`.
    part: int = 0

    @property
    def epochs(self) -> int:
        """The most epochs that it trains."""
        return self.max_epochs if self.stop_after is None else self.stop_after

    @property
    def schedule_epochs(self) -> int:
        """The epochs that the learning rate's schedule spans.

        A rate that decays reaches its end in the last epoch, also where that was fixed beforehand: in the middle of the
        decay the weights have not settled. A warm-up alone has the steps that it has in a search. A training that
        repeats another one up to its best epoch has that one's rates.
        """
        if self.stops_within_schedule or not self.hyperparameters.schedule.decays:
            return self.max_epochs
        return self.epochs

    def is_over(self, val_losses: Sequence[float]) -> bool:
        """Whether it has trained to its end, by the validation losses of its epochs so far, at least one.

        By nothing else, so that a trial that runs again or goes on from a checkpoint ends where it would have ended.
        """
        if len(val_losses) >= self.epochs:
            return True
        since_best = len(val_losses) - 1 - val_losses.index(min(val_losses))
        return self.patience is not None and since_best >= self.patience


@dataclass(frozen=True)
class EpochResult:
    """One epoch's figures. `seconds` holds its training and its validation, not the building of the model."""

    epoch: int  # counted from 1
    loss: float  # over the epoch's batches, with dropout, while the weights moved
    accuracy: float  # over the same batches
    val_loss: float
    val_accuracy: float
    val_f1: float  # unweighted mean over the classes
    seconds: float
    # See `Evaluation`; None in a checkpoint of an earlier version, the F1 also of more than two classes.
    val_f1_positive: float | None = None
    val_balanced_accuracy: float | None = None
    # The standard error of `val_accuracy` over further clusters; None where each sequence is its own, and of one alone.
    val_accuracy_error: float | None = None


@dataclass(frozen=True)
class HeldOutFigures:
    """A trained model's figures on sequences that nothing was chosen by."""

    epoch: int  # whose weights the model has
    loss: float
    accuracy: float
    f1: float
    seconds_per_text: float | None = (
        None  # of predicting, where it trained; None where not measured
    )
    f1_positive: float | None = None  # as in `EpochResult`
    balanced_accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """The part of a trial that is kept: its weights, and its probabilities on the held-out sequences."""

    figures: HeldOutFigures
    # (n_held_out, n_classes), rows in the order of the sequences
    probabilities: NDArray[np.float32]
    weights: tuple[NDArray[Any], ...]  # in Keras' order
    vocabulary_size: int  # ids that the model knows: no more than occur in what it learned from
    # Likewise on the validation sequences, which chose the epoch; None where they are not known.
    validation: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class LinearShape:
    """What the linear reference has in place of hyperparameters."""

    max_length: int  # last tokens of a sequence that it reads


class TrainsByEpoch(Protocol):
    """The interface of a trial in progress, as a search uses it."""

    @property
    def weights(self) -> int:
        """Number of the model's weights."""

    @property
    def epochs_taken_up(self) -> int:
        """Epochs that another process has trained, whose figures a checkpoint has brought; once it trains."""

    @property
    def device(self) -> str:
        """The device that it trains on: "cpu", or a GPU's name."""

    def progress(self, every_s: float) -> Iterator[EpochResult | EpochPart]:
        """Trains, giving each epoch's figures as it ends, and how far a long epoch is.

        Args:
            every_s: seconds from a part of an epoch to the next one; its figures do not depend on it.

        Raises:
            TrialDiverged: the loss became NaN or infinite.
            TrialOutOfMemory: memory ran out.
            DeviceFault: its GPU failed.
            TrialFailed: anything else went wrong in training.
        """

    def finish(self, held_out: EncodedSequences) -> TrainedModel:
        """The model of the best epoch (of the last one, where `stop_after` is set), measured on `held_out`.

        The trial can go on afterwards as if nothing had happened.

        Raises:
            TrialOutOfMemory, DeviceFault, TrialFailed: it cannot be measured.
        """


def epochs_of(progress: Iterator[EpochResult | EpochPart]) -> Iterator[EpochResult]:
    """The epochs alone."""
    return (each for each in progress if isinstance(each, EpochResult))


def derive_seed(seed: int, purpose: str) -> int:
    """A seed of 31 bits that follows from `seed`, for one purpose, independent of those for others."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
