"""What a search hands over that trains the linear reference beside its first trials.

From the moment when it is trained: the reference alone until the first trial has ended, and then the average of those
that tuner chooses, mixed with it by the product's rule. Before that moment there is only what ended. A trial that still
runs is never handed over.

The reference is one more process beside the trials of so many workers, as many as there are cores. All get the same
share of these. So it takes (workers + 1) / workers times its seconds, and what the trials reach after it comes
1 / workers of its seconds later. Where a machine has a core to spare, the trials lose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.search.reference_member import mixed, weight_of

from .chosen import Member, of_classes
from .course import Course, GrowingCourse
from .draw import Draw
from .recorded_reference import RecordedReference
from .table import Table


@dataclass(frozen=True)
class Kept:
    """What a search without a reference hands over from a moment on: the average of `members`."""

    at_s: float
    members: Sequence[Member]


def course_with_reference(
    table: Table,
    draw: Draw,
    reference: RecordedReference,
    kept: Sequence[Kept],
    *,
    workers: int,
) -> Course:
    """The course of the outcome.

    Args:
        kept: in the order of time.
    """
    seconds = reference.seconds
    course = GrowingCourse(table.n_classes)
    before = [each for each in kept if each.at_s < seconds]
    for each in before:
        course.add(each.at_s * (workers + 1) / workers, _accuracy(table, draw, each.members))
    at_once = Kept(seconds, before[-1].members if before else ())
    for each in (at_once, *kept[len(before) :]):
        value = _mixed_accuracy(table, draw, reference, each.members)
        course.add(each.at_s + seconds / workers, value)
    return course.ended()


def _accuracy(table: Table, draw: Draw, members: Sequence[Member]) -> float:
    return table.accuracy_of(_answers(table, draw, members, draw.truth), draw.truth)


def _mixed_accuracy(
    table: Table, draw: Draw, reference: RecordedReference, members: Sequence[Member]
) -> float:
    """That of the members' average and the reference, which gets the weight that confirmation rows choose."""
    assert table.labels is not None
    predicted = of_classes(reference.answers[draw.truth].astype(np.float32))
    if members:

        def both_on(rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            mean = np.mean(_answers(table, draw, members, rows), axis=0)
            return of_classes(mean), of_classes(reference.answers[rows].astype(np.float32))

        rows = draw.confirmation
        weight = weight_of(*both_on(rows), table.labels[rows].astype(np.int32))
        predicted = mixed(*both_on(draw.truth), weight)
    return float((predicted.argmax(axis=1) == table.labels[draw.truth]).mean())


def _answers(
    table: Table, draw: Draw, members: Sequence[Member], rows: NDArray[np.int64]
) -> list[NDArray[np.float32]]:
    return [table.answers(each, int(draw.seeds[each]), point, rows) for each, point in members]
