"""Loads Keras and its backend without what they print about this machine."""

import os
from pathlib import Path

from tuner.output import output_to


def import_keras_quietly() -> None:
    """Loads Keras with its backend; what these find on this machine is no news."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with output_to(Path(os.devnull)):  # some of it is written before TensorFlow knows its level
        import tuner.training.steps  # noqa: F401
