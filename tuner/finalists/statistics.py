"""How sure a finalist's accuracy is, over its seeds and the sequences it was confirmed on; which finalists differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# 97.5 % quantiles of Student's t distribution with 1 to 30 degrees of freedom; from there on the normal one is near.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL = 1.960


@dataclass(frozen=True)
class Accuracy:
    """A configuration's accuracy on sequences that nothing was chosen by.

    Attributes:
        mean: over the seeds.
        deviation: between the seeds' accuracies, the sample's; None of a single seed.
        low, high: a 95 % interval of what further seeds would reach on further sequences on average.
    """

    mean: float
    deviation: float | None
    low: float
    high: float


def accuracy_of(hits: NDArray[np.bool_]) -> Accuracy:
    """The accuracy of one configuration.

    The mean's variance has two parts: of the seeds, and of the sequences, which all seeds share.

    Args:
        hits: `(n_seeds, n_sequences)`, whether a seed's model was right.
    """
    by_seed = hits.mean(axis=1)
    mean = float(by_seed.mean())
    variance = _variance_of_mean(hits.mean(axis=0))
    deviation = None
    width = _NORMAL * math.sqrt(variance)
    if len(by_seed) > 1:
        deviation = float(by_seed.std(ddof=1))
        seeds = deviation**2 / len(by_seed)
        # Welch and Satterthwaite: the seeds are few, the sequences are many.
        degrees = (seeds + variance) ** 2 / (seeds**2 / (len(by_seed) - 1)) if seeds else math.inf
        width = _t_quantile(degrees) * math.sqrt(seeds + variance)
    return Accuracy(mean, deviation, max(0.0, mean - width), min(1.0, mean + width))


def is_tie(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    """Whether two configurations' accuracies may as well be the same, at a level of 5 %.

    They were confirmed on the same sequences, so the sequences' difficulty cancels out: a paired comparison.

    Args:
        first, second: `(n_seeds, n_sequences)` each, whether a seed's model was right.
    """
    difference = first.mean(axis=0) - second.mean(axis=0)
    variance = _variance_of_mean(difference)
    degrees = math.inf
    parts = [
        (hits.mean(axis=1).var(ddof=1) / len(hits), len(hits) - 1)
        for hits in (first, second)
        if len(hits) > 1
    ]
    if sum(part for part, _ in parts) > 0:
        total = variance + sum(part for part, _ in parts)
        degrees = total**2 / sum(part**2 / count for part, count in parts)
        variance = total
    return abs(float(difference.mean())) <= _t_quantile(degrees) * math.sqrt(variance)


def expected_calibration_error(
    probabilities: NDArray[np.float32], labels: NDArray[np.int32], *, bins: int = 15
) -> float:
    """How far confidence and accuracy lie apart, weighted over equal bins of confidence (Guo et al., 2017).

    Args:
        probabilities: `(n, n_classes)`.
        labels: `(n,)`.
    """
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for place in range(bins):
        inside = places == place
        if inside.any():
            error += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return float(error)


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


def _variance_of_mean(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def _t_quantile(degrees: float) -> float:
    if degrees > len(_T):
        return _NORMAL
    return _T[max(1, math.floor(degrees)) - 1]


def mean_probabilities(members: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """What an ensemble says: its members' probabilities averaged, `(n, n_classes)`."""
    averaged: NDArray[np.float32] = np.stack(members).mean(axis=0).astype(np.float32)
    return averaged
