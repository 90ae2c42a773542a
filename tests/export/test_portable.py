"""Models exported for other programs predict the same as before, whatever the width of a batch."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tuner.errors import ConfigError
from tuner.export import portable
from tuner.settings.hyperparameters import resolve
from tuner.training.builder import build_model
from tuner.training.lstm import LSTM
from tuner.training.temperature import tempered

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="other backends cannot export these forms"
    ),
]


def model_of(architecture: str, n_classes: int = 2, **parameters: object) -> keras.Model:
    sizes = {"vocabulary_size": 30, "embedding_size": 6, "lstm_units": 5}
    return build_model(resolve(architecture, {**sizes, **parameters}), n_classes=n_classes)


def with_table(model: keras.Model) -> keras.Model:
    """`model` with an n-gram branch that says something."""
    layer = model.get_layer("ngrams")
    table = np.random.default_rng(1).normal(size=layer.get_weights()[0].shape)
    layer.set_weights([table.astype(np.float32)])
    return model


def batches() -> Iterator[NDArray[np.int32]]:
    """Batches of several widths, right-padded."""
    rng = np.random.default_rng(0)
    for count, width in ((1, 1), (3, 7), (2, 90)):
        ids = rng.integers(1, 30, (count, width)).astype(np.int32)
        for row in ids[1:]:
            row[rng.integers(1, width + 1) :] = 0
        yield ids


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("lstm_recurrent_dropout", {}),
        (
            "cnn_bilstm",
            {"pooling": "max_mean", "lstm_layers": 2, "ngrams": 3},
        ),
        ("stacked_lstm", {}),
    ],
)
def test_keras_own_lstm_takes_the_weights(architecture: str, parameters: dict[str, object]) -> None:
    model = model_of(architecture, n_classes=3, **parameters)
    copy = portable.portable(model)
    assert any(isinstance(layer, LSTM) for layer in model.layers)
    assert not any(isinstance(layer, LSTM) for layer in copy.layers)
    for ids in batches():
        assert np.asarray(copy(ids)) == pytest.approx(np.asarray(model(ids)), abs=1e-6)


def test_no_layer_of_a_users_own_model_asks_for_cudnn() -> None:
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(30, 4)(ids)
    x = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True))(x)
    x = keras.layers.LSTM(3)(x)
    model = keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(x))
    both, lstm = portable.portable(model).layers[2:4]
    assert [both.forward_layer.use_cudnn, both.backward_layer.use_cudnn] == [False, False]
    assert lstm.use_cudnn is False
    assert model.layers[3].use_cudnn == "auto"  # the model itself stays as it was


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_temperature_is_part_of_the_model(n_classes: int) -> None:
    model = model_of("lstm", n_classes=n_classes)
    sure = portable.with_temperature(model, 0.5)
    assert portable.with_temperature(model, 1.0) is model
    for ids in batches():
        stated, output = (np.asarray(each(ids)) for each in (model, sure))
        if n_classes == 2:
            stated, output = (np.hstack([1 - each, each]) for each in (stated, output))
        assert output == pytest.approx(tempered(stated, 0.5), abs=1e-6)


@pytest.mark.parametrize(("architecture", "temperature"), [("cnn_bilstm", 1.0), ("bigru", 2.0)])
def test_onnx_predicts_the_same_at_every_width(
    architecture: str, temperature: float, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model = with_table(model_of(architecture, n_classes=3, ngrams=3))
    portable.export_onnx(model, tmp_path / "m.onnx", temperature)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for ids in batches():
        (output,) = session.run(None, {"ids": ids.astype(np.int64)})
        expected = tempered(np.asarray(model(ids)), temperature)
        assert output == pytest.approx(expected, abs=1e-5)


def test_operations_that_onnx_does_not_have_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tf2onnx")
    monkeypatch.setattr(portable, "portable", lambda model: model)  # the fused kernels stay
    with pytest.raises(ConfigError, match=r"--format onnx: this model cannot .*BlockLSTM.*leave"):
        portable.export_onnx(model_of("lstm"), tmp_path / "m.onnx")


def test_another_backend_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ConfigError, match=r"savedmodel: .* export with KERAS_BACKEND=tensorflow"):
        portable.export_saved_model(None, tmp_path / "m")
