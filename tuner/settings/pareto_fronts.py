"""Pareto fronts of points in a plane, where less is better in both coordinates. Knows neither trials nor metrics."""

from bisect import bisect_right
from collections.abc import Sequence

Point = tuple[float, float]  # finite


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
    """Positions of `count` points, or of all: whole fronts, then the ends and some points of the next front."""
    chosen: list[int] = []
    for each in fronts(points):
        chosen += _spaced(each, count - len(chosen))
    return chosen


def _spaced(positions: list[int], count: int) -> list[int]:
    """`count` of them, or all: the ends, and others evenly between."""
    if len(positions) <= count:
        return positions
    if count < 2:
        return positions[:count]
    last = len(positions) - 1
    return [positions[round(step * last / (count - 1))] for step in range(count)]
