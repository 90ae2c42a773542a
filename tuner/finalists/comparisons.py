"""Which finalists differ, by how much each may be worse than the best, and the selection bias of the first.

All finalists are compared at once: of many some two would always seem to differ, and the first would always seem better
than it is. Both follow from the joint distribution of their means, which share the difficulty of the sequences and the
variance between seeds. It is drawn with a fixed seed, so the same models give the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from tuner.settings.metric import Metric
from tuner.training.variance import (
    SeedVariance,
    paired_part,
    seed_part,
    standard_error,
)

_DRAWS = 10_000
_LEVEL = 0.05
_SEEDS = 0.0045  # the deviation between seeds of one configuration, of an accuracy on reviews


@dataclass(frozen=True)
class Deficit:
    """By how much a finalist is worse than the best one, whichever that is, in units of the metric.

    Attributes:
        at_least: 0 where it may be the best. In 95 of 100 confirmations all of these hold together.
        at_most: in 95 of 100 confirmations all of these hold together.
    """

    at_least: float
    at_most: float


def visible_difference(
    accuracy: float, *, n: int, seeds: int, finalists: int, clusters: int | None = None
) -> float:
    """The difference of two finalists that a confirmation shows in 80 of 100 cases, before anything is trained.

    Assumes that seeds scatter as measured on reviews: two of one configuration disagree on 0.7 times as many sequences
    as one gets wrong, two configurations on 0.08 times as many more.

    Args:
        accuracy: about that of the finalists.
        n: sequences of the confirmation split; of clusters, their effective number.
        seeds: of each finalist, at least 2.
        finalists: that are compared, at least 2.
        clusters: that the sequences form, at least 2; few of them leave few degrees of freedom. None: each is its own.
    """
    of_sequences = (1 - accuracy) * (0.7 / seeds + 0.08) / n
    of_seeds = 2 * _SEEDS**2 / seeds
    pairs, freedom = finalists * (finalists - 1) / 2, float(finalists * (seeds - 1))
    if clusters is not None:
        # The variance over sequences has a third as many degrees as clusters, see `paired_part`, where these differ by
        # normally distributed amounts.
        uncertainty = 3 * of_sequences**2 / clusters + of_seeds**2 / freedom
        freedom = min(freedom, (of_sequences + of_seeds) ** 2 / uncertainty)
    quantiles = stdtrit(freedom, 1 - _LEVEL / 2 / pairs) + ndtri(0.8)
    return min(1.0, float(quantiles * math.sqrt(of_sequences + of_seeds)))


def deficits_of(
    scores: Sequence[NDArray[np.float64]],
    metric: Metric,
    seeds: SeedVariance | None,
    deciding: int | None = None,
) -> list[Deficit]:
    """The deficit of every finalist; none where no finalist has two seeds, or there is only one.

    Args:
        scores: `(n_seeds, n_sequences)` each, on the same sequences, of each sequence what `sequence_scores` gives.
        metric: of the scores.
        seeds: the variance between seeds, pooled over the finalists.
        deciding: as in `spread_of`.
    """
    if seeds is None or len(scores) < 2:
        return []
    by_sequence = np.stack([each.mean(axis=0) for each in scores]) * metric.gain(1.0, over=0.0)
    counts = [len(each) for each in scores]
    errors = _errors(_covariance(by_sequence, counts, seeds))
    pairs = _pairs(by_sequence, counts, metric, seeds, deciding)
    found = _deficits(by_sequence.mean(axis=1), errors, *pairs)
    most = 1.0 if metric.name.is_share else math.inf  # shares cannot differ by more
    return [Deficit(each.at_least, min(each.at_most, most)) for each in found]


def selection_bias_of(
    scores: Sequence[NDArray[np.float64]], metric: Metric, seeds: SeedVariance | None
) -> float:
    """By how much the mean of the finalist that comes first is expected to be too good, because it was chosen by it.

    That is the mean error of whoever comes first in draws (a parametric bootstrap) whose true means lie as far apart as
    these let expect. These means scatter more than the true ones, by the errors of their differences; so they are
    shrunk by that (James and Stein, 1961), else the bias of equal finalists would come out a third too small.

    Args:
        scores, metric, seeds: as in `deficits_of`.
    """
    size = len(scores)
    if size < 2:
        return 0.0
    by_sequence = np.stack([each.mean(axis=0) for each in scores]) * metric.gain(1.0, over=0.0)
    covariance = _covariance(by_sequence, [len(each) for each in scores], seeds)
    means = by_sequence.mean(axis=1)
    shrunk = _shrunk(means, covariance)
    errors = _errors(covariance)
    errors -= errors.mean(axis=1, keepdims=True)  # what a finite number of draws leaves
    of_first = errors[(shrunk[:, None] + errors).argmax(axis=0), np.arange(errors.shape[1])]
    return max(0.0, float(of_first.mean()))


def _shrunk(means: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means drawn together by the part of their scatter that is noise; those far behind the first stay."""
    first = means.argmax()
    variances = covariance.diagonal() + covariance[first, first] - 2 * covariance[first]
    near = means[first] - means <= 3 * np.sqrt(np.maximum(variances, 0))
    count = int(near.sum())
    shrunk = means.copy()
    if count > 1:
        inner = covariance[np.ix_(near, near)]
        noise = (inner.trace() - inner.mean() * count) / (count - 1)
        scatter = means[near].var(ddof=1)
        share = max(0.0, 1 - noise / scatter) if scatter else 0.0
        shrunk[near] = means[near].mean() + share * (means[near] - means[near].mean())
    return shrunk


