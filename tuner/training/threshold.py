"""The decision threshold of two classes: from which probability on a sequence is of the second one.

Where one class is rare, the best F1 and the best balanced accuracy lie far from 0.5. Like the temperature, it is chosen
on sequences that the model did not learn from, never on test rows. Must not import Ray or Keras.
"""

import numpy as np
from numpy.typing import NDArray

from tuner.settings.metric import Metric, MetricName
from tuner.training.row_clusters import by_cluster

EVEN = 0.5  # the likelier class
_FEWEST = 10  # sequences of each class; with fewer, chance decides
# A loss needs no decision, and 0.5 is right by the accuracy where probabilities are as sure as they are right.
_DECIDED = {MetricName.VAL_F1, MetricName.VAL_F1_POSITIVE, MetricName.VAL_BALANCED_ACCURACY}


def classes_of(probabilities: NDArray[np.float32], threshold: float = EVEN) -> NDArray[np.int64]:
    """The predicted class of each sequence, `(n,)`, by `(n, n_classes)` probabilities: the likeliest one.

    Args:
        threshold: of two classes, the probability above which a sequence is of the second one.
    """
    if threshold == EVEN:
        likeliest: NDArray[np.int64] = probabilities.argmax(axis=1)
        return likeliest
    return (probabilities[:, 1] > threshold).astype(np.int64)


def fit_threshold(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int32],
    clusters: NDArray[np.int64],
    metric: Metric,
) -> float:
    """The threshold of the best F1 or balanced accuracy; 0.5 of other metrics, and where that is hardly worse.

    Hardly is by less than about one standard error of the paired gain: on balanced data every threshold near 0.5 does
    as well, and the best of them on these sequences would be noise. On simulated sequences (1,000, calibrated) that
    keeps nine tenths of the gain of always moving it where the second class has a share of 0.05, and loses half as
    much where it has 0.5; two errors keep a third.

    Args:
        probabilities: `(n, n_classes)`, as the exported model gives them; of more than two classes there is none.
        labels: `(n,)`.
        clusters: `(n,)`, the cluster of each sequence.
        metric: of the run.
    """
    is_binary = probabilities.shape[1] == 2
    if not is_binary or metric.name not in _DECIDED:
        return EVEN
    if np.bincount(labels, minlength=2).min() < _FEWEST:  # a class may be missing here
        return EVEN
    of_second = np.unique(probabilities[:, 1])
    if len(of_second) < 2:
        return EVEN
    candidates = (of_second[:-1].astype(np.float64) + of_second[1:]) / 2  # no sequence lies on one
    scores = _scores_of(candidates, probabilities[:, 1], labels, metric.name)
    best = candidates[scores >= scores.max() - 1e-12]
    threshold = round(float(best[np.abs(best - EVEN).argmin()]), 6)
    if not 0 < threshold < 1:
        return EVEN
    # Loads SciPy, 0.3 s, which predicting does not need.
    from tuner.training.statistics import gain_of, sequence_scores

    both = [
        sequence_scores(metric.name, _sure(classes_of(probabilities, each)), labels)
        for each in (threshold, EVEN)
    ]
    moved, even = by_cluster(np.stack(both), clusters)
    gain = gain_of(moved, even, metric)
    return threshold if gain.mean > (gain.mean - gain.low) / 2 else EVEN  # half of two errors


def _scores_of(
    thresholds: NDArray[np.float64],
    of_second: NDArray[np.float32],
    labels: NDArray[np.int32],
    metric: MetricName,
) -> NDArray[np.float64]:
    """The metric with each of `(k,)` thresholds, `(k,)`."""
    order = np.argsort(of_second, kind="stable")
    at_most = np.searchsorted(of_second[order], thresholds, side="right")  # predicted as the first
    missed = np.concatenate([[0], np.cumsum(labels[order])])[at_most]
    positives, n = int(labels.sum()), len(labels)
    hits, rejected = positives - missed, at_most - missed
    false_alarms = n - positives - rejected
    of_second_class = 2 * hits / np.maximum(2 * hits + missed + false_alarms, 1)
    of_first_class = 2 * rejected / np.maximum(2 * rejected + missed + false_alarms, 1)
    found: NDArray[np.float64] = {
        MetricName.VAL_F1: (of_first_class + of_second_class) / 2,
        MetricName.VAL_F1_POSITIVE: of_second_class,
        MetricName.VAL_BALANCED_ACCURACY: (hits / positives + rejected / (n - positives)) / 2,
    }[metric]
    return found


def _sure(classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities of 0 and 1 whose likeliest classes are these, `(n, 2)`."""
    return np.stack([1 - classes, classes], axis=1).astype(np.float32)
