"""A small Gaussian process in place of TPE: it takes the recorded configuration with the largest expected improvement.

Expected improvement (Jones et al., 1998) over the best of what has ended, by the process' own mean, because one score
is as much its seed's luck as its configuration's worth. The process has a Matérn kernel (5/2) with a length per input
and white noise. Twenty trials say little about as many lengths, so these have the prior of Hvarfner et al. (2024),
under which few of them are short, and the most probable ones are taken.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from scipy.optimize import minimize
from scipy.special import ndtr

from tuner.settings.ranges import Choice, NamedChoice, Range

from .tabular import Recorded, scaled

STARTUP_TRIALS = 5  # that have ended before it decides; as many as tuner's sampler draws at random
REFIT_AFTER = 3  # more trials that have ended
_ABSENT = 0.5

Floats = NDArray[np.float64]


class GaussianProcess:
    """Picks the configurations of one replay. Between two fits its kernel stays, and only what it has seen grows."""

    def __init__(self) -> None:
        self._kernel: Any = None
        self._fitted_to = 0  # trials

    def pick(
        self, study: optuna.Study, recorded: Recorded, chosen: Sequence[int], left: Sequence[int]
    ) -> int | None:
        """One of the configurations `left`; None while too few trials have ended. See `Picker`."""
        trials = study.get_trials(deepcopy=False)[: len(chosen)]
        ended = [trial for trial in trials if trial.state.is_finished()]
        if len(ended) < STARTUP_TRIALS:
            return None
        running = [trial for trial in trials if not trial.state.is_finished()]
        inputs = inputs_of(recorded)
        x = inputs[[chosen[trial.number] for trial in (*ended, *running)]]
        scores = np.array([trial.values[0] for trial in ended])
        y = (scores - scores.mean()) / (scores.std() or 1)
        if study.directions[0] is StudyDirection.MINIMIZE:
            y = -y
        if self._kernel is None or len(ended) >= self._fitted_to + REFIT_AFTER:
            self._kernel = _fitted_kernel(x[: len(ended)], y)
            self._fitted_to = len(ended)
        # Constant liar (Ginsbourger et al., 2010): trials that still run count as if they ended at the mean.
        model = _conditioned(self._kernel, x, np.append(y, np.zeros(len(running))))
        candidates = inputs[list(left)]
        mean, std = model.predict(np.concatenate([candidates, x[: len(ended)]]), return_std=True)
        # Its standard deviation is that of a score, noise included.
        own_std = np.sqrt(np.maximum(std**2 - self._kernel.k2.noise_level, 1e-12))
        n = len(left)
        found = expected_improvement(mean[:n], own_std[:n], float(mean[n:].max()))
        return left[int(found.argmax())]


def expected_improvement(mean: Floats, std: Floats, best: float) -> Floats:
    """By how much normal variables exceed `best` on average; `(n,)` like `mean` and `std`."""
    z = (mean - best) / std
    found: Floats = std * (z * ndtr(z) + np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))
    return found


@lru_cache
def inputs_of(recorded: Recorded) -> Floats:
    """The recorded configurations as `(n, n_inputs)` from 0 to 1, without inputs in which all are alike.

    Ranges and choices in ascending order have one input, other choices one per option, as architectures have. A
    parameter that a configuration does not have lies in the middle.
    """
    space = recorded.space
    ranges: dict[str, Range] = {}
    for architecture in space.architectures:
        ranges |= recorded.ranges[architecture]
    columns = [recorded.architectures == name for name in space.architectures]
    for name, range_ in ranges.items():
        for number in _numbers(range_):
            columns.append(
                np.array([number(p[name]) if name in p else _ABSENT for p in recorded.parameters])
            )
    inputs = np.column_stack(columns).astype(np.float64)
    return inputs[:, np.ptp(inputs, axis=0) > 0]


def _numbers(range_: Range) -> list[Callable[[Any], float]]:
    """Of each input that a parameter has, its number by the parameter's value."""
    if not isinstance(range_, Choice | NamedChoice):
        return [lambda value: scaled(range_, value)]
    options = list(range_.options)
    if len(options) <= 2 or (
        all(isinstance(each, int | float) for each in options) and options == sorted(options)
    ):
        return [lambda value: options.index(value) / max(len(options) - 1, 1)]
    return [lambda value, option=option: float(value == option) for option in options]


def improbable_lengths(logs: Floats) -> tuple[float, Floats]:
    """Minus the logarithm of the prior's density at lengths, but for a constant, and its slope by their logarithms."""
    location, scale = _prior(len(logs))
    apart = (logs - location) / scale
    return float((logs + apart**2 / 2).sum()), 1 + apart / scale


def _prior(n_inputs: int) -> tuple[float, float]:
    """Mean and standard deviation of a length's logarithm."""
    return math.sqrt(2) + math.log(n_inputs) / 2, math.sqrt(3)


def _fitted_kernel(x: Floats, y: Floats) -> Any:
    """The most probable kernel by scores `y`, `(n,)`, at `x`, `(n, n_inputs)`."""
    # Half a second that no other arm has to wait for.
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    def most_probable(unlikely: Any, start: Floats, bounds: Floats) -> tuple[Floats, float]:
        def improbable(theta: Floats) -> tuple[float, Floats]:  # the lengths, and last the noise
            of_scores, its_slope = unlikely(theta)
            of_lengths, their_slope = improbable_lengths(theta[:-1])
            return of_scores + of_lengths, its_slope + np.append(their_slope, 0)

        found = minimize(improbable, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return found.x, float(found.fun)

    location, scale = _prior(x.shape[1])
    mode = np.full(x.shape[1], math.exp(location - scale**2))
    kernel = Matern(mode, (0.02, 500), nu=2.5) + WhiteKernel(0.1, (1e-3, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length or the noise at its bound, which is no fault
        return GaussianProcessRegressor(kernel, optimizer=most_probable).fit(x, y).kernel_


def _conditioned(kernel: Any, x: Floats, y: Floats) -> Any:
    """A process of that kernel which has seen scores `y`, `(n,)`, at `x`, `(n, n_inputs)`."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, optimizer=None).fit(x, y)
