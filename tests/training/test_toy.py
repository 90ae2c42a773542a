"""The toy trial: a curve that a search can climb, and faults on demand."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tuner.data import EncodedSequences
from tuner.errors import TrialFailed
from tuner.run.epoch_parts import EpochPart
from tuner.settings.hyperparameters import resolve
from tuner.settings.metric import Metric, MetricName, Mode
from tuner.training.spec import TrialSpec
from tuner.training.toy import ToyTraining

CURVE = "tuner.training.toy:curve"


def best(epochs: int = 9, seed: int = 0, architecture: str = "lstm", **parameters: object) -> float:
    spec = TrialSpec(0, resolve(architecture, parameters), seed, epochs)
    return max(result.val_accuracy for result in ToyTraining(spec, environment={}).epochs())


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"learning_rate": 2e-3}, {"learning_rate": 2e-4}),
        ({"learning_rate": 2e-3}, {"learning_rate": 2e-2}),
        ({"lstm_units": 96}, {"lstm_units": 16}),
        ({"output_dropout": 0.4}, {"output_dropout": 0.9}),
        ({"architecture": "cnn_lstm"}, {"architecture": "lstm"}),
    ],
)
def test_better_settings_score_better(good: dict[str, object], bad: dict[str, object]) -> None:
    assert best(**good) > best(**bad) + 0.005


def test_curve_rises_then_overfits() -> None:
    spec = TrialSpec(0, resolve("lstm", {"learning_rate": 2e-3}), 0, 30)
    curve = [result.val_accuracy for result in ToyTraining(spec, environment={}).epochs()]

    assert curve[0] < max(curve) - 0.1
    assert curve[-1] < max(curve) - 0.02


def test_the_model_is_of_the_best_epoch_by_the_metric_of_the_run() -> None:
    rows = EncodedSequences(np.array([1, 2], np.int32), np.arange(3), np.array([0, 1], np.int32))
    epochs = []
    for metric in (Metric(), Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)):
        spec = TrialSpec(0, resolve("lstm", {"learning_rate": 2e-3}), 0, 30)
        training = ToyTraining(spec, keep_best=metric, environment={})
        list(training.epochs())
        epochs.append(training.finish(rows).figures.epoch)
    assert epochs[0] < epochs[1] == 30  # its accuracy falls in the end, its loss never rises


def test_seed_adds_a_little_noise() -> None:
    scores = [best(seed=seed) for seed in range(5)]

    assert 0 < max(scores) - min(scores) < 0.03


def test_fault_of_a_custom_architecture_comes_in_its_epoch() -> None:
    spec = TrialSpec(0, resolve(CURVE, {"fault": "fail", "fault_epoch": 3}), 0, 5)
    epochs = ToyTraining(spec, environment={}).epochs()

    assert [next(epochs).epoch, next(epochs).epoch] == [1, 2]
    with pytest.raises(TrialFailed, match="told to fail"):
        next(epochs)


def test_a_long_epoch_shows_how_far_it_is() -> None:
    spec = TrialSpec(0, resolve("lstm", {}), 0, 2)
    environment = {"TUNER_TOY_SECONDS": "0.05"}
    plain = list(ToyTraining(spec, environment={}).epochs())
    progress = list(ToyTraining(spec, environment=environment).progress(0.02))
    parts = [each for each in progress if isinstance(each, EpochPart)]
    assert [replace(each, seconds=0) for each in progress if each not in parts] == [
        replace(each, seconds=0) for each in plain
    ]
    assert {each.epoch for each in parts} == {1, 2}
    assert all(0 < each.share < 1 for each in parts)


def test_environment_names_the_trials_that_go_wrong() -> None:
    environment = {"TUNER_TOY_FAULTS": "1:fail,3:diverge"}
    good, bad = (
        ToyTraining(TrialSpec(n, resolve("lstm", {}), 0, 1), environment=environment)
        for n in (0, 1)
    )

    assert len(list(good.epochs())) == 1
    with pytest.raises(TrialFailed, match="told to fail"):
        list(bad.epochs())


def test_epochs_take_the_seconds_that_are_set() -> None:
    spec = TrialSpec(0, resolve("lstm", {}), 0, 2)
    training = ToyTraining(spec, environment={"TUNER_TOY_SECONDS": "0.05"})

    assert all(result.seconds >= 0.05 for result in training.epochs())


def test_crash_ends_the_process_and_toys_load_no_keras() -> None:
    code = (
        "import sys\n"
        "from tuner.settings.hyperparameters import resolve\n"
        "from tuner.training.spec import TrialSpec\n"
        "from tuner.training.toy import ToyTraining\n"
        "assert 'keras' not in sys.modules and 'tensorflow' not in sys.modules\n"
        f"spec = TrialSpec(0, resolve({CURVE!r}, {{'fault': 'crash'}}), 0, 1)\n"
        "print('so far', flush=True)\n"
        "list(ToyTraining(spec).epochs())\n"
        "print('went on')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    assert (ended.returncode, ended.stdout) == (1, "so far\n")
