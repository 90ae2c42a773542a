"""Suggestions that may only be what was recorded.

Where TPE has learned something, the trial gets the recorded configuration that TPE thinks most of, among those of its
suggestion's architecture that the search has not had (see `acquisition.py`). A suggestion of another sampler that
learned is answered with the nearest of them: each range scaled to 0 … 1, logarithms where the range is logarithmic,
another choice 1 apart. A `Picker` suggests nothing and takes a recorded configuration itself. While a sampler still
draws at random it gets the next configuration of the replay's random order, which is a random draw without any
rounding: the recorded ones were drawn by a random search.

The bias: a table of some hundred configurations is coarse in ten dimensions. TPE takes the best of what is there, which
may be far from what it would have drawn; and the nearest configuration is more often one with few neighbours: the arm
"random, none, snapped" shows what that alone does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tuner.settings.ranges import Choice, Range, SuggestsValues
from tuner.settings.space import ARCHITECTURE, SearchSpace

from .acquisition import Acquisition, Columns

Sampler = optuna.samplers.BaseSampler
# From what makes tuner's own sampler of a trial to what decides; None: the replay's random order does.
Decides = Callable[[Callable[[], Sampler]], "Sampler | Picker | None"]
# Of a study, the table, what its trials got so far, and what is left: a recorded configuration, or None.
Pick = Callable[[optuna.Study, "Recorded", Sequence[int], Sequence[int]], int | None]


@dataclass(frozen=True)
class Picker:
    """Takes a recorded configuration, and suggests no values.

    Where it takes none, the sampler decides, or without one the replay's order.
    """

    pick: Pick
    sampler: Sampler | None


class Recorded:
    """The recorded configurations of a table as points of its space, to measure distances between.

    `distributions` has those of each configuration's parameters, `hyperparameters` what a trial of it trains, `ranges`
    those of each architecture by the study's names.
    """

    def __init__(self, space: SearchSpace, parameters: tuple[Mapping[str, Any], ...]) -> None:
        self.space = space
        self.parameters = parameters
        asked = [_Asked(each) for each in parameters]
        self.hyperparameters = [space.suggest(each) for each in asked]
        self.distributions = [each.distributions for each in asked]
        self.columns = Columns(space, parameters)
        self.architectures = np.array([each[ARCHITECTURE] for each in parameters])
        self.ranges = {each: _ranges(space, each) for each in space.architectures}
        self._columns = {
            name: np.array(
                [scaled(range_, each[name]) if name in each else math.nan for each in parameters]
            )
            for ranges in self.ranges.values()
            for name, range_ in ranges.items()
        }

    def ask(self, trial: SuggestsValues) -> str:
        """Asks a trial for all parameters as the space does, and makes nothing of them; returns its architecture."""
        architecture: str = trial.suggest_categorical(ARCHITECTURE, list(self.ranges))
        for name, range_ in self.ranges[architecture].items():
            range_.suggest(trial, name)
        return architecture

    def distances(
        self, architecture: str, values: Mapping[str, Any], among: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """How far the configurations `among`, all of one architecture, are from `values`."""
        squares = np.zeros(len(among))
        for name, range_ in self.ranges[architecture].items():
            apart = np.abs(self._columns[name][among] - scaled(range_, values[name]))
            squares += np.minimum(apart, 1) ** 2
        return np.sqrt(squares)


def distributions_of(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Of what distributions the values of a configuration's parameters are."""
    asked = _Asked(values)
    space.suggest(asked)
    return asked.distributions


