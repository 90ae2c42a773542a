"""Fails when a Keras that is allowed here has changed what `tuner.training.keras_internals` relies on."""

import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tuner.training import keras_internals
from tuner.training.lstm import LSTM

pytestmark = pytest.mark.keras


def test_keras_goes_without_scikit_learn_and_others_find_it() -> None:
    program = """
import sys
from tuner.training.keras_internals import *
import_keras_without_scikit_learn()
import keras
assert hasattr(sys.modules[WRAPPERS], WRAPPER) and "sklearn" not in sys.modules, sorted(sys.modules)
import sklearn.linear_model
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def small_model() -> keras.Model:
    model = keras.Sequential(
        [keras.Input((None,), dtype="int32"), keras.layers.Embedding(9, 4), keras.layers.LSTM(3)]
    )
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy", weighted_metrics=["accuracy"], jit_compile=False)
    return model


def test_variables_of_optimizer_and_metrics_can_be_made_before_the_first_step() -> None:
    model = small_model()
    unmade = len(model.metrics_variables)
    keras_internals.make_variables(model, batch_size=4)
    made = len(model.metrics_variables), len(model.optimizer.variables)
    assert made[0] > unmade
    model.reset_metrics()
    model.train_on_batch(np.ones((4, 5), np.int32), np.ones((4, 1), np.int32))
    assert (len(model.metrics_variables), len(model.optimizer.variables)) == made


def test_a_prediction_is_traced_once_for_all_shapes() -> None:
    import tensorflow as tf

    model = small_model()
    keras_internals.trace_prediction(model)
    for shape in ((4, 5), (2, 7), (1, 3)):
        assert model.predict_on_batch(np.ones(shape, np.int32)).shape == (shape[0], 1)
    assert isinstance(model.predict_function, tf.types.experimental.PolymorphicFunction)
    assert model.predict_function.experimental_get_tracing_count() == 1


def test_a_loaded_model_is_not_compiled_by_xla_beside_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    models = [keras.Sequential([keras.Input((None,)), keras.layers.Softmax()]) for _ in range(2)]
    keras_internals.trace_prediction(models[0])
    assert not models[0].jit_compile
    assert models[1].jit_compile  # or Keras has changed, and it need not be told


@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.5])
def test_a_cell_has_one_mask_for_all_gates(recurrent_dropout: float) -> None:
    cell = keras.layers.LSTMCell(3, dropout=0.5, recurrent_dropout=recurrent_dropout)
    cell.build((2, 4))
    assert keras_internals.input_mask(cell, np.ones((2, 4), np.float32)).shape == (2, 4)
    if recurrent_dropout:
        assert keras_internals.recurrent_mask(cell, np.ones((2, 3), np.float32)).shape == (2, 3)


def test_the_loop_over_time_is_a_method_of_its_own() -> None:
    """`tuner.training.lstm` replaces it."""
    theirs = inspect.signature(keras.layers.LSTM.inner_loop).parameters
    assert list(theirs) == list(inspect.signature(LSTM.inner_loop).parameters)
    assert "self.inner_loop(" in inspect.getsource(keras.layers.RNN.call)


def test_a_class_that_keras_does_not_know_is_named_by_its_error(tmp_path: Path) -> None:
    class Mine(keras.layers.Layer):
        def call(self, x: object) -> object:
            return x

    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((1,)), Mine()]).save(path)
    with pytest.raises(TypeError, match="Could not locate class 'Mine'") as raised:
        keras.models.load_model(path)
    assert keras_internals.unknown_name(raised.value) == "Mine"
    assert keras_internals.unknown_name(TypeError("something else")) is None


def test_initial_values_drawn_by_numpy_are_of_the_same_kind() -> None:
    kinds = [
        "glorot_uniform",
        "he_normal",
        "orthogonal",
        "random_normal",
        "uniform",
        "zeros",
        "ones",
    ]
    for kind in kinds:
        initializer = keras.initializers.get({"class_name": kind, "config": {}})
        theirs = np.asarray(initializer((60, 40), dtype="float32"))
        with keras_internals._by_numpy():
            ours = initializer((60, 40), dtype="float32")
            again = initializer((60, 40), dtype="float32")
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == np.float32
        assert np.array_equal(ours, again)
        assert ours.mean() == pytest.approx(theirs.mean(), abs=0.02)
        assert ours.std() == pytest.approx(theirs.std(), rel=0.1)
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.5)
        if kind == "orthogonal":
            assert ours.T @ ours == pytest.approx(np.eye(40), abs=1e-5)
    assert not isinstance(keras.initializers.Ones()((2,), dtype="float32"), np.ndarray)
    with keras_internals._by_numpy():
        assert keras.initializers.Ones()((2,), dtype="int32").dtype != np.float32
