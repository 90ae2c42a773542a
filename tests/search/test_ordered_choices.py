"""Choices among ascending numbers: which are, what a sampler is shown of them, and what the study keeps."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import create_trial

from tuner.search.ordered_choices import OrderedChoices, is_ordered
from tuner.search.sampler import make_sampler
from tuner.settings.config import SamplerName
from tuner.settings.metric import Metric
from tuner.settings.objectives import MetricAlone

LENGTHS = [200, 300, 400, 500]


@pytest.mark.parametrize("options", [[1, 2, 3], [0.1, 1, 20.0], [-3, 0, 4, 9]])
def test_ascending_numbers_are_ordered(options: list[float]) -> None:
    assert is_ordered(CategoricalDistribution(options))


@pytest.mark.parametrize(
    "options", [["a", "b", "c"], [1, 3, 2], [3, 2, 1], [1, 2], [1, 2, "3"], [False, 1, 2]]
)
def test_words_and_other_orders_are_not(options: list[object]) -> None:
    assert not is_ordered(CategoricalDistribution(options))
    assert not is_ordered(IntDistribution(1, 9))


def test_a_sampler_is_shown_places_and_the_trial_keeps_its_options() -> None:
    trial = create_trial(
        value=1.0,
        params={"max_length": 400, "units": 7},
        distributions={
            "max_length": CategoricalDistribution(LENGTHS),
            "units": IntDistribution(1, 9),
        },
    )

    shown = OrderedChoices([trial]).shown(trial)

    assert shown.params == {"max_length": 2, "units": 7}
    assert shown.distributions["max_length"] == IntDistribution(0, 3)
    assert trial.params == {"max_length": 400, "units": 7}
    assert shown.value == trial.value


def suggested(scored: dict[int, float], *, ask: int) -> list[int]:
    """Lengths suggested after ten trials of each of `scored`, with these scores."""
    study = optuna.create_study(direction="maximize")
    choice = CategoricalDistribution(LENGTHS)
    for length, score in scored.items():
        for _ in range(10):
            study.add_trial(
                create_trial(
                    value=score,
                    params={"max_length": length},
                    distributions={"max_length": choice},
                )
            )
    lengths = []
    for seed in range(ask):
        study.sampler = make_sampler(
            SamplerName.TPE, MetricAlone(Metric()), number=0, seed=seed, workers=1
        )
        trial = study.ask()
        lengths.append(trial.suggest_categorical("max_length", LENGTHS))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return lengths


def test_an_untried_option_is_tried_where_it_lies_beside_the_good_ones() -> None:
    lengths = suggested({200: 0.1, 400: 0.9}, ask=20)

    assert set(lengths) <= set(LENGTHS)
    assert lengths.count(500) > lengths.count(300)  # 300 lies beside the bad one, too
    assert lengths.count(200) == 0


def test_a_trial_keeps_the_choice_as_it_was_asked_for() -> None:
    study = optuna.create_study(direction="maximize")
    for seed in range(14):
        study.sampler = make_sampler(
            SamplerName.TPE, MetricAlone(Metric()), number=0, seed=seed, workers=1
        )
        trial = study.ask()
        study.tell(trial, float(trial.suggest_categorical("max_length", LENGTHS)))

    kept = [each.distributions["max_length"] for each in study.get_trials()]
    assert kept == [CategoricalDistribution(LENGTHS)] * 14
