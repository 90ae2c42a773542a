"""What a search would hand over if it ended at some moment, and how often that is right on rows that chose nothing.

Every trial stands there with its best epoch by the validation rows so far, whether it ended, was pruned or still runs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .chosen import Chooser, Member
from .course import Course, GrowingCourse
from .draw import Draw
from .greedy import selected
from .table import Table
from .virtual_search import History
from .with_reference import Kept, course_with_reference

SINGLE = "best single"
KEPT = "average of 5 ended"  # of those that still run the weights are not used
# Tuner's, see `chosen.py` and `with_reference.py`; where the table has probabilities, and the reference.
CHOSEN = "5 by loss of ended"
WITH_REFERENCE = f"{CHOSEN}, reference"
GREEDY = "greedy of ended"  # greedy selection in place of the best five
REFERENCE = "reference alone"  # which takes no search
KEPT_COUNT = 5


def average_of(count: int) -> str:
    """The name of the outcome that averages so many of the best trials."""
    return f"average of {count}"


def courses(
    table: Table,
    draw: Draw,
    history: History,
    *,
    workers: int,
    averages: Sequence[int],
    all_kinds: bool = False,
) -> dict[str, Course]:
    """Of the best single model, and of the plain average of the best trials, or of all while there are fewer.

    That of trials that ended is the best single one before any has.

    Args:
        workers: of the search.
        averages: of so many trials, whether they ended or not.
        all_kinds: also what takes time to measure: greedy selection, those that tuner averages, and the linear
            reference as a member.
    """
    names = [SINGLE, *map(average_of, averages), KEPT, *([GREEDY] if all_kinds else [])]
    chooser = Chooser(table, draw) if all_kinds and table.labels is not None else None
    if chooser is not None:
        names.append(CHOSEN)
    growing = {name: GrowingCourse(table.n_classes) for name in names}
    sets: dict[str, list[Member]] = {}
    kept: list[Kept] = []
    # By trial: validation accuracy, configuration, point.
    best: dict[int, tuple[float, int, int]] = {}
    last = {seen.trial: place for place, seen in enumerate(history.seen)}
    ended: set[int] = set()
    answers: dict[Member, NDArray[np.float32]] = {}

    def add(name: str, seconds: float, members: list[Member]) -> None:
        if members == sets.get(name):
            return
        sets[name] = members
        for member in members:
            if member not in answers:
                seed = int(draw.seeds[member[0]])
                answers[member] = table.answers(member[0], seed, member[1], draw.truth)
        value = table.accuracy_of([answers[member] for member in members], draw.truth)
        growing[name].add(seconds, value)

    for place, seen in enumerate(history.seen):
        accuracy = float(draw.validation_accuracy[seen.configuration, seen.point])
        has_ended = seen.trial in history.ended and last[seen.trial] == place
        is_better = seen.trial not in best or best[seen.trial][0] < accuracy
        if is_better:
            best[seen.trial] = (accuracy, seen.configuration, seen.point)
        if has_ended:
            ended.add(seen.trial)
        if not is_better and not has_ended:
            continue
        order = sorted(best, key=lambda each: (-best[each][0], each))
        ranked = [best[trial][1:] for trial in order]
        of_ended = [best[trial][1:] for trial in order if trial in ended]
        add(SINGLE, seen.at_s, ranked[:1])
        for count in averages:
            add(average_of(count), seen.at_s, ranked[:count])
        add(KEPT, seen.at_s, of_ended[:KEPT_COUNT] or ranked[:1])
        if all_kinds and has_ended:
            add(GREEDY, seen.at_s, selected(table, draw, of_ended) or ranked[:1])
        if chooser is not None and (has_ended or not of_ended):
            members = chooser.members(of_ended, KEPT_COUNT)
            add(CHOSEN, seen.at_s, members or ranked[:1])
            if members and (not kept or members != kept[-1].members):
                kept.append(Kept(seen.at_s, members))
    found = {name: each.ended() for name, each in growing.items()}
    if all_kinds and table.reference is not None:
        found[REFERENCE] = course_with_reference(table, draw, table.reference, [], workers=workers)
        found[WITH_REFERENCE] = course_with_reference(
            table, draw, table.reference, kept, workers=workers
        )
    return found
