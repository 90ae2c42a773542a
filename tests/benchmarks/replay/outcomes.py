"""What a search would hand over if it ended at some moment, and how often that is right on rows that chose nothing.

Every trial stands there with its best epoch by the validation rows so far, whether it ended, was pruned or still runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draw import Draw
from .table import Table
from .virtual_search import History

SINGLE = "best single"


def average_of(count: int) -> str:
    """The name of the outcome that averages so many of the best trials."""
    return f"average of {count}"


@dataclass(frozen=True, eq=False)
class Course:
    """An outcome's true accuracy over time: `values[i]` from `at_s[i]` on. It begins at 0 s with a guess."""

    at_s: NDArray[np.float64]
    values: NDArray[np.float64]

    def at(self, seconds: float) -> float:
        """The accuracy at a moment."""
        return float(self.values[np.searchsorted(self.at_s, seconds, side="right") - 1])


def courses(
    table: Table, draw: Draw, history: History, *, averages: Sequence[int]
) -> dict[str, Course]:
    """Of the best single model, and of the plain average of the best trials, or of all while there are fewer."""
    guess = 1 / table.n_classes
    at_s: dict[str, list[float]] = {SINGLE: [0.0], **{average_of(n): [0.0] for n in averages}}
    values: dict[str, list[float]] = {name: [guess] for name in at_s}
    sets: dict[int, list[tuple[int, int]]] = {}
    best: dict[
        int, tuple[float, int, int]
    ] = {}  # by trial: validation accuracy, configuration, point
    answers: dict[tuple[int, int], NDArray[np.float32]] = {}

    def add(name: str, seconds: float, value: float) -> None:
        if value != values[name][-1]:
            at_s[name].append(seconds)
            values[name].append(value)

    for seen in history.seen:
        accuracy = float(draw.validation_accuracy[seen.configuration, seen.point])
        if seen.trial in best and best[seen.trial][0] >= accuracy:
            continue
        best[seen.trial] = (accuracy, seen.configuration, seen.point)
        ranked = [
            best[trial][1:] for trial in sorted(best, key=lambda each: (-best[each][0], each))
        ]
        add(SINGLE, seen.at_s, float(draw.true_accuracy[ranked[0]]))
        for count in averages:
            members = ranked[:count]
            if members == sets.get(count):
                continue
            sets[count] = members
            for member in members:
                if member not in answers:
                    seed = int(draw.seeds[member[0]])
                    answers[member] = table.answers(member[0], seed, member[1], draw.truth)
            value = table.accuracy_of([answers[member] for member in members], draw.truth)
            add(average_of(count), seen.at_s, value)
    return {name: Course(np.array(at_s[name]), np.array(values[name])) for name in at_s}


def at_moment(of: Sequence[Course], moment_s: float) -> NDArray[np.float64]:
    """Of each replay its course's accuracy at a moment, `(n_replays,)`."""
    return np.array([each.at(moment_s) for each in of])
