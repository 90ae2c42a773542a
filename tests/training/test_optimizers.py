"""A word that a batch has twice moves as its whole gradient says, whatever Keras makes of a list of rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuner.settings.hyperparameters import Hyperparameters, Optimizer
from tuner.training.compilation import compile_model

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's alone"),
]

IDS = [2, 2, 3]  # of each of them the gradient is 1


def step(optimizer: keras.optimizers.Optimizer, *, is_dense: bool = False) -> np.ndarray:
    """How far the rows of an embedding have moved after one step, `(4,)`."""
    rows = keras.Variable(np.zeros((4, 1), np.float32))
    optimizer.build([rows])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.gather(rows.value, IDS))
    gradient = tape.gradient(total, rows.value)
    assert isinstance(gradient, tf.IndexedSlices)
    optimizer.apply([tf.convert_to_tensor(gradient) if is_dense else gradient], [rows])
    return -rows.numpy()[:, 0]


def compiled(**parameters: object) -> keras.optimizers.Optimizer:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    hyperparameters = Hyperparameters(architecture="lstm", learning_rate=0.1, **parameters)
    compile_model(model, hyperparameters, n_classes=2, total_steps=10)
    return model.optimizer


def test_adam_sums_a_repeated_word_before_it_squares() -> None:
    optimizer = compiled(optimizer="adam")

    moved = step(optimizer)

    second_moment = optimizer.variables[-1].numpy()[:, 0]
    np.testing.assert_allclose(second_moment, [0, 0, 0.004, 0.001], rtol=1e-5)
    np.testing.assert_allclose(moved, [0, 0, 0.1, 0.1], rtol=1e-4)


@pytest.mark.parametrize("clipnorm", [0.0, 1.0])
@pytest.mark.parametrize("optimizer", Optimizer)
def test_every_optimizer_steps_as_keras_does_by_the_whole_gradient(
    optimizer: Optimizer, clipnorm: float
) -> None:
    plain = {
        Optimizer.ADAM: keras.optimizers.Adam,
        Optimizer.ADAMW: keras.optimizers.AdamW,
        Optimizer.RMSPROP: keras.optimizers.RMSprop,
        Optimizer.SGD: keras.optimizers.SGD,
    }[optimizer]

    moved = step(compiled(optimizer=optimizer, clipnorm=clipnorm))

    expected = step(plain(0.1, clipnorm=clipnorm or None), is_dense=True)
    np.testing.assert_allclose(moved, expected, rtol=1e-5)


def test_clipping_sees_the_norm_of_the_whole_gradient() -> None:
    moved = step(compiled(optimizer="sgd", clipnorm=1.0))

    np.testing.assert_allclose(moved, 0.1 * np.array([0, 0, 2, 1]) / np.sqrt(5), rtol=1e-5)
