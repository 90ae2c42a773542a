"""What tuner averages of the trials that have ended: those whose average has the lowest loss."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.replay.chosen import Chooser
from benchmarks.replay.outcomes import CHOSEN, KEPT, SINGLE, courses
from benchmarks.replay.table import Table
from benchmarks.replay.virtual_search import History, Seen
from numpy.typing import NDArray
from support.replay_tables import made_table, plain_draw

N_POOL = 600


def of_rows(wrong: NDArray[np.bool_], labels: NDArray[np.int64]) -> NDArray[np.float16]:
    """Probabilities of class 1 of a model that is 0.8 sure, and wrong on these rows."""
    return np.where(labels ^ wrong, 0.8, 0.2).astype(np.float16)


@pytest.fixture
def table() -> Table:
    """Six models that err on the same third of the rows, and one that errs on another third and some more rows."""
    labels = np.arange(N_POOL) // 3 % 2
    third = np.arange(N_POOL) % 3
    other = (third == 1) | (np.arange(N_POOL) % 30 == 2)
    answers = [of_rows(third == 0, labels)] * 6 + [of_rows(other, labels)]
    return replace(
        made_table(np.full((7, 1), 0.66), n_pool=N_POOL),
        probabilities=np.array([[[each]] for each in answers]),
        right=np.array([[[(each > 0.5) == labels]] for each in answers]),
        labels=labels,
    )


def test_one_that_errs_elsewhere_is_averaged_though_six_are_better_alone(table: Table) -> None:
    chooser = Chooser(table, plain_draw(table))
    ranked = [(configuration, 0) for configuration in range(7)]
    assert chooser.members(ranked, 5) == [*ranked[:4], ranked[6]]
    assert chooser.members(ranked, 5, among=6) == ranked[:5]
    assert chooser.members(ranked[:3], 5) == ranked[:3]


def test_it_is_an_outcome_beside_the_plain_average(table: Table) -> None:
    seen = [Seen(trial + 1.0, trial, trial, 0) for trial in range(7)]
    ended = set(range(7))
    found = courses(
        table, plain_draw(table), History(seen, ended), workers=1, averages=[], all_kinds=True
    )
    assert found[CHOSEN].at(1) == found[SINGLE].at(1)
    assert found[CHOSEN].at(6) == found[KEPT].at(6)
    plain = courses(table, plain_draw(table), History(seen, ended), workers=1, averages=[])
    assert CHOSEN not in plain  # it takes time
