"""The variance of a model's figures: its parts over seeds and over sequences, and the standard error of both together.

Must not import Ray or Keras.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats has it, too, but takes 2.6 CPU seconds to import

from tuner.settings.metric import MetricName

Z = float(stdtrit(math.inf, 0.975))  # of a 95 % interval
_ROUNDING = 1e-12  # of a sequence's score
# Degrees of freedom that the variance of all configurations has beside a configuration's own: with more of them the
# intervals of configurations whose seeds scatter widely hold too rarely, with fewer all are wider
# (docs/measurements.md, how often intervals hold).
_SHARED = 2


@dataclass(frozen=True)
class SeedVariance:
    """How far seeds of one configuration scatter, estimated from several configurations together.

    Attributes:
        variance: of the seeds' own scores, 0 where they scatter no more than single sequences let them.
        mean_square: between the seeds' means on these sequences, so with the noise of the single sequences in it.
        degrees: of freedom, those of `mean_square`.
    """

    variance: float
    mean_square: float
    degrees: int


def pooled_seed_variance(scores: Sequence[NDArray[np.float64]]) -> SeedVariance | None:
    """The variance between seeds, from all configurations that have two; None where none has.

    Configurations of one kind on the same sequences share it, and two seeds alone would leave a t distribution with one
    degree of freedom. A mean over n sequences also has a share of the noise with which one seed and one sequence meet
    (the residual of the two-way table, Cornfield and Tukey, 1956). That noise is in the variance over sequences
    already, so it is taken off here.

    Args:
        scores: `(n_seeds, n_sequences)` each, of each sequence what `sequence_scores` gives.
    """
    several = [each for each in scores if len(each) > 1]
    degrees = sum(len(each) - 1 for each in several)
    if not degrees:
        return None
    n = several[0].shape[1]
    between = noise = 0.0
    for each in several:
        by_seed = each.mean(axis=1)
        by_sequence = each.mean(axis=0)
        between += float(((by_seed - by_seed.mean()) ** 2).sum())
        residual = each - by_seed[:, None] - by_sequence[None] + by_seed.mean()
        noise += float((residual**2).sum())
    mean_square = between / degrees
    of_mean = noise / (degrees * (n - 1)) / n if n > 1 else 0.0
    return SeedVariance(max(0.0, mean_square - of_mean), mean_square, degrees)


def moderated(own: SeedVariance | None, pooled: SeedVariance | None) -> SeedVariance | None:
    """The variance between one configuration's seeds, drawn toward that of all (Smyth, 2004); None where none is known.

    Configurations share it only roughly: with some rates of learning seeds scatter several times as far as with others.
    So its own degrees of freedom count, too, which are few.

    Args:
        own: of its seeds alone; None where it has one.
        pooled: of all configurations, with this one.
    """
    if own is None or pooled is None:
        return pooled
    shared = min(_SHARED, pooled.degrees - own.degrees)
    degrees = own.degrees + shared
    return SeedVariance(
        (own.degrees * own.variance + shared * pooled.variance) / degrees,
        (own.degrees * own.mean_square + shared * pooled.mean_square) / degrees,
        degrees,
    )


@dataclass(frozen=True)
class Part:
    """A part of the variance of a mean.

    Attributes:
        variance: as estimated.
        uncertainty: the variance of `most` as an estimate, halved; 0 where it is known well.
        most: the variance before noise was taken off it; `variance` where none was.
    """

    variance: float
    uncertainty: float
    most: float


def sequence_part(values: NDArray[np.float64], variance: float) -> Part:
    """Of a mean over sequences or clusters, `(n,)`, of this variance.

    Of hits and misses alone the variance follows from their share, and Wilson's interval allows for that.
    """
    is_binary = bool(np.isin(values, (0.0, 1.0)).all())
    return Part(variance, 0.0 if is_binary else variance**2 / max(1, len(values) - 1), variance)


def paired_part(
    difference: NDArray[np.float64], metric: MetricName, deciding: int | None = None
) -> Part:
    """Of a mean difference over sequences, `(n,)`.

    Its degrees of freedom are the effective number of sequences: those without a difference are no evidence, and of F1
    and losses, which differ on all of them, a few large differences decide. Where no sequence differs in a share, so
    many of further ones may as Wilson's interval of none of these allows.

    Args:
        metric: that differs.
        deciding: as in `spread_of`.
    """
    if metric.is_share and np.abs(difference).max(initial=0.0) < _ROUNDING:
        error = Z / ((deciding or len(difference)) + Z**2)
        return Part(error**2, 0.0, error**2)
    variance = variance_of_mean(difference)
    squares = difference**2
    fourth = float((squares**2).sum())
    telling = float(squares.sum()) ** 2 / fourth if fourth else 0.0
    return Part(variance, variance**2 / max(1.0, telling - 1), variance)


def seed_part(seeds: SeedVariance | None, *counts: int) -> Part:
    """Of the mean of so many seeds, or of the difference of two such means; nothing where it is unknown.

    Its uncertainty is that of the mean square, because the noise that was taken off is known well. With the variance
    in its place, seeds that seem to scatter less than their noise would count as known exactly.
    """
    if seeds is None:
        return Part(0.0, 0.0, 0.0)
    share = sum(1 / count for count in counts)
    most = seeds.mean_square * share
    return Part(seeds.variance * share, most**2 / seeds.degrees, most)


def standard_error(*parts: Part) -> tuple[float, float]:
    """Of a mean, by the parts of its variance, and its degrees of freedom (Welch and Satterthwaite).

    Where little is left of a variance after noise was taken off, the formula gives next to no degrees of freedom, and
    so an interval without ends. The variance with that noise in it is too large but has all of its degrees, so it is
    taken where its interval is the narrower one.
    """
    uncertainty = sum(part.uncertainty for part in parts)
    estimated, most = (
        (math.sqrt(variance), variance**2 / uncertainty if uncertainty else math.inf)
        for variance in (sum(part.variance for part in parts), sum(part.most for part in parts))
    )
    if estimated[1] < 1 or half_width(*most) < half_width(*estimated):
        return most
    return estimated


def half_width(error: float, degrees: float) -> float:
    """Of a 95 % interval."""
    return t_quantile(degrees) * error


def variance_of_mean(values: NDArray[np.float64]) -> float:
    """Of the mean of `(n,)` values, as they scatter; 0 of a single one."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def t_quantile(degrees: float) -> float:
    """The 97.5 % quantile of Student's t distribution, of the normal one for infinite degrees of freedom."""
    return float(stdtrit(degrees, 0.975))
