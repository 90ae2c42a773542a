"""A Gaussian process in place of TPE: its inputs, and which configurations it takes."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from benchmarks.replay import gaussian_process
from benchmarks.replay.arms import ARMS, TODAY, Arm, search
from benchmarks.replay.gaussian_process import (
    GaussianProcess,
    expected_improvement,
    improbable_lengths,
    inputs_of,
)
from benchmarks.replay.table import Table
from benchmarks.replay.tabular import Recorded
from benchmarks.replay.virtual_search import History
from scipy.stats import lognorm
from support.replay_tables import made_table, plain_draw

from tuner.settings.builtin import find_space
from tuner.settings.space import SearchSpace

(ARM,) = (arm for arm in ARMS if arm.name == "Gaussian process, patience 1")
WIDE = Path(gaussian_process.__file__).with_name("wide.yaml")


def searched(table: Table, arm: Arm = ARM, *, until_s: float = 30.0) -> History:
    return search(
        arm,
        table,
        Recorded(table.space, table.parameters),
        plain_draw(table),
        workers=1,
        is_over=lambda _, next_s: next_s > until_s,
    )


def configurations(history: History) -> list[int]:
    return [each.configuration for each in history.seen]


def test_it_finds_the_best_learning_rates() -> None:
    peak = 40
    accuracies = 0.9 - np.abs(np.arange(60) - peak) / 100
    history = searched(made_table(accuracies[:, None], n_pool=2000))

    # The first five come in the table's order; all that follow climb to the peak, and stay there.
    assert configurations(history)[:5] == [0, 1, 2, 3, 4]
    later = np.array(configurations(history)[15:])
    assert np.abs(later - peak).mean() < 8


def test_its_first_five_trials_are_those_of_todays_search() -> None:
    rng = np.random.default_rng(3)
    table = made_table(rng.permutation(np.linspace(0.5, 0.9, 60))[:, None], n_pool=2000)
    process, today = (configurations(searched(table, arm)) for arm in (ARM, TODAY))

    assert process[:5] == today[:5]
    assert process[5:] != today[5:]


def studied(
    scores: Sequence[float], *, running: int = 0, direction: str = "maximize"
) -> optuna.Study:
    study = optuna.create_study(direction=direction)
    for score in scores:
        study.tell(study.ask(), score)
    for _ in range(running):
        study.ask()
    return study


# Of 41 learning rates in order, these were tried; the scores rise up to the 20th and fall behind it.
TRIED = [0, 8, 14, 26, 32, 40]
SCORES = [0.2, 0.52, 0.76, 0.76, 0.52, 0.2]


def picked(study: optuna.Study, chosen: Sequence[int]) -> int | None:
    table = made_table(np.full((41, 1), 0.5))
    recorded = Recorded(table.space, table.parameters)
    left = [each for each in range(41) if each not in chosen]
    return GaussianProcess().pick(study, recorded, chosen, left)


def test_it_takes_the_peak_between_what_was_tried() -> None:
    assert picked(studied(SCORES), TRIED) == pytest.approx(20, abs=2)
    losses = [1 - score for score in SCORES]
    assert picked(studied(losses, direction="minimize"), TRIED) == pytest.approx(20, abs=2)


def test_it_stays_away_from_a_trial_that_runs() -> None:
    alone = picked(studied(SCORES), TRIED)
    assert alone is not None
    beside = picked(studied(SCORES, running=1), [*TRIED, alone])

    assert beside is not None
    assert abs(beside - alone) > 2


def test_it_takes_none_before_five_have_ended() -> None:
    assert picked(studied(SCORES[:4], running=2), TRIED) is None


def test_equal_scores_do_not_stop_it() -> None:
    assert picked(studied([0.5] * 6), TRIED) is not None


def test_improvement_is_that_of_normal_draws() -> None:
    mean, std = np.array([0.0, 1.0, -2.0]), np.array([1.0, 0.5, 2.0])
    drawn = np.random.default_rng(0).normal(mean, std, (200_000, 3))

    expected = np.maximum(drawn - 0.7, 0).mean(axis=0)
    assert expected_improvement(mean, std, 0.7) == pytest.approx(expected, rel=0.02)


def test_lengths_have_a_log_normal_prior() -> None:
    logs = np.array([-1.0, 0.5, 3.0, 4.0])
    prior = lognorm(s=math.sqrt(3), scale=math.exp(math.sqrt(2)) * 2)  # the root of four inputs
    value, slope = improbable_lengths(logs)
    constant = value + prior.logpdf(np.exp(logs)).sum()

    for place in range(4):
        moved = logs + 1e-4 * (np.arange(4) == place)
        expected = constant - prior.logpdf(np.exp(moved)).sum()
        assert improbable_lengths(moved)[0] == pytest.approx(expected, rel=1e-9)
        assert (expected - value) / 1e-4 == pytest.approx(slope[place], abs=1e-3)


def test_inputs_lie_between_0_and_1() -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "made",
            "shared": {
                "learning_rate": {"float": [1e-4, 1e-2], "log": True},
                "batch_size": {"choice": [32, 64, 256]},
                "optimizer": {"choice": ["adam", "rmsprop", "sgd"]},
                "ngrams": {"choice": [0, 2]},
                "max_length": 64,
            },
            "architectures": {
                "lstm": {},
                "lstm_dropout": {"output_dropout": {"float": [0.0, 0.5]}},
                "cnn_lstm": {},  # which no configuration has
            },
        },
        "made",
    )
    plain = {"architecture": "lstm", "learning_rate": 1e-3}
    parameters = (
        {**plain, "batch_size": 64, "optimizer": "adam", "ngrams": 2},
        {**plain, "batch_size": 256, "optimizer": "sgd", "ngrams": 0},
        {
            "architecture": "lstm_dropout",
            "learning_rate": 1e-4,
            "batch_size": 32,
            "optimizer": "rmsprop",
            "ngrams": 0,
            "output_dropout": 0.1,
        },
    )

    # lstm, lstm_dropout, learning rate, batch size, one of each optimizer, n-grams, dropout
    assert inputs_of(Recorded(space, parameters)) == pytest.approx(
        np.array(
            [
                [1, 0, 0.5, 0.5, 1, 0, 0, 1, 0.5],
                [1, 0, 0.5, 1.0, 0, 0, 1, 0, 0.5],
                [0, 1, 0.0, 0.0, 0, 1, 0, 0, 0.2],
            ]
        )
    )


def test_the_wide_space_has_one_input_per_range_and_architecture() -> None:
    space = find_space(str(WIDE))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = [study.ask() for _ in range(60)]
    for trial in trials:
        space.suggest(trial)
    inputs = inputs_of(Recorded(space, tuple(trial.params for trial in trials)))

    assert inputs.shape == (60, 5 + 5 + 7)  # architectures, shared ranges, their own
    assert (inputs.min(), inputs.max()) == (0, 1)
    assert np.ptp(inputs, axis=0).min() > 0.5
