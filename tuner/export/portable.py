"""A model in operations that other programs know: for TensorFlow's SavedModel and for ONNX.

TensorFlow's fused LSTM kernels (`tuner.training.fused_lstm`) and cuDNN's have no counterpart in ONNX, and a SavedModel
with cuDNN's runs on no CPU. Keras' own loop over time has the same weights and needs neither.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tuner.errors import ConfigError
from tuner.text import short_reason
from tuner.training.lstm import LSTM

# Tokenizers of other programs give int64, and ONNX takes one type alone.
_TYPES = {"savedmodel": "int32", "onnx": "int64"}


def portable(model: keras.Model) -> keras.Model:
    """The same model, its recurrent layers in Keras' plain form; a subclassed one as it is."""
    try:
        copy = keras.models.clone_model(model, clone_function=_plain)
    except ValueError:  # neither functional nor sequential: a user's own class
        return model
    copy.set_weights(model.get_weights())
    return copy


def with_temperature(model: keras.Model, temperature: float) -> keras.Model:
    """The model with its probabilities raised to the power 1 / temperature, divided by their sum."""
    if temperature == 1.0:
        return model
    ids = keras.Input((None,), dtype="int32", name="ids")
    stated = keras.ops.clip(model(ids), 1e-7, 1 - 1e-7)
    powers = stated ** (1 / temperature)
    if model.output_shape[-1] == 1:  # of the second of two classes
        total = powers + (1 - stated) ** (1 / temperature)
    else:
        total = keras.ops.sum(powers, axis=-1, keepdims=True)
    return keras.Model(ids, powers / total)


def export_saved_model(
    model: keras.Model,
    path: Path,
    temperature: float = 1.0,
    text_ids: Callable[[], Any] | None = None,
) -> None:
    """Writes the folder `path`, TensorFlow's SavedModel of `model`.

    Args:
        text_ids: makes the `TextIds` by which it also takes texts, in its signature `serve_texts`.

    Raises:
        ConfigError: another backend than TensorFlow, or operations that cannot be exported.
    """
    if text_ids is None or keras.backend.backend() != "tensorflow":
        _export(model, path, "savedmodel", temperature)
        return
    import tensorflow as tf

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Keras about NumPy
            plain, to_ids = with_temperature(portable(model), temperature), text_ids()
            archive = keras.export.ExportArchive()
            archive.track(plain)
            archive.track(to_ids)
            ids = tf.TensorSpec((None, None), tf.int32, name="ids")
            texts = tf.TensorSpec((None,), tf.string, name="texts")
            archive.add_endpoint("serve", lambda ids: plain(ids, training=False), [ids])
            archive.add_endpoint(
                "serve_texts", lambda texts: plain(to_ids(texts), training=False), [texts]
            )
            archive.write_out(path, verbose=False)
    except ConfigError:
        raise
    except Exception as cause:  # converters raise many kinds
        raise _impossible("savedmodel", cause) from cause


def export_onnx(model: keras.Model, path: Path, temperature: float = 1.0) -> None:
    """Writes `path`, an ONNX file of `model`.

    Raises:
        ConfigError: another backend than TensorFlow, or operations that ONNX does not have.
    """
    _export(model, path, "onnx", temperature)
    import onnx

    try:
        onnx.checker.check_model(str(path))  # tf2onnx only logs operations that it cannot convert
    except onnx.checker.ValidationError as cause:
        raise _impossible("onnx", cause) from cause


def _export(model: keras.Model, path: Path, form: str, temperature: float) -> None:
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            f"--format {form}: is made with TensorFlow, and KERAS_BACKEND is {keras.backend.backend()}; "
            "export with KERAS_BACKEND=tensorflow"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Keras and tf2onnx about NumPy
            with_temperature(portable(model), temperature).export(
                path,
                format="onnx" if form == "onnx" else "tf_saved_model",
                verbose=False,
                input_signature=[
                    keras.InputSpec(shape=(None, None), dtype=_TYPES[form], name="ids")
                ],
            )
    except Exception as cause:  # converters raise many kinds
        raise _impossible(form, cause) from cause


def _impossible(form: str, cause: Exception) -> ConfigError:
    reason = short_reason(str(cause).strip().partition(os.linesep)[0])
    return ConfigError(
        f"--format {form}: this model cannot be written so ({reason}); leave the format out"
    )


def _plain(layer: Any) -> Any:
    config = layer.get_config()
    made = keras.layers.LSTM if isinstance(layer, LSTM) else type(layer)
    copy = made.from_config(config)
    halves = [
        getattr(copy, name) for name in ("forward_layer", "backward_layer") if hasattr(copy, name)
    ]
    for recurrent in (copy, *halves):
        if hasattr(recurrent, "use_cudnn"):
            recurrent.use_cudnn = False
    return copy
