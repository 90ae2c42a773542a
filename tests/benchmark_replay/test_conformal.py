"""Conformalized quantile regression: which configurations it takes, and by how much quantiles move."""

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
import pytest
from benchmarks.replay.arms import ARMS, search
from benchmarks.replay.boosted_quantiles import boosted_quantiles
from benchmarks.replay.conformal import (
    QUANTILES,
    ConformalQuantiles,
    conformal_quantiles,
    corrections,
)
from benchmarks.replay.tabular import Recorded
from benchmarks.replay.virtual_search import History
from support.replay_tables import made_table, plain_draw

ARM, ASHA = (
    next(arm for arm in ARMS if arm.name == name)
    for name in ("CQR, halving (ASHA)", "random, halving (ASHA)")
)


def searched(accuracies: np.ndarray, *, until_s: float) -> History:
    table = made_table(accuracies, n_pool=2000)
    recorded = Recorded(table.space, table.parameters)
    return search(
        ARM,
        table,
        recorded,
        plain_draw(table),
        workers=1,
        is_over=lambda _, next_s: next_s > until_s,
    )


def test_it_finds_the_best_learning_rates() -> None:
    peak = 40
    history = searched((0.9 - np.abs(np.arange(60) - peak) / 100)[:, None], until_s=30)
    tried = [each.configuration for each in history.seen]

    # The first five come in the table's order; the later ones climb to the peak.
    assert tried[:5] == [0, 1, 2, 3, 4]
    assert np.abs(np.array(tried[20:]) - peak).mean() < 8


def test_it_stops_trials_as_its_peer_without_it_does() -> None:
    rising = np.linspace(0.2, 0.9, 60)[:, None] + np.array([0.0, 0.02, 0.04])
    rng = np.random.default_rng(0)

    assert searched(rng.permutation(rising), until_s=40).pruned > 0
    assert (ARM.pruner, ARM.is_peer, ARM.patience) == (ASHA.pruner, True, ASHA.patience)


# Of 41 learning rates in order, these were tried; only those above the 20th are good.
TRIED = [0, 5, 10, 15, 25, 30, 35, 40]


def picked(curves: Sequence[Mapping[int, float]], direction: str = "maximize") -> list[int | None]:
    """Twelve picks of as many replays, with trials that all still run."""
    study = optuna.create_study(direction=direction)
    for scores in curves:
        trial = study.ask()
        for epoch, score in scores.items():
            trial.report(score, epoch)
    table = made_table(np.full((41, 1), 0.5))
    recorded = Recorded(table.space, table.parameters)
    left = [each for each in range(41) if each not in TRIED]
    return [ConformalQuantiles(seed).pick(study, recorded, TRIED, left) for seed in range(12)]


def test_it_goes_by_the_last_epoch_of_trials_that_run() -> None:
    rising = [{1: float(rate < 20), 2: float(rate > 20)} for rate in TRIED]
    falling = [{1: float(rate > 20), 2: float(rate < 20)} for rate in TRIED]

    assert min(each for each in picked(rising) if each is not None) > 19
    assert max(each for each in picked(falling) if each is not None) < 21
    assert max(each for each in picked(rising, "minimize") if each is not None) < 21


def test_it_takes_none_before_five_have_a_score() -> None:
    curves = [{1: 0.5}] * 4

    assert picked([*curves, *[{}] * 4]) == [None] * 12
    assert None not in picked([*curves, {1: 0.5}, *[{}] * 3])


def test_quantiles_move_apart_until_the_held_out_scores_lie_between() -> None:
    y = np.arange(10.0)
    wide, narrow = np.array([-2.0, 0, 0, 0, 11.0]), np.array([4.0, 4.5, 5, 5.5, 6.0])

    moved = corrections(np.repeat(wide[:, None], 10, axis=1), y)
    assert moved[0] == -moved[4] > 0 > moved[4] - 1  # of a pair that holds all, inwards
    moved = corrections(np.repeat(narrow[:, None], 10, axis=1), y)
    assert moved[2] == 0
    assert ((narrow[0] + moved[0] <= y) & (y <= narrow[4] + moved[4])).mean() == pytest.approx(
        1 - 2 * QUANTILES[0], abs=0.1
    )


def test_conformal_quantiles_hold_more_scores_than_those_of_the_trees() -> None:
    shares: dict[str, list[float]] = {"trees": [], "conformal": []}
    for seed in range(24):
        rng = np.random.default_rng(seed)
        x, at = rng.random((50, 4)), rng.random((100, 4))
        y, truth = (each[:, 0] + rng.normal(0, 0.2, len(each)) for each in (x, at))
        found = {
            "trees": boosted_quantiles(x, y, at, QUANTILES, rng),
            "conformal": conformal_quantiles(x, y, at, rng),
        }
        for name, quantiles in found.items():
            is_between = (quantiles[0] <= truth) & (truth <= quantiles[4])
            shares[name].append(float(is_between.mean()))

    # Of six ordered scores, five held out and one new, the rule's place is this one.
    expected = ((1 - 2 * QUANTILES[0]) / (1 + 1 / 5) * 4 + 1) / 6
    assert np.mean(shares["conformal"]) == pytest.approx(expected, abs=0.05)
    assert np.mean(shares["trees"]) < expected - 0.08
