"""The linear reference as a member of the ensemble: how much of the average it gets, and what that is worth.

It knows other things than models that read in order, so together they are right more often: on long reviews half and
half, which is better than either; where it knows little, less of it or nothing, and beside weak trials more
(docs/measurements.md). Must not import Ray or Keras.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tuner.run.ensemble import EnsembleWithReference
from tuner.settings.metric import Metric
from tuner.training.evaluation import losses
from tuner.training.spec import TrainedModel
from tuner.training.temperature import best_temperature, tempered

WEIGHTS = (0.0, 0.25, 0.5, 0.75)  # finer ones were no better
_ENOUGH = 5000  # sequences to choose by


def mixed(
    trials: NDArray[np.float32],
    reference: NDArray[np.float32],
    weight: float | NDArray[np.float64],
) -> NDArray[np.float32]:
    """The average of the trials' and the reference's probabilities, which has so much of it.

    Args:
        trials, reference: probabilities, `(n, n_classes)`; in place of trials other models.
        weight: the part of the reference, or that of each sequence, `(n,)`.
    """
    part = np.asarray(weight, np.float64)[..., None]
    return np.asarray((1 - part) * trials + part * reference, np.float32)


def weight_of(
    trials: NDArray[np.float32], reference: NDArray[np.float32], labels: NDArray[np.int32]
) -> float:
    """The weight of the lowest loss, each average at its own temperature, as an export has it.

    All weights are compared by one rule: also few sequences or errors, by which an export fits no temperature, fit one.

    Args:
        trials, reference: probabilities, `(n, n_classes)`.
        labels: `(n,)`.
    """
    step = math.ceil(len(labels) / _ENOUGH)
    trials, reference, labels = trials[::step], reference[::step], labels[::step]

    def loss(weight: float) -> float:
        average = mixed(trials, reference, weight)
        return float(losses(tempered(average, best_temperature(average, labels)), labels).mean())

    return min(WEIGHTS, key=loss)


def honestly_mixed(
    trials: NDArray[np.float32],
    reference: NDArray[np.float32],
    labels: NDArray[np.int32],
    clusters: NDArray[np.int64],
) -> NDArray[np.float32]:
    """The average on two halves of the clusters, each with the weight that the other half chooses."""
    return mixed(trials, reference, weights_by_half(trials, reference, labels, clusters))


def weights_by_half(
    trials: NDArray[np.float32],
    reference: NDArray[np.float32],
    labels: NDArray[np.int32],
    clusters: NDArray[np.int64],
) -> NDArray[np.float64]:
    """`(n,)`: for each sequence the weight that the other half of the clusters chooses."""
    is_second = np.unique(clusters, return_inverse=True)[1] % 2 == 1
    found = np.empty(len(labels))
    for half in (is_second, ~is_second):
        others = ~half
        found[half] = weight_of(trials[others], reference[others], labels[others])
    return found


def measured_with(
    trials: NDArray[np.float32],
    reference: TrainedModel,
    labels: NDArray[np.int32],
    clusters: NDArray[np.int64],
    metric: Metric,
) -> EnsembleWithReference | None:
    """What the reference adds to the trials' average; None where it cannot take part.

    Args:
        trials: their mean probabilities on the confirmation split, `(n, n_classes)`.
        reference: with its own ones.
        labels: `(n,)`.
        clusters: `(n,)`.
        metric: of the run.
    """
    from tuner.training.statistics import HeldOutRows

    if not reference.weights or len(np.unique(clusters)) < 2:
        return None
    weight = weight_of(trials, reference.probabilities, labels)
    average = trials
    if weight:
        average = honestly_mixed(trials, reference.probabilities, labels, clusters)
    rows = HeldOutRows(metric, labels, clusters)
    spread, gain = rows.spread_of(average), rows.gain_of(average, over=trials)
    return EnsembleWithReference(
        weight=weight,
        averaged=round(spread.mean, 6),
        low=round(spread.low, 6),
        high=round(spread.high, 6),
        gain=round(gain.mean, 6),
        gain_low=round(gain.low, 6),
        gain_high=round(gain.high, 6),
        weights=sum(array.size for array in reference.weights),
        seconds_per_text=reference.figures.seconds_per_text,
    )
