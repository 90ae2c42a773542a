"""KerasTuner's Hyperband: sizes and epochs of its brackets, and who goes on."""

from collections import Counter

import numpy as np
import pytest
from benchmarks.replay import keras_tuner
from benchmarks.replay.keras_tuner import replay_hyperband
from benchmarks.replay.virtual_search import History
from support.replay_tables import made_table, plain_draw


@pytest.fixture(autouse=True)
def nothing_between_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_tuner, "BETWEEN_TRIALS_S", 0.0)


def searched(workers: int = 1, until_s: float = 1e9) -> History:
    accuracies = np.repeat(np.linspace(0.3, 0.9, 17)[:, None], 9, axis=1)
    table = made_table(accuracies, n_pool=2000)
    return replay_hyperband(
        table, plain_draw(table), workers=workers, is_over=lambda _, next_s: next_s > until_s
    )


def test_brackets_have_the_sizes_and_epochs_of_the_documentation() -> None:
    history = searched()

    epochs = Counter(each.trial for each in history.seen)
    # 9 models for an epoch, 3 of them for 3 and 1 for 9; then 5 for 3 and 2 for 9; then 3 for 9.
    assert sorted(epochs.values()) == [1] * 6 + [3] * 2 + [3] * 3 + [9] * 6
    assert history.ran_out


def test_the_best_go_on_from_where_they_were() -> None:
    history = searched(until_s=9 + 3 * 2 + 6)

    assert [each.configuration for each in history.seen[:9]] == list(range(9))
    later = [(each.configuration, each.point) for each in history.seen[9:]]
    assert later[:6] == [(8, 1), (8, 2), (7, 1), (7, 2), (6, 1), (6, 2)]
    assert later[6:] == [(8, point) for point in range(3, 9)]


def test_workers_take_new_models_while_a_round_waits() -> None:
    history = searched(workers=4)

    assert max(Counter(each.at_s for each in history.seen).values()) == 4
