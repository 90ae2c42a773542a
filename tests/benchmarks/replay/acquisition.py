"""What TPE thinks of each recorded configuration, in place of the few that it would draw itself.

TPE (Bergstra et al., 2011) draws 24 candidates from its model l of the good trials and takes the one with the largest
l(x) / g(x), g being its model of the others. A table holds none of these candidates. But the two densities exist at
every recorded configuration, so TPE can be asked which of them it would take. It models parameters group by group, or
one by one: the logarithms of their ratios add up.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from tuner.settings.ranges import Choice
from tuner.settings.space import ARCHITECTURE, SearchSpace


class Columns:
    """A table's parameters as Optuna calculates with them: numbers, and of a choice the option's place."""

    def __init__(self, space: SearchSpace, parameters: Sequence[Mapping[str, Any]]) -> None:
        places: dict[str, Sequence[Any]] = {ARCHITECTURE: list(space.architectures)}
        for architecture in space.architectures:
            for name, range_ in space.parameters(architecture).items():
                if isinstance(range_, Choice):
                    places[space.study_name(architecture, name)] = range_.options

        def number(name: str, value: Any) -> float:
            return float(places[name].index(value) if name in places else value)

        self.names = tuple(dict.fromkeys(name for each in parameters for name in each))
        self.values = {
            name: np.array(
                [number(name, each[name]) if name in each else np.nan for each in parameters]
            )
            for name in self.names
        }


class Acquisition:
    """Asks a sampler of one trial, which must be a TPE, about every configuration while it suggests its own values.

    Of the sampler's own suggestion only the architecture is of use.
    """

    def __init__(self, sampler: optuna.samplers.TPESampler, columns: Columns) -> None:
        self._columns = columns
        self._densities: list[
            tuple[list[str], Any, Any]
        ] = []  # of which parameters, good ones, others
        # Optuna offers no other way to the two densities. That of the class: a sampler may have been asked before.
        self._calculate = partial(type(sampler)._compute_acquisition_func, sampler)
        sampler._compute_acquisition_func = self._listen  # type: ignore[method-assign]

    @property
    def was_asked(self) -> bool:
        """Whether the sampler has learned anything."""
        return bool(self._densities)

    def scores(self, among: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the sampler thinks of each configuration of `among`. Parameters that one lacks say nothing of it."""
        sums = np.zeros(len(among))
        for names, below, above in self._densities:
            recorded = {name: self._columns.values[name][among] for name in names}
            has_all = ~np.isnan(list(recorded.values())).any(axis=0)
            if has_all.any():
                known = {name: values[has_all] for name, values in recorded.items()}
                sums[has_all] += self._calculate(known, below, above)
        return sums

    def _listen(self, samples: dict[str, NDArray[Any]], below: Any, above: Any) -> NDArray[Any]:
        self._densities.append((list(samples), below, above))
        if ARCHITECTURE not in samples:
            return np.zeros(len(next(iter(samples.values()))))
        return self._calculate(samples, below, above)
