"""Two arms' courses compared: how many times less time one needs, how many points it gains, which effects are seen.

Intervals are bootstrapped over replays. They hold for further replays of this table and know nothing of another one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from .course import Course

_RESAMPLES = 500
_LEVELS = (0.025, 0.975)
# So many moments of all replays' events are looked at; between two of them lies a thousandth of the events.
_MOMENTS = 1000
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
    means = _weights(len(differences), seed) @ differences
    low, high = np.quantile(means, _LEVELS)
    return Interval(
        float(differences.mean()), float(low), float(high), _SEEN_IN_ERRORS * float(means.std())
    )


class MeanCourse:
    """The mean of an outcome over replays as time goes on, and how far that mean is known.

    It is a step function of time, made monotone by least squares: where it is flat, the first of its random ups would
    reach a target too soon.

    Args:
        courses: of each replay.
        end_s: up to which they are known.
    """

    def __init__(self, courses: Sequence[Course], end_s: float, *, seed: int = 0) -> None:
        self._courses = courses
        self._end_s = end_s
        events = np.unique(np.concatenate([course.at_s[1:] for course in courses]))
        events = events[events <= end_s]
        if len(events) > _MOMENTS:
            events = events[np.linspace(0, len(events) - 1, _MOMENTS).round().astype(int)]
        values = np.array([course.at_all(events) for course in courses])
        self._moments_s = events
        self._weights = _weights(len(courses), seed)
        self._curve = _monotone(values.mean(axis=0))
        self._resampled = [_monotone(curve) for curve in self._weights @ values]

    def at(self, moment_s: float) -> NDArray[np.float64]:
        """Of each replay the outcome at a moment, `(n_replays,)`."""
        return np.array([course.at(moment_s) for course in self._courses])

    def factor(self, target: NDArray[np.float64], moment_s: float) -> Interval:
        """How many times less time this needs for the mean outcome that another had at a moment.

        Where that is not reached in the time that is known, the factor counts as that of its end, which is too much.

        Args:
            target: of each replay, the other's outcome.
            moment_s: when it had that.
        """

        def one(curve: NDArray[np.float64], mean: float) -> float:
            reached = curve >= mean - 1e-9
            at_s = self._moments_s[reached.argmax()] if reached.any() else self._end_s
            return float(moment_s / at_s)

        targets = self._weights @ target
        factors = np.array([one(*each) for each in zip(self._resampled, targets, strict=True)])
        low, high = np.quantile(factors, _LEVELS)
        seen = math.exp(_SEEN_IN_ERRORS * float(np.log(factors).std()))
        return Interval(one(self._curve, float(target.mean())), float(low), float(high), seen)


def _monotone(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(isotonic_regression(curve).x)


@lru_cache
def _weights(count: int, seed: int) -> NDArray[np.float64]:
    """Each replay's share of each bootstrap sample, `(n_resamples, count)`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES) / count
