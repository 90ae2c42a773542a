"""How sure the figures of models are, over their seeds and the sequences they were measured on; which differ.

The room that measures models has it, because searches and confirmations both use it. Must not import Ray or Keras.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from tuner.data import cluster_count
from tuner.settings.metric import Metric, MetricName
from tuner.training.confusion import Confusion
from tuner.training.evaluation import losses
from tuner.training.row_clusters import by_cluster
from tuner.training.variance import (
    SeedVariance,
    Z,
    half_width,
    paired_part,
    pooled_seed_variance,
    seed_part,
    sequence_part,
    standard_error,
    variance_of_mean,
)


@dataclass(frozen=True)
class Spread:
    """A configuration's score on sequences that nothing was chosen by.

    Attributes:
        mean: over the seeds.
        deviation: between the seeds' scores, the sample's; None of a single seed.
        low, high: a 95 % interval of what further seeds would reach on further sequences on average; of what its
            model would, of a single seed where the variance between seeds is unknown.
    """

    mean: float
    deviation: float | None
    low: float
    high: float


def sequence_scores(
    metric: MetricName, probabilities: NDArray[np.float32], labels: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Each sequence's contribution to `metric`: `(n,)`, whose mean is the metric of all of them.

    Of accuracy, whether the model was right; of the loss, the negative log-likelihood of the true class. F1 and
    balanced accuracy are no means over sequences: these are their infinitesimal jackknife's pseudo-values (Efron,
    1982), the metric plus n times its derivative by the weight of the sequence, whose mean is the metric and whose
    variance gives that of the metric.

    Args:
        probabilities: `(n, n_classes)`.
        labels: `(n,)`.
    """
    predicted = probabilities.argmax(axis=1)
    is_hit: NDArray[np.float64] = (predicted == labels).astype(np.float64)
    match metric:
        case MetricName.VAL_LOSS:
            return losses(probabilities, labels)
        case MetricName.VAL_ACCURACY:
            return is_hit
        case MetricName.VAL_F1:
            return _f1_pseudo_values(predicted, labels, probabilities.shape[1])
        case MetricName.VAL_F1_POSITIVE:
            return _positive_f1_pseudo_values(predicted == 1, labels == 1)
        case MetricName.VAL_BALANCED_ACCURACY:
            return _balanced_pseudo_values(predicted, labels, probabilities.shape[1])
        case _:
            assert_never(metric)


def deciding_in(
    metric: MetricName, labels: NDArray[np.int32], clusters: NDArray[np.int64]
) -> int | None:
    """How many sequences or clusters a figure near 1 rests on, where rare classes decide it: one error costs a part.

    Of balanced accuracy and macro F1, those of the rarest class times the number of classes; of the second class' F1,
    twice those of that class. None of accuracy and losses, in which each counts alike.

    Args:
        labels, clusters: `(n,)`, see `by_cluster`: of one cluster alone, sequences count.
    """
    if metric in (MetricName.VAL_ACCURACY, MetricName.VAL_LOSS):
        return None
    if cluster_count(clusters) == 1:
        clusters = np.arange(len(labels))
    counts = {label: len(np.unique(clusters[labels == label])) for label in np.unique(labels)}
    fewest = counts.get(1, 0) if metric is MetricName.VAL_F1_POSITIVE else min(counts.values())
    return max(1, min(len(counts) * fewest, len(np.unique(clusters))))


def _f1_pseudo_values(
    predicted: NDArray[np.int64], labels: NDArray[np.int32], n_classes: int
) -> NDArray[np.float64]:
    """See `sequence_scores`."""
    confusion = Confusion.of(labels, predicted, n_classes)
    f1 = confusion.f1
    occurrences = confusion.occurrences  # of a labelled or predicted class never 0
    moved = (
        2 * (predicted == labels) / occurrences[labels]
        - f1[labels] / occurrences[labels]
        - f1[predicted] / occurrences[predicted]
    )
    n_occurring = np.count_nonzero(occurrences)
    pseudo_values: NDArray[np.float64] = (f1.sum() + len(labels) * moved) / n_occurring
    return pseudo_values


