"""A model's figures on sequences it does not learn from: loss, accuracy, F1 and every probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data import TOKENS_PER_BATCH, EncodedSequences, evaluation_batches, pad
from tuner.training.confusion import Confusion
from tuner.training.spec import HeldOutFigures

_SMALLEST = 1e-7  # Keras' own epsilon: a loss stays finite for a sure and wrong model


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on `n` sequences."""

    loss: float  # mean negative log-likelihood of the true classes
    accuracy: float
    f1: float  # unweighted mean over the classes that occur as label or prediction
    f1_positive: float | None  # of the second of two classes; None of more classes
    balanced_accuracy: float  # mean recall of the classes that are labelled
    probabilities: NDArray[np.float32]  # (n, n_classes), rows in the order of the sequences

    def held_out(self, epoch: int, *, seconds_per_text: float | None = None) -> HeldOutFigures:
        """The figures of a model with an epoch's weights, where nothing was chosen by these sequences."""
        return HeldOutFigures(
            epoch=epoch,
            loss=self.loss,
            accuracy=self.accuracy,
            f1=self.f1,
            seconds_per_text=seconds_per_text,
            f1_positive=self.f1_positive,
            balanced_accuracy=self.balanced_accuracy,
        )


def evaluate(
    model: Any,
    sequences: EncodedSequences,
    *,
    n_classes: int,
    widths: Sequence[int] | None = None,
) -> Evaluation:
    """The figures of `model`, a Keras model, on `sequences`, already cut to its vocabulary and length.

    Args:
        widths: see `predict`.
    """
    probabilities = predict(model, sequences, n_classes=n_classes, widths=widths)
    return evaluation_of(probabilities, sequences.labels)


def evaluation_of(probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> Evaluation:
    """The figures of `(n, n_classes)` probabilities, of sequences with these labels."""
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = Confusion.of(labels, predicted, n_classes)
    return Evaluation(
        loss=float(losses(probabilities, labels).mean()),
        accuracy=float((predicted == labels).mean()),
        f1=confusion.macro_f1,
        f1_positive=confusion.f1_positive if n_classes == 2 else None,
        balanced_accuracy=confusion.balanced_accuracy,
        probabilities=probabilities,
    )


def losses(probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Each sequence's negative log-likelihood of its true class, `(n,)`; NaN where the probability is.

    Args:
        probabilities: `(n, n_classes)`.
        labels: `(n,)`.
    """
    of_true_class = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    clipped: NDArray[np.float64] = np.clip(of_true_class, _SMALLEST, 1 - _SMALLEST)
    return -np.log(clipped)


def predict(
    model: Any,
    sequences: EncodedSequences,
    *,
    n_classes: int,
    widths: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """`(n, n_classes)` float32 probabilities, in large batches of similar length, rows in the order given.

    Args:
        widths: of all batches, see `tuner.data.pad`; all batches of one width then have one size, too.
    """
    probabilities = np.empty((len(sequences), n_classes), np.float32)
    for indices in evaluation_batches(sequences.lengths, widths=widths):
        ids = pad(sequences, indices, widths=widths)
        if widths is not None:
            ids = np.resize(ids, (max(1, TOKENS_PER_BATCH // ids.shape[1]), ids.shape[1]))
        output = np.asarray(model.predict_on_batch(ids))[: len(indices)]
        probabilities[indices] = np.hstack([1 - output, output]) if n_classes == 2 else output
    return probabilities


def mean_probabilities(
    members: Sequence[NDArray[np.float32]], weights: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """An ensemble's prediction: its members' probabilities averaged, `(n, n_classes)`.

    Args:
        weights: of the members, relative to each other; None: all alike.
    """
    averaged: NDArray[np.float32] = np.average(np.stack(members), axis=0, weights=weights)
    return averaged.astype(np.float32)
