"""The virtual clock: workers, recorded seconds, the product's pruner; and which configuration a suggestion gets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from benchmarks.replay import virtual_search
from benchmarks.replay.arms import RANDOM, TODAY, Arm, search
from benchmarks.replay.table import Table
from benchmarks.replay.tabular import Recorded
from benchmarks.replay.virtual_search import History
from support.replay_tables import made_table, plain_draw

from tuner.settings.config import PrunerName

HALVING = Arm("halving", lambda seed: lambda own: None, PrunerName.HALVING)


@pytest.fixture(autouse=True)
def nothing_between_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_search, "BETWEEN_TRIALS_S", 0.0)


def searched(table: Table, arm: Arm = RANDOM, *, workers: int = 1, until_s: float = 1e9) -> History:
    return search(
        arm,
        table,
        Recorded(table.space, table.parameters),
        plain_draw(table),
        workers=workers,
        is_over=lambda _, next_s: next_s > until_s,
    )


def test_two_workers_take_the_next_configuration_as_they_become_free() -> None:
    table = made_table(np.full((3, 2), 0.7), epoch_s=[5.0, 2.0, 2.0], building_s=1.0)
    history = searched(table, workers=2)

    seen = [(each.at_s, each.configuration, each.point) for each in history.seen]
    assert seen == [(3, 1, 0), (5, 1, 1), (6, 0, 0), (8, 2, 0), (10, 2, 1), (11, 0, 1)]
    assert history.ended_s == [5, 10, 11]
    assert history.ran_out


def test_search_ends_when_its_time_is_up() -> None:
    history = searched(made_table(np.full((9, 1), 0.7), epoch_s=10.0), until_s=35.0)

    assert history.ended_s == [10, 20, 30]
    assert history.seconds == 40  # known until the next trial would have ended
    assert not history.ran_out


def test_evaluation_takes_its_share_of_the_pools_seconds() -> None:
    table = made_table(np.full((1, 2), 0.7), epoch_s=10.0)
    table.evaluation_s[:] = 4.0

    assert searched(table).ended_s == [24]  # half of the pool validates, twice


def test_pruned_trial_frees_its_worker_after_the_epoch() -> None:
    accuracies = np.array([[0.95, 0.95, 0.95], [0.05, 0.95, 0.95], [0.97, 0.97, 0.97]])
    history = searched(made_table(accuracies, n_pool=1000), HALVING)

    assert history.pruned == 1
    assert [each.configuration for each in history.seen] == [0, 0, 0, 1, 2, 2, 2]
    assert history.ended_s == [3, 4, 7]


def test_a_trial_ends_complete_where_its_patience_ends() -> None:
    table = made_table(np.array([[0.6, 0.7, 0.8, 0.9]]))
    table.loss[:] = [0.6, 0.5, 0.7, 0.4]
    patient = Arm("patient", lambda seed: lambda own: None, PrunerName.NONE, patience=1)

    history = searched(table, patient)

    assert [each.point for each in history.seen] == [0, 1, 2]
    assert (history.ended_s, history.pruned) == ([3], 0)
    assert searched(table).ended_s == [4]


def test_tpe_gets_the_configuration_that_it_thinks_most_of() -> None:
    table = made_table(np.linspace(0.5, 0.9, 60)[:, None], n_pool=2000)
    history = searched(table, TODAY, until_s=30.0)

    # The first five, and every second one later, come in the table's order; the best learning rates are the last ones.
    chosen = [each.configuration for each in history.seen]
    assert chosen[:5] == [0, 1, 2, 3, 4]
    assert chosen[5::2] == list(range(5, 5 + len(chosen[5::2])))
    assert np.mean(chosen[6::2]) > 35
    assert not history.snapping


class _Suggests(optuna.samplers.RandomSampler):
    def __init__(self, rates: Sequence[float]) -> None:
        super().__init__()
        self._rates = list(rates)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {"architecture": "lstm", "learning_rate": self._rates.pop(0)}


def test_suggestion_gets_the_nearest_configuration_that_is_left() -> None:
    sampler = _Suggests([0.08, 0.08, 0.001, 0.001])
    arm = Arm("suggests", lambda seed: lambda own: sampler, PrunerName.NONE)
    history = searched(made_table(np.full((12, 1), 0.7)), arm, until_s=3.0)

    # Learning rates lie 0.009 apart from 0.001 on: 0.082, then 0.073, then 0.001.
    assert [each.configuration for each in history.seen] == [9, 8, 0]
    assert history.snapping[0] == pytest.approx(0.002 / 0.0357, rel=0.1)
