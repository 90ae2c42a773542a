"""TPE asked about recorded configurations."""

import numpy as np
import optuna
import pytest
from benchmarks.replay.acquisition import Acquisition
from benchmarks.replay.tabular import Recorded

from tuner.settings.space import SearchSpace

SPACE = SearchSpace.from_mapping(
    {
        "name": "made",
        "shared": {"learning_rate": {"float": [0.01, 0.99]}},
        "architectures": {"lstm": {}, "cnn_lstm": {"kernel_size": {"int": [2, 9]}}},
    },
    "made",
)


def configuration(rate: float, kernel_size: int | None = None) -> dict[str, object]:
    if kernel_size is None:
        return {"architecture": "lstm", "learning_rate": rate}
    return {"architecture": "cnn_lstm", "learning_rate": rate, "kernel_size": kernel_size}


def asked(recorded: Recorded, tried: list[tuple[int, float]]) -> Acquisition:
    """TPE that has learned the scores of some configurations, after its suggestion."""
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, multivariate=True, group=True, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for number, score in tried:
        study.add_trial(
            optuna.trial.create_trial(
                params=recorded.parameters[number],
                distributions=recorded.distributions[number],
                value=score,
            )
        )
    acquisition = Acquisition(sampler, recorded.columns)
    study.ask(recorded.distributions[-1])
    return acquisition


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_configurations_of_all_architectures_are_compared() -> None:
    rates = np.linspace(0.02, 0.98, 25)
    parameters = (
        *(configuration(rate) for rate in rates),
        *(configuration(rate, 2 + place % 8) for place, rate in enumerate(rates)),
    )
    recorded = Recorded(SPACE, parameters)
    # Convolutions with rates near 1 and kernels of 9 are good, lower rates and the other architecture are bad.
    bad = [*range(0, 25, 4), *range(25, 43, 4)]
    acquisition = asked(recorded, [*((each, 0.1) for each in bad), (48, 0.8), (40, 0.5)])
    left = np.array([each for each in range(50) if each not in {*bad, 48, 40}])

    assert acquisition.was_asked
    assert left[acquisition.scores(left).argmax()] == 47
    assert left[::-1][acquisition.scores(left[::-1]).argmax()] == 47
