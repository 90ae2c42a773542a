"""Pareto fronts: no point on one is dominated, every other point is, for any order and any number of equal points."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tuner.settings.pareto_fronts import Point, dominates, front, fronts, leading

# Few values, so that ties in one coordinate and equal points are common.
COORDINATES = st.integers(0, 6).map(float) | st.floats(-1e9, 1e9)
POINTS = st.lists(st.tuples(COORDINATES, COORDINATES), max_size=40)


def values(points: Sequence[Point], positions: Sequence[int]) -> list[Point]:
    return sorted(points[position] for position in positions)


@given(POINTS)
def test_no_point_on_the_front_is_dominated_and_every_other_one_is(
    points: list[Point],
) -> None:
    chosen = front(points)
    assert len(set(chosen)) == len(chosen)
    for position, point in enumerate(points):
        is_dominated = any(dominates(points[other], point) for other in chosen)
        assert is_dominated == (position not in chosen)
        assert is_dominated == any(dominates(other, point) for other in points)


@given(POINTS)
def test_each_front_is_the_front_of_the_points_left_by_earlier_ones(points: list[Point]) -> None:
    left = list(range(len(points)))
    for each in fronts(points):
        rest = [points[position] for position in left]
        assert sorted(each) == sorted(left[position] for position in front(rest))
        left = [position for position in left if position not in each]
    assert left == []


@given(POINTS, st.randoms())
def test_the_order_of_arrival_changes_no_front(points: list[Point], random: object) -> None:
    arrived = list(points)
    random.shuffle(arrived)  # type: ignore[attr-defined]
    assert [values(arrived, each) for each in fronts(arrived)] == [
        values(points, each) for each in fronts(points)
    ]


@given(POINTS)
def test_a_front_runs_from_its_least_first_to_its_least_second_coordinate(
    points: list[Point],
) -> None:
    for each in fronts(points):
        along = [points[position] for position in each]
        assert along == sorted(along)
        assert [y for _, y in along] == sorted((y for _, y in along), reverse=True)


def test_equal_points_are_all_on_the_front_and_a_tie_in_one_coordinate_is_not() -> None:
    assert front([(1.0, 2.0), (1.0, 2.0), (1.0, 3.0), (2.0, 2.0), (0.0, 9.0)]) == [4, 0, 1]


def test_nothing_has_no_front() -> None:
    assert front([]) == []
    assert leading([], 3) == []


@given(POINTS, st.integers(0, 45))
def test_the_leading_points_are_as_many_as_requested_and_of_the_first_fronts(
    points: list[Point], count: int
) -> None:
    chosen = leading(points, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(points))
    rank = {position: number for number, each in enumerate(fronts(points)) for position in each}
    left_out = [rank[position] for position in range(len(points)) if position not in chosen]
    assert max((rank[position] for position in chosen), default=0) <= min(left_out, default=99)


def test_of_a_front_that_is_too_large_its_ends_and_some_between_lead() -> None:
    line = [(float(x), float(10 - x)) for x in range(11)]
    assert leading(line, 3) == [0, 5, 10]
    assert leading(line, 1) == [0]
