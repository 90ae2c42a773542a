"""How good a model's probabilities are, whatever its labels: calibration, Brier score, ROC AUC.

Must not import Ray or Keras.
"""

import numpy as np
from numpy.typing import NDArray


def expected_calibration_error(
    probabilities: NDArray[np.float32], labels: NDArray[np.int32], *, bins: int = 15
) -> float:
    """How far confidence and accuracy lie apart on average, over bins of equal count.

    Bins of equal width would leave those under 1/n_classes empty (Roelofs et al., 2022). In every bin chance alone
    keeps confidence and accuracy apart. So one half of a bin tells the direction and the other half the distance, and
    both ways are averaged: without any error that gives 0 on average.

    Args:
        probabilities: `(n, n_classes)`.
        labels: `(n,)`.
        bins: of few sequences there are fewer, of 20 each.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    hits = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    _, group, count = np.unique(confidence, return_inverse=True, return_counts=True)
    hits = (np.bincount(group, hits) / count)[group]  # equal confidences have no order
    distance = hits - confidence
    order = np.argsort(confidence, kind="stable")
    error = 0.0
    for inside in np.array_split(order, max(1, min(bins, len(labels) // 20))):
        one, other = (float(distance[inside[start::2]].mean()) for start in (0, len(inside) > 1))
        both = np.sign(one) * other + np.sign(other) * one
        error += len(inside) / len(labels) * float(both) / 2
    return max(0.0, error)


def brier_score(probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The mean squared distance of the probabilities from what was true: 0 is best (Brier, 1950).

    Summed over classes, of two classes that of one of them, as scikit-learn does.

    Args:
        probabilities: `(n, n_classes)`.
        labels: `(n,)`.
    """
    distances = probabilities.astype(np.float64)
    distances[np.arange(len(labels)), labels] -= 1
    total = float((distances**2).sum(axis=1).mean())
    return total / 2 if probabilities.shape[1] == 2 else total


def roc_auc(scores: NDArray[np.float32], positives: NDArray[np.bool_]) -> float:
    """The chance that a positive is scored above a negative, ties counted half (Mann and Whitney's U).

    Args:
        scores: `(n,)`.
        positives: `(n,)`; both kinds must occur.
    """
    order = np.argsort(scores, kind="stable")
    _, first, counts = np.unique(scores[order], return_index=True, return_counts=True)
    ranks = np.empty(len(scores))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)  # the mean rank of those that tie
    n_positive = int(positives.sum())
    n_negative = len(positives) - n_positive
    above = ranks[positives].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))