def _covariance(
    by_sequence: NDArray[np.float64], counts: Sequence[int], seeds: SeedVariance | None
) -> NDArray[np.float64]:
    """`(n, n)`, of the means of n finalists, by their scores of every sequence and their numbers of seeds."""
    size, n = by_sequence.shape
    covariance = np.cov(by_sequence) / n if n > 1 else np.zeros((size, size))
    return covariance + np.diag([seed_part(seeds, count).variance for count in counts])


def _errors(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n_finalists, draws)`: errors of the means, drawn from their joint distribution."""
    values, vectors = np.linalg.eigh(covariance)
    normal = np.random.default_rng(0).standard_normal((len(covariance), _DRAWS))
    errors: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0))) @ normal
    return errors


def _pairs(
    by_sequence: NDArray[np.float64],
    counts: Sequence[int],
    metric: Metric,
    seeds: SeedVariance,
    deciding: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors of the differences, and their degrees of freedom (Satterthwaite); `(n, n)` of n finalists."""
    size = len(counts)
    errors, degrees = np.zeros((size, size)), np.full((size, size), math.inf)
    for one in range(size):
        for other in range(one):
            error, freedom = standard_error(
                paired_part(by_sequence[one] - by_sequence[other], metric.name, deciding),
                seed_part(seeds, counts[one], counts[other]),
            )
            errors[one, other] = errors[other, one] = error
            degrees[one, other] = degrees[other, one] = freedom
    return errors, degrees


def _deficits(
    means: NDArray[np.float64],
    draws: NDArray[np.float64],
    errors: NDArray[np.float64],
    degrees: NDArray[np.float64],
) -> list[Deficit]:
    """Upper ends by Hsu's multiple comparisons with the best (1984), lower ends by all pairs (Tukey and Kramer).

    An upper end needs the errors of the true best against all others; as nobody knows which one that is, all that may
    be are tried. The lower ends hold for all pairs, so equal finalists are told apart in at most 5 % of all runs. The
    level of each test is found among normal errors with the correlations of these means, and turned into a quantile of
    Student's t with the pair's own degrees of freedom.
    """
    size = len(means)
    largest, reach = np.zeros(draws.shape[1]), np.empty((size, size))
    for best in range(size):
        against = draws - draws[best]
        scatter = against.std(axis=1, keepdims=True)
        against /= np.where(scatter > 0, scatter, 1.0)  # the draws of equal models are equal
        against[best] = -math.inf
        most = against.max(axis=0)
        np.maximum(largest, most, out=largest)
        level = max(1 - _LEVEL, ndtr(np.quantile(most, 1 - _LEVEL)))  # equal draws have none
        reach[best] = stdtrit(degrees[best], level) * errors[best]
    of_pairs = stdtrit(degrees, ndtr(np.quantile(largest, 1 - _LEVEL))) * errors
    behind = means[:, None] - means  # [best, other]
    may_be_best: NDArray[np.bool_] = np.all(behind + reach >= 0, axis=1)
    at_most = np.where(may_be_best[:, None], behind + reach, -math.inf)
    np.fill_diagonal(at_most, 0.0)
    at_least = np.maximum(0.0, (behind - of_pairs).max(axis=0))
    return [
        Deficit(float(low), float(high))
        for low, high in zip(at_least, at_most.max(axis=0), strict=True)
    ]
