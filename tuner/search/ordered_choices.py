"""Shows a sampler the choices among ascending numbers as whole numbers, so that it learns which options are neighbours.

To TPE a choice is one of several words: 400 tokens tell it nothing about 500. Optuna has no choices with an order
(https://github.com/optuna/optuna/issues/1736). So a sampler that learns is shown each option's place in the choice.
Studies keep the options themselves: they read as before, and studies of earlier versions continue.
Must not import Ray or Keras.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial

_FEWEST = 3  # of two options each is the other's only neighbour


class OrderedChoices:
    """The choices among ascending numbers that some trials have, by the parameter's name."""

    def __init__(self, trials: Iterable[FrozenTrial]) -> None:
        self._options: dict[str, Sequence[Any]] = {}
        for trial in trials:
            for name, distribution in trial.distributions.items():
                self.add(name, distribution)

    def add(self, name: str, distribution: BaseDistribution) -> None:
        """Takes up a parameter, where it is such a choice."""
        if name not in self._options and is_ordered(distribution):
            assert isinstance(distribution, CategoricalDistribution)
            self._options[name] = distribution.choices

    def shown(self, trial: FrozenTrial) -> FrozenTrial:
        """The trial with places in place of options."""
        if not self._options.keys() & trial.params.keys():
            return trial
        shown = copy.copy(trial)
        shown.params = {
            name: self._options[name].index(value) if name in self._options else value
            for name, value in trial.params.items()
        }
        shown.distributions = {
            name: self.by_place(name, distribution)
            for name, distribution in trial.distributions.items()
        }
        return shown

    def by_place(self, name: str, distribution: BaseDistribution) -> BaseDistribution:
        """The range of a parameter's places, where it is such a choice; else its own."""
        if name not in self._options:
            return distribution
        return IntDistribution(0, len(self._options[name]) - 1)

    def by_option(self, space: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
        """The ranges as the study has them."""
        return {
            name: CategoricalDistribution(self._options[name]) if name in self._options else each
            for name, each in space.items()
        }

    def option(self, name: str, value: Any) -> Any:
        """The value of a parameter as the study has it."""
        return self._options[name][value] if name in self._options else value


def is_ordered(distribution: BaseDistribution) -> bool:
    """Whether it is a choice among ascending numbers, at least three."""
    if not isinstance(distribution, CategoricalDistribution):
        return False
    options = distribution.choices
    if any(isinstance(option, bool) or not isinstance(option, int | float) for option in options):
        return False
    return len(options) >= _FEWEST and all(low < high for low, high in pairwise(options))  # type: ignore[operator]
