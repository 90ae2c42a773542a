"""All arms replayed under the same chance, and each outcome against random search's best single model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arms import RANDOM, Arm, search
from .comparison import Interval, factor, gain
from .draw import Draw, draws
from .outcomes import SINGLE, Course, at_moments, average_of, courses
from .table import Table
from .tabular import Recorded
from .virtual_search import History

AVERAGES = (3, 5, 9)
OUTCOMES = (SINGLE, *map(average_of, AVERAGES))
# Every arm runs so many times as long as random search does: a factor below 1 is seen down to 1 / SLACK.
SLACK = 1.25


@dataclass(frozen=True)
class Result:
    """One arm's outcome against random search's best single model after so many whole trainings."""

    arm: str
    outcome: str
    after: int
    target: float
    factor: Interval
    least_factor: float  # that could be seen
    gain: Interval


@dataclass(frozen=True, eq=False)
class Measurement:
    """All results of one table and number of workers.

    Args:
        histories: of each arm, replay by replay.
        moments_s: of each number of whole trainings, when random search had them, replay by replay.
    """

    results: Sequence[Result]
    histories: Mapping[str, Sequence[History]]
    moments_s: Mapping[int, NDArray[np.float64]]


def measure(
    table: Table,
    arms: Sequence[Arm],
    *,
    replays: int,
    workers: int,
    after: Sequence[int],
    seed: int = 0,
) -> Measurement:
    """Replays `arms`, random search among them or not, and compares their outcomes.

    Args:
        after: whole trainings of random search whose outcome is the target.
    """
    recorded = Recorded(table.space, table.parameters)
    histories: dict[str, list[History]] = {}
    of_arm: dict[str, dict[str, list[Course]]] = {}
    for draw in draws(table, replays, seed=seed):
        for name, history in _replay(table, recorded, draw, arms, workers, max(after)).items():
            histories.setdefault(name, []).append(history)
            for outcome, course in courses(table, draw, history, averages=AVERAGES).items():
                of_arm.setdefault(name, {}).setdefault(outcome, []).append(course)
    random = histories[RANDOM.name]
    moments_s = {n: np.array([each.ended_s[n - 1] for each in random]) for n in after}
    longest_s = SLACK * moments_s[max(after)]
    results = [
        _compare(name, outcome, n, ours, of_arm[RANDOM.name][SINGLE], moments_s[n], longest_s)
        for name, outcomes in of_arm.items()
        for outcome, ours in outcomes.items()
        for n in after
    ]
    return Measurement(results, histories, moments_s)


def _replay(
    table: Table, recorded: Recorded, draw: Draw, arms: Sequence[Arm], workers: int, most: int
) -> dict[str, History]:
    """All arms for as long as random search needs for `most` whole trainings, and a little longer."""

    def has_enough(history: History, next_s: float) -> bool:
        ended = history.ended_s
        return len(ended) >= most and next_s > SLACK * ended[most - 1]

    random = search(RANDOM, table, recorded, draw, workers=workers, is_over=has_enough)
    end_s = SLACK * random.ended_s[most - 1]
    others = {
        arm.name: search(
            arm, table, recorded, draw, workers=workers, is_over=lambda _, next_s: next_s > end_s
        )
        for arm in arms
        if arm is not RANDOM
    }
    return {RANDOM.name: random, **others}


def _compare(
    arm: str,
    outcome: str,
    after: int,
    ours: Sequence[Course],
    random: Sequence[Course],
    moments_s: NDArray[np.float64],
    longest_s: NDArray[np.float64],
) -> Result:
    target = at_moments(random, moments_s)
    longest = float((longest_s / moments_s).min())
    return Result(
        arm=arm,
        outcome=outcome,
        after=after,
        target=float(target.mean()),
        factor=factor(ours, target, moments_s, longest=longest),
        least_factor=1 / longest,
        gain=gain(at_moments(ours, moments_s), target),
    )
