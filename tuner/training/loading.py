"""Loads a saved model, with the layers of this package and of a user's own modules known to Keras."""

import importlib
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import keras

from tuner.errors import TrialFailed
from tuner.text import one_line
from tuner.training import (
    layers,  # noqa: F401  (registers the layers that a saved model names)
    lstm,  # noqa: F401  (registers the layers that a saved model names)
)
from tuner.training.custom import make_current_folder_importable
from tuner.training.keras_internals import unknown_name


def load_model(path: Path, modules: Iterable[str] = ()) -> keras.Model:
    """The model in the `.keras` file at `path`. Code stored in the file is refused (Keras' safe mode).

    Args:
        modules: that may register layers of a person's own; looked for in the current folder, too. What is not there
            is passed over: most models need none of it.
    """
    make_current_folder_importable()
    for module in modules:
        with suppress(ImportError):
            importlib.import_module(module)
    return keras.models.load_model(path, safe_mode=True)


def why_not_loaded(cause: Exception) -> str:
    """Advice about a model that Keras cannot load; where there is none, the beginning of Keras' message."""
    unknown = unknown_name(cause)
    if unknown is None:
        return one_line(str(cause))[:200]
    return (
        f"Keras does not know {unknown}; decorate it with @keras.saving.register_keras_serializable(), and "
        "have its module in the folder that you are in"
    )


def check_loads_again(model: keras.Model) -> None:
    """Saves the model and loads it, as its users will.

    Raises:
        TrialFailed: it cannot be loaded.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the optimizer's moments, which it has not yet, are not read back
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
            load_model(path)
        except Exception as cause:  # Keras raises many kinds
            raise TrialFailed(f"cannot be saved and loaded: {why_not_loaded(cause)}") from cause
