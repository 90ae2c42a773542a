"""The model of `between_trials.py`: the same function, writing down the same moments, under tuner and under Ray Tune.

One line per moment goes to the file that the environment variable `LOG` names: seconds, process, moment. Importing this
module imports TensorFlow, as a user's own module of models would.
"""

import os
import time
from typing import Any

import keras
import tensorflow as tf
from between_trials_space import BUILD, EVALUATED, LOG, STEP


def build(*, vocabulary_size: int, n_classes: int, units: int) -> keras.Model:
    """Ids `(batch, time)`, right-padded with 0, to `(batch, 1)` sigmoid: an LSTM as small as they come."""
    note(BUILD)
    ids = keras.Input((None,), dtype="int32")
    hidden = keras.layers.Embedding(vocabulary_size, 16)(ids)
    hidden = keras.layers.LSTM(units)(hidden)
    return Watched(ids, keras.layers.Dense(1, activation="sigmoid")(hidden))


class Watched(keras.Model):
    """A model that notes when a training step begins and when an evaluation has ended."""

    def train_step(self, data: Any) -> Any:
        tf.py_function(_note_step, [], [])
        return super().train_step(data)

    def predict_on_batch(self, x: Any) -> Any:
        """The evaluation of tuner."""
        outputs = super().predict_on_batch(x)
        note(EVALUATED)
        return outputs

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """The evaluation of `fit`."""
        figures = super().evaluate(*arguments, **options)
        note(EVALUATED)
        return figures


def note(what: str) -> None:
    """Appends one moment to the log."""
    with open(os.environ[LOG], "a", encoding="ascii") as log:
        log.write(f"{time.time():.6f} {os.getpid()} {what}\n")


def _note_step() -> None:
    note(STEP)
