"""The contract of every trial, real or toy."""

import math
from collections.abc import Callable
from dataclasses import astuple, replace

import numpy as np
import pytest
from support.trainings import BOTH, training_of

from tuner.data import EncodedSequences
from tuner.errors import TrialDiverged, TrialFailed, TrialOutOfMemory
from tuner.settings.hyperparameters import resolve
from tuner.training.spec import EpochResult, TrainsByEpoch, TrialSpec

SMALL = {
    "vocabulary_size": 20,
    "embedding_size": 4,
    "lstm_units": 3,
    "batch_size": 16,
    "max_length": 9,
    "learning_rate": 0.02,
}
Make = Callable[..., TrainsByEpoch]


@pytest.fixture(params=BOTH)
def make(
    request: pytest.FixtureRequest,
    train: EncodedSequences,
    validation: EncodedSequences,
    n_classes: int,
) -> Make:
    def _make(*, seed: int = 5, epochs: int = 2):
        spec = TrialSpec(0, resolve("lstm", SMALL), seed, epochs)
        return training_of(request.param)(
            spec, train=train, validation=validation, n_classes=n_classes
        )

    return _make


@pytest.fixture
def make_failing(
    make: Make, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], TrainsByEpoch]:
    """A trial whose first step raises: in Keras by a step that does, in a toy by its fault."""
    errors = {
        "fail": ValueError("told to fail"),
        "memory": MemoryError("told to run out of memory"),
        "diverge": None,
    }

    def _make(fault: str) -> TrainsByEpoch:
        monkeypatch.setenv("TUNER_TOY_FAULTS", f"0:{fault}")

        def step(ids: object, labels: object) -> tuple[float, float]:
            if (error := errors[fault]) is not None:
                raise error
            return math.nan, 0.5

        if request.node.callspec.params["make"] == "keras":
            monkeypatch.setattr("tuner.training.steps.make_train_step", lambda model, **_: step)
        return make()

    return _make


def without_seconds(results: list[EpochResult]) -> list[EpochResult]:
    return [replace(result, seconds=0.0) for result in results]


def test_gives_one_result_per_epoch_in_order(make: Make) -> None:
    results = list(make(epochs=3).epochs())

    assert [result.epoch for result in results] == [1, 2, 3]


def test_figures_are_finite_and_in_range(make: Make) -> None:
    for result in make().epochs():
        assert result.val_accuracy_error is None  # no sequences share a text or a group
        assert np.isfinite([figure for figure in astuple(result) if figure is not None]).all()
        assert all(0 <= x <= 1 for x in (result.accuracy, result.val_accuracy, result.val_f1))
        assert result.loss >= 0
        assert result.val_loss >= 0
        assert result.seconds >= 0


def test_weights_and_device_are_known_before_training(make: Make) -> None:
    trial = make()

    assert trial.weights > 20 * 4
    assert isinstance(trial.device, str)
    assert trial.device


def test_same_seed_gives_the_same_figures_whatever_ran_before(make: Make) -> None:
    first = list(make(seed=5).epochs())
    other = list(make(seed=6).epochs())
    again = list(make(seed=5).epochs())

    assert without_seconds(again) == without_seconds(first)
    assert without_seconds(other) != without_seconds(first)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("fail", TrialFailed, "ValueError: .*told to fail"),
        ("memory", TrialOutOfMemory, "MemoryError: .*lower batch_size"),
        ("diverge", TrialDiverged, "loss became nan in epoch 1"),
    ],
)
def test_a_failure_is_a_trial_error_with_its_reason(
    make_failing: Callable[[str], TrainsByEpoch], fault: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        next(iter(make_failing(fault).epochs()))
