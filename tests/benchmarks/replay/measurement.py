"""All arms replayed under the same chance, and each outcome against random search's best single model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .arms import RANDOM, Arm, search
from .comparison import Interval, factor, gain
from .draw import Draw, draws
from .outcomes import KEPT, SINGLE, Course, at_moment, average_of, courses
from .table import Table
from .tabular import Recorded
from .virtual_search import History

AVERAGES = (3, 5, 9)
OUTCOMES = (SINGLE, *map(average_of, AVERAGES), KEPT)
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
        moments_s: of each number of whole trainings, when random search had them on average.
    """

    results: Sequence[Result]
    histories: Mapping[str, Sequence[History]]
    moments_s: Mapping[int, float]


def measure(
    table: Table,
    arms: Sequence[Arm],
    *,
    replays: int,
    workers: int,
    after: Sequence[int],
    slack: float = SLACK,
    seed: int = 0,
) -> Measurement:
    """Replays `arms`, of which random search is one, and compares their outcomes.

    All are compared at one moment, when random search has ended so many trainings on average. Where it had ended them
    in the same replay would favour it: nobody else has just ended a training then, and is half of one behind.

    Args:
        after: whole trainings of random search whose outcome is the target.
        slack: every arm runs so many times as long: a factor is seen down to 1 / slack.
    """
    recorded = Recorded(table.space, table.parameters)

    def searched(
        arm: Arm, draw: Draw, is_over: Callable[[History, float], bool]
    ) -> tuple[str, History]:
        history = search(arm, table, recorded, draw, workers=workers, is_over=is_over)
        return arm.name, history

    most = max(after)
    trained = [
        searched(RANDOM, draw, lambda history, _: len(history.ended_s) >= most)[1]
        for draw in draws(table, replays, seed=seed)
    ]
    moments_s = {n: fmean(history.ended_s[n - 1] for history in trained) for n in after}
    end_s = slack * moments_s[most]

    histories: dict[str, list[History]] = {}
    of_arm: dict[str, dict[str, list[Course]]] = {}
    for draw in draws(table, replays, seed=seed):
        for arm in arms:
            name, history = searched(arm, draw, lambda _, next_s: next_s > end_s)
            histories.setdefault(name, []).append(history)
            for outcome, course in courses(table, draw, history, averages=AVERAGES).items():
                of_arm.setdefault(name, {}).setdefault(outcome, []).append(course)
    results = [
        _compare(name, outcome, n, ours, of_arm[RANDOM.name][SINGLE], moments_s[n], end_s)
        for name, outcomes in of_arm.items()
        for outcome, ours in outcomes.items()
        for n in after
    ]
    return Measurement(results, histories, moments_s)


def _compare(
    arm: str,
    outcome: str,
    after: int,
    ours: Sequence[Course],
    random: Sequence[Course],
    moment_s: float,
    end_s: float,
) -> Result:
    target = at_moment(random, moment_s)
    longest = end_s / moment_s
    return Result(
        arm=arm,
        outcome=outcome,
        after=after,
        target=float(target.mean()),
        factor=factor(ours, target, moment_s, longest=longest),
        least_factor=1 / longest,
        gain=gain(at_moment(ours, moment_s), target),
    )
