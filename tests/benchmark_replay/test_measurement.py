"""Replayed searches on tables of which the answer is known: factors, points, and how small an effect is seen."""

from typing import Any

import numpy as np
import optuna
import pytest
from benchmarks.replay.arms import RANDOM, TODAY, Arm
from benchmarks.replay.comparison import factor, gain
from benchmarks.replay.measurement import Result, measure
from benchmarks.replay.outcomes import KEPT, SINGLE, Course, average_of, courses
from benchmarks.replay.virtual_search import History, Seen
from support.replay_tables import made_table, plain_draw

from tuner.settings.config import PrunerName

ALWAYS = np.ones((1, 1))
NEVER = np.zeros((19, 1))


class _Points(optuna.samplers.RandomSampler):
    """Suggests the lowest learning rate, as if it had learned that."""

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {"architecture": "lstm", "learning_rate": 0.001}


ORACLE = Arm("oracle", lambda seed: lambda own: _Points(seed=seed), PrunerName.NONE)
UNRELATED = Arm(
    "other",
    lambda seed: lambda own: optuna.samplers.RandomSampler(seed=10_000 + seed),
    PrunerName.NONE,
    snaps_all=True,
)


def results(table, *arms: Arm, workers: int = 1, replays: int = 20) -> dict[tuple, Result]:
    measured = measure(table, [RANDOM, *arms], replays=replays, workers=workers, after=[2, 5])
    return {(each.arm, each.outcome, each.after): each for each in measured.results}


def course(*steps: tuple[float, float]) -> Course:
    return Course(
        np.array([0.0, *(at for at, _ in steps)]), np.array([0.5, *(v for _, v in steps)])
    )


def test_an_oracle_that_needs_one_training_has_the_factor_of_their_number() -> None:
    of = results(made_table(np.concatenate([ALWAYS, NEVER])), ORACLE)

    assert of["oracle", SINGLE, 5].factor.value == pytest.approx(5)
    assert of["oracle", SINGLE, 2].factor.value == pytest.approx(2)
    assert of["oracle", SINGLE, 5].gain.value == pytest.approx(
        100 * (1 - of[RANDOM.name, SINGLE, 5].target)
    )


def test_random_search_has_the_factor_1_over_itself() -> None:
    rng = np.random.default_rng(1)
    table = made_table(rng.uniform(0.6, 0.9, (30, 1)), epoch_s=rng.uniform(1, 5, 30))
    of = results(table, UNRELATED, workers=2, replays=25)

    for arm in (RANDOM.name, "other"):
        found = of[arm, SINGLE, 5]
        assert found.factor.low <= 1 <= found.factor.high
        assert found.gain.low <= 0 <= found.gain.high
    assert of[RANDOM.name, SINGLE, 5].gain.value == 0


def test_averaging_models_that_err_on_different_rows_gains_points() -> None:
    of = results(made_table(np.full((20, 1), 0.7), n_pool=500), replays=10)

    single, average = of[RANDOM.name, SINGLE, 5], of[RANDOM.name, average_of(5), 5]
    assert average.gain.low > single.gain.high + 10
    assert average.factor.low > 1


def test_todays_search_runs_on_a_table() -> None:
    rng = np.random.default_rng(2)
    table = made_table(np.sort(rng.uniform(0.5, 0.9, (30, 3)), axis=1), epoch_s=2.0)
    measured = measure(table, [RANDOM, TODAY], replays=3, workers=2, after=[12])

    histories = measured.histories[TODAY.name]
    assert not any(each.pruned for each in histories)
    assert len({tuple(seen.configuration for seen in each.seen) for each in histories}) == 3


def test_factor_is_where_the_mean_course_reaches_the_mean_target() -> None:
    ours = [course((1.0, 0.6), (2.0, 0.8)), course((1.0, 0.7), (4.0, 0.8))]

    def found(target: float) -> float:
        return factor(ours, np.full(2, target), 8.0, longest=1.0).value

    assert found(0.65) == 8
    assert found(0.75) == 4
    assert found(0.80) == 2
    assert found(0.81) == 1  # not reached


def test_a_lucky_up_of_a_flat_course_is_no_gain_of_time() -> None:
    ups = course((1.0, 0.71), (2.0, 0.69), (4.0, 0.70))

    assert factor([ups], np.array([0.705]), 4.0, longest=1.0).value == 1


def test_smallest_effect_seen_is_2_8_standard_errors() -> None:
    differences = np.random.default_rng(0).normal(0.002, 0.01, 400)

    found = gain(differences, np.zeros(400))

    assert found.value == pytest.approx(100 * differences.mean())
    assert found.seen == pytest.approx(2.8 * 100 * differences.std() / 20, rel=0.1)
    assert found.low < found.value < found.high


def test_models_of_running_trials_are_in_no_average_of_ended_ones() -> None:
    rng = np.random.default_rng(3)
    table = made_table(np.sort(rng.uniform(0.6, 0.8, (30, 3)), axis=1), n_pool=500)
    plain = plain_draw(table)

    def at(moment: float, trial: int, epoch: int) -> Seen:
        return Seen(moment, trial, trial, table.epoch_points[epoch - 1])

    seen = [at(1, 0, 1), at(2, 1, 1), at(3, 0, 2), at(4, 0, 3), at(5, 2, 1)]
    found = courses(table, plain, History(seen, ended={0, 1}), averages=[5])
    assert found[KEPT].at(1) == found[SINGLE].at(1)  # before any has ended
    pruned = float(plain.true_accuracy[1, table.epoch_points[0]])
    assert found[KEPT].at(2) == found[KEPT].at(3) == pytest.approx(pruned)
    assert found[KEPT].at(4) == found[average_of(5)].at(4)
    assert found[KEPT].at(9) == found[KEPT].at(4)
    assert found[average_of(5)].at(9) != pytest.approx(found[KEPT].at(9))
