"""Two objectives: what a trial is scored by, and what it costs. Nothing here knows Optuna.

`--objectives METRIC,COST` is read here, once; inside, `Objectives` says which figures of a trial make it a point.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tuner.settings.metric import Metric, MetricName

Point = tuple[float, float]  # finite


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
        """A trial's place as `tuner.settings.objectives` counts: less is better."""
        return (self.metric.as_cost(score), float(cost))


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


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is as good as `other` in both coordinates and better in one."""
    return one != other and one[0] <= other[0] and one[1] <= other[1]


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """The points' positions by front: those that no point dominates, then those that only these do, and so on.

    A front runs from its least first coordinate to its least second one. Equal points share a front, in the order of
    their positions. Takes `n log n` steps for `n` points.
    """
    found: list[list[int]] = []
    lowest: list[float] = []  # second coordinate of each front's latest point: ascending
    before: Point | None = None
    number = 0
    for position in sorted(range(len(points)), key=lambda at: points[at]):
        point = points[position]
        if point != before:
            # Each front's latest point is no worse in the first coordinate, so that the second one decides.
            number = bisect_right(lowest, point[1])
            before = point
        if number == len(found):
            found.append([])
            lowest.append(point[1])
        found[number].append(position)
        lowest[number] = point[1]
    return found


def front(points: Sequence[Point]) -> list[int]:
    """Positions of the points that no point dominates, the least first coordinate first."""
    return next(iter(fronts(points)), [])


def leading(points: Sequence[Point], count: int) -> list[int]:
    """Positions of `count` points, or of all: fronts first, of the one that does not fit its ends and some between."""
    chosen: list[int] = []
    for each in fronts(points):
        chosen += _spaced(each, count - len(chosen))
    return chosen


def _spaced(positions: list[int], count: int) -> list[int]:
    """`count` of them, or all: the ends, and what lies evenly between."""
    if len(positions) <= count:
        return positions
    if count < 2:
        return positions[:count]
    last = len(positions) - 1
    return [positions[round(step * last / (count - 1))] for step in range(count)]
