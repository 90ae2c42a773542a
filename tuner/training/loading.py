"""Loads a saved model, with the layers of this package and of a user's own modules known to Keras."""

import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import keras

from tuner.errors import TrialFailed
from tuner.text import short_reason
from tuner.training import (
    layers,  # noqa: F401  (registers the layers that a saved model names)
    linear_layer,  # noqa: F401  (registers the layers that a saved model names)
    lstm,  # noqa: F401  (registers the layers that a saved model names)
    ngrams,  # noqa: F401  (registers the layers that a saved model names)
    optimizers,  # noqa: F401  (registers the optimizer of a model that is saved while it is trained)
)
from tuner.training.keras_internals import unknown_name
from tuner.training.own_modules import import_modules


def load_model(path: Path, modules: str | Iterable[str] = ()) -> keras.Model:
    """The model in the `.keras` file at `path`.

    Code stored in the file is refused (Keras' safe mode).

    Args:
        modules: named by the person, because they register layers that the model has.

    Raises:
        ConfigError: one of them cannot be imported.
    """
    import_modules(modules)
    return keras.models.load_model(path, safe_mode=True)


def why_not_loaded(cause: Exception, module: str | None = None) -> str:
    """Advice about a model that Keras cannot load; where there is none, the beginning of Keras' message.

    Args:
        module: the one that its layers may be in.
    """
    unknown = unknown_name(cause)
    if unknown is None:
        return short_reason(cause)
    return (
        f"Keras does not know {unknown}; decorate it with @keras.saving.register_keras_serializable(), and name its "
        f"module, if you trust its code: --module {module or 'MODULE'}, in Python modules="
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
