"""A model's figures on sequences it does not learn from: loss, accuracy, macro F1 and every probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data import EncodedSequences, evaluation_batches, pad
from tuner.training.confusion import Confusion

_SMALLEST = 1e-7  # Keras' own epsilon: a loss stays finite for a sure and wrong model


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on `n` sequences."""

    loss: float  # mean negative log-likelihood of the true classes
    accuracy: float
    f1: float  # unweighted mean over the classes that occur as label or prediction
    probabilities: NDArray[np.float32]  # (n, n_classes), rows in the order of the sequences


def evaluate(model: Any, sequences: EncodedSequences, *, n_classes: int) -> Evaluation:
    """The figures of `model`, a Keras model, on `sequences`, already cut to its vocabulary and length."""
    probabilities = predict(model, sequences, n_classes=n_classes)
    labels = sequences.labels
    predicted = probabilities.argmax(axis=1)
    return Evaluation(
        loss=float(losses(probabilities, labels).mean()),
        accuracy=float((predicted == labels).mean()),
        f1=Confusion.of(labels, predicted, n_classes).macro_f1,
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


def predict(model: Any, sequences: EncodedSequences, *, n_classes: int) -> NDArray[np.float32]:
    """`(n, n_classes)` float32 probabilities, in large batches of similar length, rows in the order given."""
    probabilities = np.empty((len(sequences), n_classes), np.float32)
    for indices in evaluation_batches(sequences.lengths):
        output = np.asarray(model.predict_on_batch(pad(sequences, indices)))
        probabilities[indices] = np.hstack([1 - output, output]) if n_classes == 2 else output
    return probabilities


def mean_probabilities(members: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """An ensemble's prediction: its members' probabilities averaged, `(n, n_classes)`."""
    averaged: NDArray[np.float32] = np.stack(members).mean(axis=0).astype(np.float32)
    return averaged
