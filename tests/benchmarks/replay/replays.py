"""Replays of all arms under the same chance, shared by processes."""

import math
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean

from .arms import RANDOM, Arm, search
from .course import Course
from .draw import Draw, draws
from .measurement import ArmMeasured, Measurement, Trained, trained_in
from .outcomes import courses
from .table import Table
from .tabular import Recorded
from .virtual_search import History

AVERAGES = (3, 5, 9)
SLACK = 1.25
_REPLAYS_AT_ONCE = 25


def measure(
    table: Table,
    arms: Sequence[Arm],
    *,
    replays: int,
    workers: int,
    after: Sequence[int],
    slack: float = SLACK,
    seed: int = 0,
    has_fresh_rows: bool = False,
    processes: int = 1,
    on_replayed: Callable[[int], None] = lambda count: None,
) -> Measurement:
    """Replays `arms`, of which random search is one.

    All are compared at one moment, when random search has ended so many trainings on average. Where it had ended them
    in the same replay would favour it: nobody else has just ended a training then, and is half of one behind.

    Args:
        after: whole trainings of random search whose outcome is the target.
        slack: every arm runs so many times as long: a factor is seen down to 1 / slack.
        has_fresh_rows: see `draws`.
        processes: that share the replays.
        on_replayed: gets the number of replays that are done, now and then.
    """
    most = max(after)
    recorded = Recorded(table.space, table.parameters)
    ended_s = [
        _searched(
            table, recorded, RANDOM, draw, workers, lambda each, _: len(each.ended_s) >= most
        ).ended_s
        for draw in draws(table, range(replays), seed=seed)
    ]
    moments_s = {n: fmean(of_search[n - 1] for of_search in ended_s) for n in after}
    end_s = slack * moments_s[most]

    at_once = min(_REPLAYS_AT_ONCE, math.ceil(replays / processes))
    parts = [
        _Part(
            tuple(arms),
            range(replays)[first : first + at_once],
            seed,
            has_fresh_rows,
            workers,
            end_s,
        )
        for first in range(0, replays, at_once)
    ]
    replayed: list[_OfArms] = []

    def take(found: Iterable[list[_OfArms]]) -> None:
        for each in found:
            replayed.extend(each)
            on_replayed(len(replayed))

    if processes == 1:
        take(_replayed(table, recorded, part) for part in parts)
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            processes, mp_context=context, initializer=_prepare, initargs=(table,)
        ) as pool:
            take(pool.map(_replayed_here, parts))
    measured = {}
    for arm in arms:
        of_arm = [each[arm.name] for each in replayed]
        measured[arm.name] = ArmMeasured(
            arm,
            [facts for facts, _ in of_arm],
            {name: [found[name] for _, found in of_arm] for name in of_arm[0][1]},
            end_s,
        )
    return Measurement(moments_s, end_s, measured)


@dataclass(frozen=True)
class _Part:
    """The replays that one process takes at once."""

    arms: tuple[Arm, ...]
    numbers: range
    seed: int
    has_fresh_rows: bool
    workers: int
    end_s: float


_OfArms = dict[str, tuple[Trained, dict[str, Course]]]


def _replayed(table: Table, recorded: Recorded, part: _Part) -> list[_OfArms]:
    """Each replay, by the arm's name."""
    replayed = []
    for draw in draws(table, part.numbers, seed=part.seed, has_fresh_rows=part.has_fresh_rows):
        of_arms: _OfArms = {}
        for arm in part.arms:
            history = _searched(
                table, recorded, arm, draw, part.workers, lambda _, next_s: next_s > part.end_s
            )
            found = courses(
                table,
                draw,
                history,
                workers=part.workers,
                averages=AVERAGES,
                all_kinds=arm.has_all_kinds,
            )
            of_arms[arm.name] = (trained_in(table, draw, history), found)
        replayed.append(of_arms)
    return replayed


def _searched(
    table: Table,
    recorded: Recorded,
    arm: Arm,
    draw: Draw,
    workers: int,
    is_over: Callable[[History, float], bool],
) -> History:
    return search(arm, table, recorded, draw, workers=workers, is_over=is_over)


# What a process replays on, loaded once.
_PROCESS: list[tuple[Table, Recorded]] = []


def _prepare(table: Table) -> None:
    _PROCESS[:] = [(table, Recorded(table.space, table.parameters))]


def _replayed_here(part: _Part) -> list[_OfArms]:
    return _replayed(*_PROCESS[0], part)
