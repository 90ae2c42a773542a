"""Reading a saved model back, with the layers of this package known to Keras."""

from pathlib import Path

import keras

from tuner.model import layers, lstm  # noqa: F401  (registers the layers that a saved model names)


def load_model(path: Path) -> keras.Model:
    """The model in the `.keras` file at `path`. Code stored in the file is refused (Keras' safe mode)."""
    return keras.models.load_model(path, safe_mode=True)
