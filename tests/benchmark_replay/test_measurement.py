"""Replayed searches on tables of which the answer is known: factors, points, and how small an effect is seen."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from benchmarks.replay import comparison, replays
from benchmarks.replay.arms import ARMS, RANDOM, TODAY, Arm
from benchmarks.replay.comparison import MeanCourse, gain
from benchmarks.replay.course import Course
from benchmarks.replay.greedy import selected
from benchmarks.replay.measurement import Result, best_tenth, trained_in
from benchmarks.replay.outcomes import (
    GREEDY,
    KEPT,
    SINGLE,
    average_of,
    courses,
)
from benchmarks.replay.replays import measure
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


def results(table, *arms: Arm, workers: int = 1, count: int = 20) -> dict[tuple, Result]:
    measured = measure(table, [RANDOM, *arms], replays=count, workers=workers, after=[2, 5])
    return {(each.arm, each.outcome, each.after): each for each in measured.results()}


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
    of = results(table, UNRELATED, workers=2, count=25)

    for arm in (RANDOM.name, "other"):
        found = of[arm, SINGLE, 5]
        assert found.factor.low <= 1 <= found.factor.high
        assert found.gain.low <= 0 <= found.gain.high
    assert of[RANDOM.name, SINGLE, 5].gain.value == 0


def test_averaging_models_that_err_on_different_rows_gains_points() -> None:
    of = results(made_table(np.full((20, 1), 0.7), n_pool=500), count=10)

    single, average = of[RANDOM.name, SINGLE, 5], of[RANDOM.name, average_of(5), 5]
    assert average.gain.low > single.gain.high + 10
    assert average.factor.low > 1


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_every_arm_can_be_given_to_another_process(arm: Arm) -> None:
    assert pickle.loads(pickle.dumps(arm)) == arm


def test_todays_search_runs_on_a_table_in_parts_of_any_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    table = made_table(np.sort(rng.uniform(0.5, 0.9, (30, 3)), axis=1), epoch_s=2.0)

    counts: list[int] = []

    def measured():
        return measure(
            table, [RANDOM, TODAY], replays=3, workers=2, after=[12], on_replayed=counts.append
        )

    whole = measured()
    monkeypatch.setattr(replays, "_REPLAYS_AT_ONCE", 2)
    in_parts = measured()

    assert counts == [3, 2, 3]

    trained = whole.arms[TODAY.name].trained
    assert not any(each.pruned for each in trained)
    assert in_parts.arms[TODAY.name].trained == trained
    assert list(in_parts.results()) == list(whole.results())
    of_outcome = whole.arms[TODAY.name].of_outcome
    assert len({tuple(each.values) for each in of_outcome[GREEDY]}) == 3


def test_best_peer_is_the_one_with_the_best_single_model() -> None:
    peer = replace(ORACLE, is_peer=True)
    worse = replace(UNRELATED, is_peer=True)
    measured = measure(
        made_table(np.concatenate([ALWAYS, NEVER])),
        [RANDOM, worse, peer],
        replays=5,
        workers=1,
        after=[5],
    )

    assert measured.best_peer(5) == "oracle"
    over = measured.compare("other", KEPT, 5, against="oracle")
    assert over.target == 1
    assert over.gain.high <= 0
    assert (
        measure(
            made_table(np.full((9, 1), 0.7)), [RANDOM], replays=1, workers=1, after=[2]
        ).best_peer(2)
        is None
    )


def test_factor_is_where_the_mean_course_reaches_the_mean_target() -> None:
    ours = MeanCourse([course((1.0, 0.6), (2.0, 0.8)), course((1.0, 0.7), (4.0, 0.8))], end_s=8.0)

    def found(target: float) -> float:
        return ours.factor(np.full(2, target), 8.0).value

    assert found(0.65) == 8
    assert found(0.75) == 4
    assert found(0.80) == 2
    assert found(0.81) == 1  # not reached
    np.testing.assert_array_equal(ours.at(3.0), [0.8, 0.7])


def test_a_lucky_up_of_a_flat_course_is_no_gain_of_time() -> None:
    ups = MeanCourse([course((1.0, 0.71), (2.0, 0.69), (4.0, 0.70))], end_s=4.0)

    assert ups.factor(np.array([0.705]), 4.0).value == 1


def test_a_thousand_moments_find_the_factor_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    times = np.sort(rng.uniform(0, 10, (40, 60)), axis=1)
    ours = [
        course(*((float(at), float(0.5 + at / 100 + rng.normal(0, 0.01))) for at in row))
        for row in times
    ]
    target = np.full(40, 0.55)
    thinned = MeanCourse(ours, end_s=10.0).factor(target, 10.0)
    monkeypatch.setattr(comparison, "_MOMENTS", 10_000)
    exact = MeanCourse(ours, end_s=10.0).factor(target, 10.0)

    assert thinned.value == pytest.approx(exact.value, rel=0.01)
    assert (thinned.low, thinned.high) == pytest.approx((exact.low, exact.high), rel=0.01)


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
    found = courses(table, plain, History(seen, ended={0, 1}), workers=1, averages=[5])
    assert found[KEPT].at(1) == found[SINGLE].at(1)  # before any has ended
    pruned = float(table.right[1, 0, table.epoch_points[0]][plain.truth].mean())
    assert found[KEPT].at(2) == found[KEPT].at(3) == pytest.approx(pruned)
    assert found[KEPT].at(4) == found[average_of(5)].at(4)
    assert found[KEPT].at(9) == found[KEPT].at(4)
    assert found[average_of(5)].at(9) != pytest.approx(found[KEPT].at(9))


def test_a_member_has_its_best_epoch_by_validation_the_earliest_of_equals() -> None:
    table = made_table(np.full((2, 3), 0.5))
    # By rows: the first half validates, the second measures.
    table.right[:] = False
    table.right[0, 0, 0, :30] = True
    table.right[0, 0, 1, :40] = True
    table.right[0, 0, 1, 50:60] = True
    table.right[0, 0, 2, :40] = True  # as good on validation, much better in truth
    table.right[0, 0, 2, 50:] = True
    seen = [Seen(epoch + 1.0, 0, 0, epoch) for epoch in range(3)]

    found = courses(table, plain_draw(table), History(seen, ended={0}), workers=1, averages=[])

    assert found[KEPT].at(3.0) == found[SINGLE].at(3.0) == pytest.approx(0.2)


def test_lost_are_those_that_would_be_among_the_best_five_had_they_gone_on() -> None:
    accuracies = np.full((7, 2), 0.0)
    accuracies[:6, 0] = accuracies[:6, 1] = np.linspace(0.9, 0.4, 6)
    accuracies[6] = 0.1, 1.0
    table = made_table(accuracies, n_pool=4000)
    draw = plain_draw(table)
    seen = [Seen(1.0, trial, trial, point) for trial in range(6) for point in range(2)]
    stopped = [*seen, Seen(2.0, 6, 6, 0)]

    def lost(seen: list[Seen], ended: set[int]) -> int:
        return trained_in(table, draw, History(seen, ended=ended)).lost

    assert lost(stopped, set(range(7))) == 1
    assert lost(stopped, set(range(6))) == 0  # it still runs
    assert lost([*stopped, Seen(3.0, 6, 6, 1)], set(range(7))) == 0


def test_of_the_best_tenth_those_count_that_were_tried() -> None:
    table = made_table(
        np.linspace(0.5, 0.9, 21)[:, None], n_pool=4000
    )  # the best three are the last
    seen = [Seen(1.0, trial, each, 0) for trial, each in enumerate([4, 18, 20])]

    assert best_tenth(table) == {18, 19, 20}
    assert trained_in(table, plain_draw(table), History(seen, ended={0, 1})).best_tried == 2


def test_greedy_selection_takes_the_model_that_mends_the_others() -> None:
    probabilities = np.full((8, 1, 1, 120), 0.45, np.float16)
    probabilities[:5, ..., :40] = 0.8
    probabilities[5] = 0.9
    probabilities[6:] = 0.1
    table = replace(
        made_table(np.full((8, 1), 0.5), n_pool=120),
        probabilities=probabilities,
        labels=np.ones(120, np.int64),
    )
    draw = plain_draw(table)

    members = selected(table, draw, [(each, 0) for each in range(8)])

    assert members[:6] == [(each, 0) for each in range(6)]
    assert len(members) == 15
    assert selected(table, draw, []) == []
