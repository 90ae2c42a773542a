"""What a search would hand over if it ended at some moment, and how often that is right on rows that chose nothing.

Every trial stands there with its best epoch by the validation rows so far, whether it ended, was pruned or still runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.search.reference_member import mixed, weight_of

from .draw import Draw
from .greedy import selected
from .table import Table
from .virtual_search import History

SINGLE = "best single"
KEPT = "average of 5 ended"  # tuner's: the weights of those that still run are not used
GREEDY = "greedy of ended"  # greedy selection in place of the best five
WITH_REFERENCE = f"{KEPT}, reference"  # tuner's, where the table has the linear reference
KEPT_COUNT = 5


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
        return float(self.at_all(np.array([seconds]))[0])

    def at_all(self, moments_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The accuracies at moments, `(n,)`."""
        return self.values[np.searchsorted(self.at_s, moments_s, side="right") - 1]


def courses(
    table: Table, draw: Draw, history: History, *, averages: Sequence[int], all_kinds: bool = False
) -> dict[str, Course]:
    """Of the best single model, and of the plain average of the best trials, or of all while there are fewer.

    That of trials that ended is the best single one before any has.

    Args:
        averages: of so many trials, whether they ended or not.
        all_kinds: also what takes time to measure: greedy selection, and the linear reference as a member, which a
            search trains when it ends.
    """
    guess = 1 / table.n_classes
    names = [SINGLE, *map(average_of, averages), KEPT, *([GREEDY] if all_kinds else [])]
    reference = table.reference if all_kinds else None
    if reference is not None:
        names.append(WITH_REFERENCE)
    at_s: dict[str, list[float]] = {name: [0.0] for name in names}
    values: dict[str, list[float]] = {name: [guess] for name in names}
    sets: dict[str, list[tuple[int, int]]] = {}
    # By trial: validation accuracy, configuration, point.
    best: dict[int, tuple[float, int, int]] = {}
    last = {seen.trial: place for place, seen in enumerate(history.seen)}
    ended: set[int] = set()
    answers: dict[tuple[int, int], NDArray[np.float32]] = {}

    def add(name: str, seconds: float, members: list[tuple[int, int]]) -> None:
        if members == sets.get(name):
            return
        sets[name] = members
        for member in members:
            if member not in answers:
                seed = int(draw.seeds[member[0]])
                answers[member] = table.answers(member[0], seed, member[1], draw.truth)
        if name == WITH_REFERENCE and reference is not None:
            value = _with_reference(table, draw, members, reference.answers)
        else:
            value = table.accuracy_of([answers[member] for member in members], draw.truth)
        if value != values[name][-1]:
            at_s[name].append(seconds)
            values[name].append(value)

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
        if reference is not None:
            members = of_ended[:KEPT_COUNT] or ranked[:1]
            add(WITH_REFERENCE, seen.at_s + reference.seconds, members)
        if all_kinds and has_ended:
            add(GREEDY, seen.at_s, selected(table, draw, of_ended) or ranked[:1])
    return {name: Course(np.array(at_s[name]), np.array(values[name])) for name in at_s}


def _with_reference(
    table: Table, draw: Draw, members: Sequence[tuple[int, int]], reference: NDArray[np.float16]
) -> float:
    """The accuracy of the members' average and the reference, which gets the weight that confirmation rows choose."""
    assert table.labels is not None

    def both_on(rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        answers = [table.answers(each, int(draw.seeds[each]), at, rows) for each, at in members]
        mean, of_reference = np.mean(answers, axis=0), reference[rows].astype(np.float32)
        if mean.ndim == 2:
            return mean, of_reference
        return np.stack([1 - mean, mean], axis=1), np.stack([1 - of_reference, of_reference], 1)

    rows = draw.confirmation
    weight = weight_of(*both_on(rows), table.labels[rows].astype(np.int32))
    predicted = mixed(*both_on(draw.truth), weight).argmax(axis=1)
    return float((predicted == table.labels[draw.truth]).mean())
