"""What a search hands over with the linear reference: alone at first, then with what ended, and trials come later."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.replay.course import Course
from benchmarks.replay.draw import Draw
from benchmarks.replay.outcomes import KEPT, REFERENCE, WITH_REFERENCE, courses
from benchmarks.replay.recorded_reference import RecordedReference
from benchmarks.replay.table import Table
from benchmarks.replay.virtual_search import History, Seen
from numpy.typing import NDArray
from support.replay_tables import made_table, plain_draw


def known_table(sureness: float, *, n_classes: int = 2) -> tuple[Table, Draw]:
    """Two configurations, and a reference of 3 s that is so sure of the right classes; a third of the rows each."""
    n_pool, rng = 600, np.random.default_rng(1)
    labels = np.arange(n_pool) % n_classes

    def answers(sureness: float) -> NDArray[np.float16]:
        """Of a model whose errors are its own."""
        logits = rng.normal(size=(n_pool, n_classes))
        logits[np.arange(n_pool), labels] += sureness
        odds = np.exp(2 * logits)
        found = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float16)
        return found[:, 1] if n_classes == 2 else found

    table = replace(
        made_table(np.array([[0.75], [0.75]]), n_pool=n_pool),
        probabilities=np.array([[[answers(1.2)]], [[answers(1.2)]]]),
        labels=labels,
        reference=RecordedReference(answers(sureness), seconds=3.0),
    )
    rows = np.split(np.arange(n_pool), 3)
    return table, replace(plain_draw(table), confirmation=rows[1], truth=rows[2])


def with_reference(table: Table, draw: Draw, history: History, workers: int = 1) -> Course:
    found = courses(table, draw, history, workers=workers, averages=[], all_kinds=True)
    return found[WITH_REFERENCE]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_reference_is_handed_over_alone_and_then_with_what_ended(n_classes: int) -> None:
    table, draw = known_table(1.2, n_classes=n_classes)
    seen = [Seen(1.0, 0, 0, 0), Seen(20.0, 0, 0, 0), Seen(21.0, 1, 1, 0)]
    found = courses(table, draw, History(seen, ended={0}), workers=1, averages=[], all_kinds=True)
    course = found[WITH_REFERENCE]

    assert table.reference is not None
    answers = table.reference.answers[draw.truth]
    predicted = answers > 0.5 if n_classes == 2 else answers.argmax(axis=1)
    alone = float((predicted == table.labels[draw.truth]).mean())
    assert course.at(5.9) == 1 / n_classes  # a trial that runs is not handed over
    assert course.at(6.0) == course.at(22.9) == pytest.approx(alone)
    assert course.at(23.0) > alone + 0.02  # the first trial has ended, 3 s later
    assert course.at(99) == course.at(23.0)  # the second never does
    assert found[REFERENCE].at(5.9) == 1 / n_classes
    assert found[REFERENCE].at(6.0) == found[REFERENCE].at(99) == pytest.approx(alone)


def test_the_reference_delays_the_trials_by_its_share_of_the_cores() -> None:
    table, draw = known_table(1.2)
    history = History([Seen(1.0, 0, 0, 0), Seen(5.0, 1, 1, 0)], ended={0, 1})
    of_trials = courses(table, draw, history, workers=2, averages=[], all_kinds=True)[KEPT]

    # Three processes share two cores until the reference has had its 3 s.
    course = with_reference(table, draw, history, workers=2)
    assert list(course.at_s) == pytest.approx([0.0, 1.5, 4.5, 6.5])
    assert course.at(1.5) == of_trials.at(1.0)
    course = with_reference(table, draw, history, workers=30)
    assert list(course.at_s) == pytest.approx([0.0, 1.0333, 3.1, 5.1], abs=1e-3)


def test_a_reference_that_knows_less_changes_nothing_but_the_beginning() -> None:
    table, draw = known_table(-1.2)
    history = History([Seen(4.0, 0, 0, 0)], ended={0})
    kept = courses(table, draw, history, workers=1, averages=[])[KEPT]
    course = with_reference(table, draw, history)

    assert course.at(6.0) < 0.5
    assert course.at(7.0) == kept.at(4.0) > 0.7


def test_without_a_recorded_reference_there_is_no_such_outcome() -> None:
    table, draw = known_table(1.2)
    history = History([Seen(4.0, 0, 0, 0)], ended={0})
    none = replace(table, reference=None)

    found = courses(none, draw, history, workers=1, averages=[], all_kinds=True)
    assert WITH_REFERENCE not in found
