"""What scores differ by: told apart where it is known, and said in words."""

import math
from dataclasses import replace

import numpy as np
import pytest
from support.run_files import record

from tuner.run.components import Components, components_of
from tuner.run.ensemble import EnsembleRecord
from tuner.run.records import TrialRecord
from tuner.run.score_errors import ValidationRows
from tuner.run.trial_status import TrialStatus
from tuner.settings.metric import Metric, MetricName, Mode
from tuner.settings.objectives import Cost, MetricAlone, MetricAndCost
from tuner.settings.space import SearchSpace

BY_SCORE = MetricAlone(Metric())
ROWS = ValidationRows(1000)
SPACE = SearchSpace.from_mapping(
    {
        "name": "made",
        "shared": {
            "learning_rate": {"float": [1e-4, 1e-2], "log": True},
            "max_length": {"choice": [200, 300, 400, 500]},
            "pooling": {"choice": ["last", "max"]},
        },
        "architectures": {"lstm": {}, "cnn_lstm": {"filters": {"int": [8, 64]}}},
    },
    "made",
)


def trials(count: int, *, by_rate: float, by_seed: float, seed: int = 0) -> list[TrialRecord]:
    """Trials whose scores follow the rate's place in its range and chance, with these deviations."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        place = rng.random()
        architecture = ["lstm", "cnn_lstm"][number % 2]
        parameters = {
            "learning_rate": 1e-4 * 100**place,
            "max_length": int(rng.choice([200, 300, 400, 500])),
            "pooling": ["last", "max"][rng.integers(2)],
            **({"filters": int(rng.integers(8, 65))} if architecture == "cnn_lstm" else {}),
        }
        score = 0.8 + by_rate * np.sqrt(12) * (place - 0.5) + by_seed * rng.standard_normal()
        made.append(
            record(number, architecture=architecture, parameters=parameters, score=float(score))
        )
    return made


def mean_of(by_rate: float, by_seed: float) -> tuple[float, float]:
    """Mean estimates over ten searches of 60 trials."""
    found = [
        components_of(
            trials(60, by_rate=by_rate, by_seed=by_seed, seed=seed), SPACE, BY_SCORE, ROWS
        )
        for seed in range(10)
    ]
    return (
        float(np.mean([each.configurations for each in found if each])),
        float(np.mean([each.seeds for each in found if each])),
    )


@pytest.mark.parametrize(("by_rate", "by_seed"), [(0.02, 0.005), (0.01, 0.01), (0.0, 0.01)])
def test_configurations_and_seeds_are_told_apart(by_rate: float, by_seed: float) -> None:
    configurations, seeds = mean_of(by_rate, by_seed)

    assert configurations == pytest.approx(by_rate, abs=0.004)
    assert seeds == pytest.approx(by_seed, abs=0.003)


def test_too_few_complete_trials_tell_nothing() -> None:
    made = trials(12, by_rate=0.01, by_seed=0.01)
    pruned = [record(number, status=TrialStatus.PRUNED) for number in range(12, 40)]
    broken = [record(number, status=TrialStatus.DIVERGED) for number in range(40, 60)]

    assert components_of([*made[1:], *pruned, *broken], SPACE, BY_SCORE, ROWS) is None
    found = components_of([*made, *pruned, *broken], SPACE, BY_SCORE, ROWS)
    assert found is not None
    assert found == components_of(made, SPACE, BY_SCORE, ROWS)


def test_all_complete_trials_count_although_only_the_latest_are_compared() -> None:
    made = trials(330, by_rate=0.01, by_seed=0.01)
    found = components_of(made, SPACE, BY_SCORE, ROWS)
    latest = components_of(made[30:], SPACE, BY_SCORE, ROWS)
    assert found is not None
    assert latest is not None
    assert found == replace(latest, trials=330)
    assert found.gain_of_trials() < latest.gain_of_trials()


def test_of_two_objectives_the_scores_alone_tell_nothing() -> None:
    both = MetricAndCost(Metric(), Cost.WEIGHTS)
    assert components_of(trials(40, by_rate=0.01, by_seed=0.01), SPACE, both, ROWS) is None


def test_equal_scores_differ_by_nothing() -> None:
    found = components_of(trials(20, by_rate=0, by_seed=0), SPACE, BY_SCORE, ValidationRows())

    assert found == Components(20, 0.0, 0.0, None)
    assert found.gain_of_trials() == 0
    assert not found.is_worth_more_trials


def test_the_rows_part_is_the_error_that_a_trials_score_has() -> None:
    """Over rows 1.3 points; over the groups that they are of, as measured, 4 points."""
    made = trials(20, by_rate=0.01, by_seed=0.01)
    measured = [
        replace(each, curve={1: {"val_accuracy_error": 0.03 + 0.001 * each.number}})
        for each in made
    ]
    found = [
        components_of(measured, SPACE, BY_SCORE, rows) for rows in (ROWS, ValidationRows(1000, 50))
    ]
    assert [each and each.rows for each in found] == pytest.approx([0.0127, 0.0395], abs=3e-4)
    assert [each and each.are_clustered for each in found] == [False, True]


def test_where_rows_take_turns_what_they_differ_by_is_not_the_seeds() -> None:
    def measured(error: float) -> list[TrialRecord]:
        made = trials(40, by_rate=0.01, by_seed=0.02)
        return [replace(each, curve={1: {"val_accuracy_error": error}}) for each in made]

    rows = ValidationRows(1000, parts=8)
    same = components_of(measured(0.01), SPACE, BY_SCORE, ROWS)
    by_turns = components_of(measured(0.01), SPACE, BY_SCORE, rows)
    assert same is not None
    assert by_turns is not None
    assert by_turns.rows == 0.01
    assert by_turns.configurations == same.configurations
    assert math.hypot(by_turns.seeds, 0.01) == pytest.approx(same.seeds)
    # Scores are as far apart as before, so more trials are worth as much.
    assert by_turns.gain_of_trials() == pytest.approx(same.gain_of_trials())
    few = components_of(measured(0.1), SPACE, BY_SCORE, rows)
    assert few is not None
    assert few.seeds == 0  # few rows differ by more than that
    unknown = replace(by_turns, rows=None)
    assert ", seeds and validation rows " in unknown.text(Metric())


def test_the_figures_and_what_helps_are_said_in_points() -> None:
    flat = Components(40, 0.005, 0.009, 0.015)
    ensemble = EnsembleRecord(
        members=(1, 2, 3),
        sequences=100,
        averaged=0.74,
        low=0.7,
        high=0.78,
        single=0.727,
        gain=0.013,
        gain_low=0.0,
        gain_high=0.02,
        weights=10,
    )

    assert flat.text(Metric()) == "configurations 0.5, seeds 0.9, validation rows 1.5 points"
    assert flat.advice(Metric(), ensemble) == (
        "Twice as many trials would improve the best score by about 0.064 points: more trials will hardly help; what "
        "may help is averaging (3 trials gain 1.3 points) or a wider space or more validation rows."
    )
    steep = Components(40, 0.018, 0.01, 0.013)
    assert steep.advice(Metric(), None).endswith("more trials help.")
    too_fine = Components(20, 0.0022, 0.0018, 0.0057)  # a gain that the rows could not show
    assert too_fine.is_worth_more_trials
    assert "points: more trials will hardly help" in too_fine.advice(Metric(), None)
    of_groups = Components(40, 0.005, 0.009, 0.015, are_clustered=True)
    assert of_groups.advice(Metric(), None).endswith(
        "averaging or a wider space or more validation rows of other texts or groups."
    )


def test_a_loss_has_no_points() -> None:
    loss = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
    assert Components(40, 0.05, 0.03, None).text(loss) == "configurations 0.05, seeds 0.03"
