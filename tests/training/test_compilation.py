"""Optimizer, learning rate over the steps, loss."""

import keras
import numpy as np
import pytest

from tuner.settings.hyperparameters import Hyperparameters, Optimizer
from tuner.training.compilation import compile_model
from tuner.training.loading import check_loads_again

pytestmark = pytest.mark.keras


def compiled(n_classes: int = 2, total_steps: int = 100, **parameters: object) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    hyperparameters = Hyperparameters(architecture="lstm", **parameters)
    compile_model(model, hyperparameters, n_classes=n_classes, total_steps=total_steps)
    return model


def learning_rates(total_steps: int = 100, **parameters: object) -> list[float]:
    optimizer = compiled(total_steps=total_steps, learning_rate=0.01, **parameters).optimizer
    rates = []
    for step in range(total_steps + 1):
        optimizer.iterations.assign(step)
        rates.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
    return rates


@pytest.mark.parametrize("optimizer", Optimizer)
def test_every_optimizer_learns(optimizer: Optimizer) -> None:
    keras.utils.set_random_seed(0)
    model = compiled(optimizer=optimizer, learning_rate=0.05, clipnorm=1.0, weight_decay=1e-3)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    y = (x[:, :1] > 0).astype(np.int32)

    losses = [model.train_on_batch(x, y, return_dict=True)["loss"] for _ in range(30)]

    assert type(model.optimizer).__name__.lower() == optimizer
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_accuracy_counts_every_sequence_once_whatever_its_weight(n_classes: int) -> None:
    units, activation = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
    layer = keras.layers.Dense(units, activation=activation, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((3,)), layer])
    hyperparameters = Hyperparameters(architecture="lstm")
    compile_model(model, hyperparameters, n_classes=n_classes, total_steps=1)
    labels = np.array([[0], [1], [1], [0]])  # it predicts 0; the last row fills the batch up
    weights = np.array([8, 1, 1, 0], np.float32)
    logs = model.train_on_batch(np.ones((4, 3)), labels, sample_weight=weights, return_dict=True)
    assert logs["accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_compiled_model_can_be_saved_and_loaded(n_classes: int) -> None:
    check_loads_again(compiled(n_classes))


def test_constant_rate_stays() -> None:
    assert learning_rates() == pytest.approx([0.01] * 101)


def test_cosine_falls_from_peak_to_zero() -> None:
    rates = learning_rates(schedule="cosine")

    assert rates[0] == pytest.approx(0.01)
    assert rates[50] == pytest.approx(0.005)
    assert rates[100] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("schedule", "last"), [("constant", 0.01), ("cosine", 0)])
def test_warmup_rises_over_its_share_of_the_steps(schedule: str, last: float) -> None:
    rates = learning_rates(schedule=schedule, warmup=0.2)

    assert rates[0] == 0
    assert rates[10] == pytest.approx(0.005)
    assert rates[20] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(last, abs=1e-9)


def test_no_clipnorm_does_not_clip() -> None:
    assert compiled().optimizer.clipnorm is None
    assert compiled(clipnorm=0.5).optimizer.clipnorm == 0.5


def test_weight_decay_is_adamws_alone() -> None:
    assert compiled(optimizer="adamw", weight_decay=0.01).optimizer.weight_decay == 0.01
    assert compiled(optimizer="adam", weight_decay=0.01).optimizer.weight_decay is None


def test_more_than_two_classes_use_categorical_cross_entropy() -> None:
    assert isinstance(compiled(n_classes=3).loss, keras.losses.SparseCategoricalCrossentropy)
    assert isinstance(compiled(n_classes=2).loss, keras.losses.BinaryCrossentropy)
