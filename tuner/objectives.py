"""Two objectives: what a trial is scored by, and what it costs. Nothing here knows Optuna.

`--objectives METRIC,COST` is read here, once; inside, `Objectives` says which figures of a trial make it a point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tuner.pareto import Point
from tuner.space import Metric, MetricName, Mode


class Cost(StrEnum):
    """What a trial may cost; less is better. Named after the leaderboard's columns."""

    SECONDS_PER_EPOCH = "seconds_per_epoch"  # of this machine under the load it had
    WEIGHTS = "weights"  # the same everywhere


@dataclass(frozen=True)
class Objectives:
    """The two objectives of a search."""

    metric: Metric
    cost: Cost

    @property
    def names(self) -> list[str]:
        """The metric's and the cost's."""
        return [str(self.metric.name), str(self.cost)]

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Which way each is better, in Optuna's words."""
        return [self.metric.direction, "minimize"]

    def point(self, score: float, cost: float) -> Point:
        """A trial's place as `tuner.pareto` counts: less is better."""
        return (-score if self.metric.mode is Mode.MAX else score, float(cost))


@dataclass(frozen=True)
class FrontTrial:
    """A trial on the front: nothing that is cheaper is as good, nothing that is better is as cheap."""

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


def _one_of(names: type[StrEnum]) -> str:
    *others, last = (str(name) for name in names)
    return f"{', '.join(others)} or {last}"
