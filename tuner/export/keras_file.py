"""Builds a Keras model from trained weights and writes it to files. Importing this module loads Keras."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tuner.export.portable import export_onnx, export_saved_model
from tuner.settings.data import TokenMode
from tuner.settings.hyperparameters import Hyperparameters, is_custom
from tuner.training.builder import build_model
from tuner.training.custom import check_importable
from tuner.training.failures import trial_errors
from tuner.training.linear_layer import build_linear
from tuner.training.spec import LinearShape, TrainedModel


def save_keras_model(
    trained: TrainedModel,
    hyperparameters: Hyperparameters | LinearShape,
    *,
    n_classes: int,
    path: Path,
    temperature: float = 1.0,
    saved_model: Path | None = None,
    tokens: tuple[Sequence[str], TokenMode] | None = None,
    onnx: Path | None = None,
) -> None:
    """Writes the model as a `.keras` file, and where paths are given in other programs' forms, too.

    Args:
        temperature: of the probabilities in other programs' forms; `Classifier` applies it to those of the `.keras`
            file.
        tokens: the vocabulary and the rule for tokens, by which a SavedModel takes texts, too.

    Raises:
        TrialFailed: the weights are not of these hyperparameters.
        ConfigError: it cannot be written in one of these forms.
    """
    with trial_errors():
        keras.backend.clear_session()
        if isinstance(hyperparameters, LinearShape):
            model = build_linear(trained.weights)
        else:
            if is_custom(hyperparameters.architecture):  # in a notebook, edited since
                check_importable(hyperparameters.architecture)
            model = build_model(
                hyperparameters.model_copy(update={"vocabulary_size": trained.vocabulary_size}),
                n_classes=n_classes,
            )
            model.set_weights(list(trained.weights))
        model.save(path)
        if saved_model is not None:

            def text_ids() -> Any:
                from tuner.export.text_ids import TextIds

                assert tokens is not None
                size, length = trained.vocabulary_size, hyperparameters.max_length
                return TextIds(*tokens, size=size, max_length=length)

            export_saved_model(
                model, saved_model, temperature, text_ids if tokens is not None else None
            )
        if onnx is not None:
            export_onnx(model, onnx, temperature)
