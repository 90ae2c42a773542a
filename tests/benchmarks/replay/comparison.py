"""Two arms' courses compared: how many times less time one needs, how many points it gains, which effects are seen.

Intervals are bootstrapped over replays. They hold for further replays of this table and know nothing of another one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from .outcomes import Course

_RESAMPLES = 500
_LEVELS = (0.025, 0.975)
# Two-sided 5 %, power 80 %: the smallest effect that so many replays see, in standard errors.
_SEEN_IN_ERRORS = 1.96 + 0.84


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval.

    Args:
        seen: the smallest effect that so many replays see: a difference, or for a factor a factor.
    """

    value: float
    low: float
    high: float
    seen: float


def gain(ours: NDArray[np.float64], theirs: NDArray[np.float64], *, seed: int = 0) -> Interval:
    """The mean of the paired differences `(n_replays,)`, in points of 100."""
    differences = 100 * (ours - theirs)
    means = _weights(len(differences), seed) @ differences / len(differences)
    low, high = np.quantile(means, _LEVELS)
    return Interval(
        float(differences.mean()), float(low), float(high), _SEEN_IN_ERRORS * float(means.std())
    )


def factor(
    ours: Sequence[Course],
    target: NDArray[np.float64],
    moment_s: float,
    *,
    longest: float,
    seed: int = 0,
) -> Interval:
    """How many times less time `ours` needs for the mean outcome that another had at a moment.

    The mean over replays is a step function of time, and the answer is where it reaches the mean of
    `target`. It is made monotone first, by least squares: where it is flat, the first of its random ups would reach
    the target too soon.

    Args:
        target: of each replay, the other's outcome.
        moment_s: when it had that.
        longest: the share of that time up to which every one of our courses is known. Where the outcome is not reached
            by then, the factor counts as 1 / longest, which is too much.
    """
    shares = [course.at_s[1:] / moment_s for course in ours]
    steps = [np.diff(course.values) for course in ours]
    replay = np.repeat(np.arange(len(ours)), [len(each) for each in steps])
    order = np.argsort(np.concatenate(shares), kind="stable")
    order = order[np.concatenate(shares)[order] <= longest]
    share, step, replay = np.concatenate(shares)[order], np.concatenate(steps)[order], replay[order]
    # Of events at the same moment only the last one's curve was ever true.
    is_last = np.append(np.diff(share) > 0, True)
    begin = np.array([course.values[0] for course in ours])

    def one(weights: NDArray[np.float64]) -> float:
        curve = (weights @ begin + np.cumsum(step * weights[replay]))[is_last]
        reached = isotonic_regression(curve).x >= weights @ target - 1e-9 * len(ours)
        return float(1 / (share[is_last][reached.argmax()] if reached.any() else longest))

    value = one(np.ones(len(ours)))
    resampled = np.array([one(weights) for weights in _weights(len(ours), seed)])
    low, high = np.quantile(resampled, _LEVELS)
    seen = math.exp(_SEEN_IN_ERRORS * float(np.log(resampled).std()))
    return Interval(value, float(low), float(high), seen)


def _weights(count: int, seed: int) -> NDArray[np.float64]:
    """How often each replay is in each bootstrap sample, `(n_resamples, count)`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES).astype(np.float64)
