"""The objectives that trials of a search are compared by: its metric alone, or its metric and a cost.

Only this module distinguishes the two: the search, the leaderboard and the report use `Objectives`.
`--objectives METRIC,COST` is read here, too. Knows neither Optuna nor trials.
"""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, assert_never

from pydantic import BeforeValidator

from tuner.settings import pareto_fronts as fronts
from tuner.settings.metric import Direction, Metric, MetricName

PARETO = "pareto"  # the leaderboard's column: whether a trial is on the front

# A trial's score, followed by its cost where there is one: the values given to Optuna. Finite.
Values = Sequence[float]


class Cost(StrEnum):
    """A cost of a trial; less is better. Named after the leaderboard's columns."""

    SECONDS_PER_EPOCH = "seconds_per_epoch"  # of this machine under the load it had
    WEIGHTS = "weights"  # the same everywhere

    @property
    def unit(self) -> str:
        """The unit, to be written after a number."""
        match self:
            case Cost.SECONDS_PER_EPOCH:
                return "s per epoch"
            case Cost.WEIGHTS:
                return "weights"
            case _:
                assert_never(self)


@dataclass(frozen=True)
class Objectives(ABC):
    """The objectives that the trials of a search are compared by."""

    metric: Metric

    @property
    @abstractmethod
    def costs(self) -> tuple[Cost, ...]:
        """The cost that is kept low beside the metric; empty without one."""

    @property
    @abstractmethod
    def marks(self) -> tuple[str, ...]:
        """The columns that only the leaderboard of such a search has."""

    @property
    @abstractmethod
    def can_prune(self) -> bool:
        """Whether a trial that falls behind may be stopped."""

    @abstractmethod
    def front(self, trials: Sequence[Values]) -> list[int]:
        """Positions of the trials that no other beats on both objectives, best score first."""

    @abstractmethod
    def contenders(self, trials: Sequence[Values]) -> list[int]:
        """Positions of the trials that a person may choose from."""

    @abstractmethod
    def leading(self, trials: Sequence[Values], count: int) -> list[int]:
        """Positions of the `count` best trials, or of all."""

    @property
    def names(self) -> list[str]:
        """The objectives' names, the metric's first."""
        return [str(self.metric.name), *map(str, self.costs)]

    @property
    def directions(self) -> list[Direction]:
        """The direction in which each is better, in Optuna's words."""
        of_costs: list[Direction] = ["minimize"] * len(self.costs)
        return [self.metric.direction, *of_costs]


@dataclass(frozen=True)
class MetricAlone(Objectives):
    """The best trial is the one with the best score."""

    costs = ()
    marks = ()
    can_prune = True

    def front(self, trials: Sequence[Values]) -> list[int]:
        """None: there is one best trial."""
        return []

    def contenders(self, trials: Sequence[Values]) -> list[int]:
        """All."""
        return list(range(len(trials)))

    def leading(self, trials: Sequence[Values], count: int) -> list[int]:
        """Positions of the best scores; of equal ones the earlier."""
        return heapq.nsmallest(
            count, range(len(trials)), key=lambda position: self.metric.as_cost(trials[position][0])
        )


@dataclass(frozen=True)
class MetricAndCost(Objectives):
    """A better score at the same cost is better, and a lower cost at the same score: the best trials are a front."""

    cost: Cost

    marks = (PARETO,)
    can_prune = False  # a trial that is behind in its score may still be on the front

    @property
    def costs(self) -> tuple[Cost, ...]:
        """The one cost."""
        return (self.cost,)

    def front(self, trials: Sequence[Values]) -> list[int]:
        """The Pareto front, from the best score to the lowest cost."""
        return fronts.front(self._points(trials))

    def contenders(self, trials: Sequence[Values]) -> list[int]:
        """The front: every other trial is beaten by one on it."""
        return self.front(trials)

    def leading(self, trials: Sequence[Values], count: int) -> list[int]:
        """Positions on the first fronts; of the front that does not fit, the ends and some between."""
        return fronts.leading(self._points(trials), count)

    def _points(self, trials: Sequence[Values]) -> list[fronts.Point]:
        return [(self.metric.as_cost(score), cost) for score, cost in trials]


def check_metric(metric: MetricName, cost: Cost, *, own: MetricName) -> None:
    """Refuses a metric that is not the space's own.

    Raises:
        ValueError: it is another one.
    """
    if metric is not own:
        raise ValueError(
            f"the space is scored by {own}, got {metric}; write {own},{cost}, "
            f"or a space with metric: {{name: {metric}}}"
        )


def make_objectives(metric: Metric, cost: Cost | None) -> Objectives:
    """The objectives of a search by `metric`, and by `cost` where there is one."""
    return MetricAlone(metric) if cost is None else MetricAndCost(metric, cost)


def shared_objectives(searches: Iterable[Objectives]) -> Objectives:
    """The objectives for trials of several searches with one metric: the metric alone where their objectives differ."""
    first, *others = dict.fromkeys(searches)
    return MetricAlone(first.metric) if others else first


@dataclass(frozen=True)
class FrontTrial:
    """A trial on the front: no cheaper trial is as good, and no better trial is as cheap."""

    number: int
    architecture: str
    score: float
    cost: float


def parse_objectives(given: object) -> tuple[MetricName, Cost]:
    """`METRIC,COST`, or the two in a list.

    Raises:
        ValueError: something else.
    """
    names = given.split(",") if isinstance(given, str) else given
    if (
        not isinstance(names, Sequence)
        or len(names) != 2
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"must be METRIC,COST such as val_accuracy,weights, got {given!r}")
    metric, cost = (name.strip() for name in names)
    if metric not in list(MetricName):
        raise ValueError(f"the first must be {_one_of(MetricName)}, got {metric!r}")
    if cost not in list(Cost):
        raise ValueError(f"the second must be {_one_of(Cost)}, got {cost!r}")
    return MetricName(metric), Cost(cost)


TwoObjectives = Annotated[
    tuple[MetricName, Cost],
    BeforeValidator(parse_objectives, json_schema_input_type=str | Sequence[str]),
]


def _one_of(names: type[StrEnum]) -> str:
    *others, last = (str(name) for name in names)
    return f"{', '.join(others)} or {last}"