class Chooser:
    """Which configuration each trial of one replay gets. Afterwards `chosen` holds them, by the trial's number.

    Args:
        order: the recorded configurations as a random search draws them.
        decides: which sampler decides.
        snaps_all: random suggestions are rounded, too, and do not follow `order`.
        any_architecture: where TPE has learned something it is asked about the configurations of all architectures.
        first: the configurations that the first trials get, whatever the sampler says.
        prior: by how many trials there are, what is added to what TPE thinks of each configuration, see `priors.py`.
    """

    def __init__(
        self,
        recorded: Recorded,
        order: NDArray[np.int64],
        decides: Decides,
        *,
        snaps_all: bool = False,
        any_architecture: bool = False,
        first: Sequence[int] = (),
        prior: Callable[[int], NDArray[np.float64]] | None = None,
    ) -> None:
        self._first = list(first)
        self.recorded = recorded
        self.chosen: list[int] = []
        self.snapping: list[float] = []  # distance to the chosen one, as a share of the mean to all
        self._left = list(map(int, order))
        self._decides = decides
        self._snaps_all = snaps_all
        self._any_architecture = any_architecture
        self._prior = prior

    @property
    def has_more(self) -> bool:
        """Whether any recorded configuration is left."""
        return bool(self._left)

    def sampler(self, own: Callable[[], Sampler]) -> Sampler | Picker | None:
        """What decides about the next trial; `own` makes the one that tuner would take."""
        return self._decides(own)

    def choose(
        self, sampler: Sampler | Picker | None, study: optuna.Study, trial: FrozenTrial
    ) -> int:
        """The configuration that a trial gets."""
        chosen = self._first.pop(0) if self._first else self._next(sampler, study, trial)
        self._left.remove(chosen)
        self.chosen.append(chosen)
        return chosen

    def _next(
        self, sampler: Sampler | Picker | None, study: optuna.Study, trial: FrozenTrial
    ) -> int:
        if sampler is None:
            return self._left[0]
        if isinstance(sampler, Picker):
            picked = sampler.pick(study, self.recorded, self.chosen, self._left)
            return self._next(sampler.sampler, study, trial) if picked is None else picked
        return self._answer(sampler, study, trial)

    def _answer(self, sampler: Sampler, study: optuna.Study, trial: FrozenTrial) -> int:
        acquisition = None
        if isinstance(sampler, optuna.samplers.TPESampler):
            acquisition = Acquisition(sampler, self.recorded.columns)
        suggestion = _Suggestion(sampler, study, trial)
        architecture = self.recorded.ask(suggestion)
        knows = (acquisition is not None and acquisition.was_asked) or self._prior is not None
        if knows and self._any_architecture:
            return self._best(acquisition, self._left)
        architectures = self.recorded.architectures
        same = [each for each in self._left if architectures[each] == architecture]
        if not same:
            return self._left[0]
        if knows:
            return self._best(acquisition, same)
        if not suggestion.is_learned and not self._snaps_all:
            return same[0]
        left = np.array(same)
        distances = self.recorded.distances(architecture, suggestion.values, left)
        self.snapping.append(float(distances.min() / distances.mean()))
        return int(left[distances.argmin()])

    def _best(self, acquisition: Acquisition | None, among: Sequence[int]) -> int:
        """The configuration that TPE and the prior think most of."""
        places = np.array(among)
        scores = np.zeros(len(places)) if acquisition is None else acquisition.scores(places)
        if self._prior is not None:
            scores = scores + self._prior(len(self.chosen))[places]
        return int(places[scores.argmax()])


class _Answers:
    """What a space asks a trial for, given in turn by `_value`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._value(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return int(self._value(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._value(name, CategoricalDistribution(choices))

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        raise NotImplementedError


class _Asked(_Answers):
    """A recorded configuration, and of what distributions its parameters are."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.distributions: dict[str, BaseDistribution] = {}
        self._parameters = parameters

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        return self._parameters[name]


class _Suggestion(_Answers):
    """The configuration that a sampler would give a trial; the trial itself gets none of it."""

    def __init__(self, sampler: Sampler, study: optuna.Study, trial: FrozenTrial) -> None:
        self.values: dict[str, Any] = {}
        self._sampler, self._study, self._trial = sampler, study, trial
        space = sampler.infer_relative_search_space(study, trial)
        self._learned = sampler.sample_relative(study, trial, space)

    @property
    def is_learned(self) -> bool:
        """Whether the sampler learned anything of it, and does not draw at random."""
        return bool(self._learned)

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._learned:
            value = self._learned[name]
        else:
            value = self._sampler.sample_independent(self._study, self._trial, name, distribution)
        self.values[name] = value
        return value


def _ranges(space: SearchSpace, architecture: str) -> dict[str, Range]:
    """The ranges of an architecture by the study's names."""
    return {
        space.study_name(architecture, name): parameter
        for name, parameter in space.parameters(architecture).items()
        if isinstance(parameter, Range)
    }


def scaled(range_: Range, value: Any) -> float:
    """From 0 to 1 within the range; a choice's place, which is 1 or more from another's."""
    if isinstance(range_, Choice):
        return float(range_.options.index(value))
    low, high = range_.bounds
    if range_.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return float((value - low) / (high - low))