def _positive_f1_pseudo_values(
    predicted: NDArray[np.bool_], labelled: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """See `sequence_scores`."""
    occurrences = predicted.astype(np.float64) + labelled
    total = max(1.0, occurrences.sum())
    hits = 2.0 * (predicted & labelled)
    f1 = hits.sum() / total
    pseudo_values: NDArray[np.float64] = f1 + len(labelled) * (hits - f1 * occurrences) / total
    return pseudo_values


def _balanced_pseudo_values(
    predicted: NDArray[np.int64], labels: NDArray[np.int32], n_classes: int
) -> NDArray[np.float64]:
    """See `sequence_scores`."""
    confusion = Confusion.of(labels, predicted, n_classes)
    n_labelled = np.count_nonzero(confusion.labelled)
    moved = ((predicted == labels) - confusion.recall[labels]) / confusion.labelled[labels]
    pseudo_values: NDArray[np.float64] = (
        confusion.balanced_accuracy + len(labels) * moved / n_labelled
    )
    return pseudo_values


def spread_of(
    scores: NDArray[np.float64],
    *,
    most: float = 1.0,
    seeds: SeedVariance | None = None,
    excess: float = 0.0,
    deciding: int | None = None,
) -> Spread:
    """The score of one configuration.

    The mean's variance has two parts: of the seeds, and of the sequences, which all seeds share. The interval of a
    share is Wilson's (1927), of as many sequences as would give it this variance: near 0 and 1 a symmetric one holds
    too rarely. Of few sequences or clusters the variance is itself uncertain, so they have Student's t.

    Args:
        scores: `(n_seeds, n_sequences)`, of each sequence what `sequence_scores` gives, or of each cluster what
            `by_cluster` gives.
        most: no score is above it, none below 0.
        seeds: the variance between seeds; by default that of these scores.
        excess: by how much the mean is expected to be too good; the interval lies around the rest.
        deciding: of a share, how many sequences decide it; see `deciding_in`.
    """
    by_seed = scores.mean(axis=1)
    mean = float(by_seed.mean())
    scatter = max(0.0, mean * (1 - mean))
    values = scores.mean(axis=0)
    variance = variance_of_mean(values)
    if most == 1.0:
        variance = _with_few_errors(variance, scores, scatter, deciding)
    seeds = seeds or pooled_seed_variance([scores])
    width = half_width(
        *standard_error(sequence_part(values, variance), seed_part(seeds, len(by_seed)))
    )
    deviation = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
    middle = max(0.0, min(most, mean - excess))
    if most != 1.0:
        return Spread(mean, deviation, max(0.0, middle - width), middle + width)
    squared = width**2 / scatter if scatter else Z**2 / (deciding or scores.shape[1])
    return Spread(mean, deviation, *_wilson(middle, squared))


def _with_few_errors(
    variance: float, scores: NDArray[np.float64], scatter: float, deciding: int | None
) -> float:
    """The variance of a share over sequences, where few errors tell little about it.

    As long as they are few beside the z²/2 that Wilson's interval adds, each counts as one that all seeds share, in the
    rarest class: that seeds or classes differ shows in several errors only. Else one error would give a narrower
    interval than none.
    """
    n = deciding or scores.shape[1]
    alone = float(np.mean([variance_of_mean(each) for each in scores]))  # of a single seed
    if deciding is not None or not alone:
        alone = max(alone, scatter / n)
    weight = Z**2 / 2 / (n * scatter + Z**2 / 2)
    return variance + weight * (alone - variance)


def _wilson(share: float, squared: float) -> tuple[float, float]:
    """Wilson's interval of a share, by the square of the normal quantile over the number of sequences."""
    middle = (share + squared / 2) / (1 + squared)
    half = math.sqrt(share * (1 - share) * squared + squared**2 / 4) / (1 + squared)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


@dataclass(frozen=True)
class Gain:
    """By how much one model is better than another on the same sequences; negative where it is worse."""

    mean: float
    low: float  # a 95 % interval over further sequences, and further seeds of what has several
    high: float


NO_GAIN = Gain(0.0, 0.0, 0.0)  # of a model over itself


def gain_of(
    scores: NDArray[np.float64],
    over: NDArray[np.float64],
    metric: Metric,
    *,
    seeds: SeedVariance | None = None,
    excess: float = 0.0,
    deciding: int | None = None,
) -> Gain:
    """The paired comparison of two models: the difficulty of the sequences cancels out.

    Only sequences on which the two differ count as evidence, so few of these are not enough, however one-sided. None
    at all shows only that further ones would differ rarely.

    Args:
        scores: `(n_sequences,)`, or `(n_seeds, n_sequences)`, of each sequence what `sequence_scores` gives.
        over: `(n_sequences,)`, the same of the other model.
        metric: of the scores.
        seeds: the variance between seeds of `scores`; by default that of these scores.
        excess: by how much the first model is expected to look too good; left out.
        deciding: as in `spread_of`.
    """
    by_seed = np.atleast_2d(scores)
    difference = (by_seed.mean(axis=0) - over) * metric.gain(1.0, over=0.0)
    seeds = seeds or pooled_seed_variance([by_seed])
    part = paired_part(difference, metric.name, deciding)
    width = half_width(*standard_error(part, seed_part(seeds, len(by_seed))))
    mean = float(difference.mean()) - excess
    most = 1.0 if metric.name.is_share else math.inf  # shares cannot differ by more
    return Gain(mean, max(mean - width, -most), min(mean + width, most))


@dataclass(frozen=True, eq=False)
class HeldOutRows:
    """Sequences that models are measured and compared on; those of one cluster count together.

    Attributes:
        metric: of all scores.
        labels: `(n,)`.
        clusters: `(n,)`, see `by_cluster`.
    """

    metric: Metric
    labels: NDArray[np.int32]
    clusters: NDArray[np.int64]

    def scores_of(self, probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        """The scores of a model with these probabilities, `(n, n_classes)`: `(n_clusters,)`."""
        return by_cluster(
            sequence_scores(self.metric.name, probabilities, self.labels), self.clusters
        )

    def spread_of(self, probabilities: NDArray[np.float32]) -> Spread:
        """The score of one model."""
        most = 1.0 if self.metric.name.is_share else math.inf
        return spread_of(self.scores_of(probabilities)[None], most=most, deciding=self._deciding)

    def gain_of(self, probabilities: NDArray[np.float32], over: NDArray[np.float32]) -> Gain:
        """The gain of one model over another; nothing, and surely so, over itself."""
        if np.array_equal(probabilities, over):
            return NO_GAIN
        scores, others = self.scores_of(probabilities), self.scores_of(over)
        return gain_of(scores, others, self.metric, deciding=self._deciding)

    @property
    def n_clusters(self) -> int | None:
        """How many clusters there are; None where each sequence is its own."""
        return cluster_count(self.clusters)

    def effective_number(self, models: Sequence[NDArray[np.float32]]) -> int | None:
        """How many sequences of their own would tell as much about the difference of two of these models.

        As many as there are by the design effect (Kish, 1965) of the differences, which is small where models err on
        other sequences of a cluster, and the clusters' size where they err on all of it.

        Args:
            models: probabilities, `(n, n_classes)` each; all are compared with the first.

        Returns:
            None where no two differ.
        """
        scores = [sequence_scores(self.metric.name, each, self.labels) for each in models]
        differences = [each - scores[0] for each in scores[1:]]
        alone = sum(map(variance_of_mean, differences))
        together = sum(variance_of_mean(by_cluster(each, self.clusters)) for each in differences)
        if not together:
            return None
        return max(1, round(len(self.labels) * min(1.0, alone / together)))

    @property
    def _deciding(self) -> int | None:
        return deciding_in(self.metric.name, self.labels, self.clusters)
