"""The densities of Optuna's TPE for whole arrays at once: most of a replayed TPE's time.

Optuna does without SciPy, calls a Python function per number, and goes through parameters one by one. The results
differ in the last digits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.samplers._tpe import _truncnorm
from optuna.samplers._tpe.probability_distributions import (
    _BatchedCategoricalDistributions,
    _MixtureOfProductDistribution,
)
from scipy.special import log_ndtr, ndtr, ndtri_exp

Floats = NDArray[np.float64]


@contextmanager
def quick_normal() -> Iterator[None]:
    """Optuna's TPE calculates in this way meanwhile."""
    quick = {
        (_truncnorm, "_log_ndtr"): log_ndtr,
        (_truncnorm, "_log_gauss_mass"): _log_mass,
        (_truncnorm, "_ndtri_exp"): ndtri_exp,
        (_MixtureOfProductDistribution, "log_pdf"): _log_pdf,
    }
    own = {place: getattr(*place) for place in quick}
    for place, function in quick.items():
        setattr(*place, function)
    try:
        yield
    finally:
        for place, function in own.items():
            setattr(*place, function)


def _log_mass(a: Floats, b: Floats) -> Floats:
    """The logarithm of the standard normal's mass from `a` to `b`."""
    is_right = a > 0  # calculated in the left tail, which is more exact
    low, high = np.where(is_right, -b, a), np.where(is_right, -a, b)
    mass = ndtr(high) - ndtr(low)
    is_tiny = mass < 1e-280
    if is_tiny.any():
        mass[is_tiny] = 1.0
        logs = np.log(mass)
        of_high, of_low = log_ndtr(high[is_tiny]), log_ndtr(low[is_tiny])
        logs[is_tiny] = of_high + np.log1p(-np.exp(of_low - of_high))
        return logs
    return np.log(mass)


def _log_pdf(mixture: Any, x: Floats) -> Floats:
    """`_MixtureOfProductDistribution.log_pdf`: of `(n_samples, n_parameters)`, `(n_samples,)`."""
    logs = np.log(mixture.weights)[None] + np.zeros((len(x), 1))
    numbers = []
    for place, each in enumerate(mixture.distributions):
        if isinstance(each, _BatchedCategoricalDistributions):
            logs += np.log(each.weights).T[x[:, place].astype(np.int64)]
        else:
            numbers.append(place)
    if numbers:
        logs += _log_pdf_of_numbers([mixture.distributions[n] for n in numbers], x[:, numbers])
    most = logs.max(axis=1)
    most[np.isneginf(most)] = 0
    with np.errstate(divide="ignore"):
        found: Floats = np.log(np.exp(logs - most[:, None]).sum(axis=1)) + most
    return found


def _log_pdf_of_numbers(distributions: list[Any], x: Floats) -> Floats:
    """Of normal distributions, cut off at their ranges' ends; `(n_samples, n_components)`."""
    mu = np.array([each.mu for each in distributions])  # (parameter, component)
    sigma = np.array([each.sigma for each in distributions])
    ends = np.array([(each.adapted_low, each.adapted_high) for each in distributions])
    steps = np.array([each.step for each in distributions])
    is_log = np.array([each.is_log for each in distributions])
    total = np.zeros((len(x), mu.shape[1]))
    total -= _log_mass((ends[:, :1] - mu) / sigma, (ends[:, 1:] - mu) / sigma).sum(axis=0)
    for place, values in enumerate(x.T):
        if steps[place] == 0:
            value = np.log(values) if is_log[place] else values
            apart = (value[:, None] - mu[place]) / sigma[place]
            total += -(apart**2) / 2 - np.log(sigma[place]) - _truncnorm._norm_pdf_logC
        else:
            edges = np.stack([values - steps[place] / 2, values + steps[place] / 2])
            edges = np.log(edges) if is_log[place] else edges
            low, high = (edges[:, :, None] - mu[place]) / sigma[place]
            total += _log_mass(low, high)
    return total
