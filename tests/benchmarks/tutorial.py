"""The four models of a well-known Keras tutorial on LSTMs and IMDB reviews, written and trained as it does.

Every review has 500 tokens: longer ones keep their last 500, shorter ones are padded in front, and nothing is masked.
Training is `model.fit` with Adam at 1e-3 and batches of 64. Reviews and splits are those that tuner's trials get, so
that the way of training is all that differs. Keras is imported inside only: the caller may first have to configure
threads.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data import EncodedSequences, Split, load_dataset
from tuner.settings.builtin import find_space
from tuner.settings.data import DataConfig
from tuner.settings.hyperparameters import Hyperparameters, resolve

MODELS = ("lstm", "lstm_dropout", "lstm_recurrent_dropout", "cnn_lstm")
ALL_REVIEWS = 25_000
VOCABULARY_SIZE = 5000
MAX_LENGTH = 500
BATCH_SIZE = 64


@dataclass(frozen=True)
class Epoch:
    """The time of an epoch and its accuracy; the time includes validation."""

    seconds: float
    val_accuracy: float


def silence_tensorflow() -> None:
    """Drops this process's standard error: TensorFlow writes there before it can be configured.

    An exception still reaches the process that waits for this one.
    """
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stderr.fileno())
    os.close(nothing)


def load(sample: int) -> tuple[EncodedSequences, EncodedSequences]:
    """Training and validation split of `sample` of the bundled IMDB reviews; the split does not vary with seeds."""
    dataset = load_dataset(DataConfig(source="imdb-train", sample=sample))
    return dataset.splits[Split.TRAIN], dataset.splits[Split.VALIDATION]


def tuner_settings(model: str) -> Hyperparameters:
    """The tutorial's settings of `model` as tuner has them: the baselines of `make search`."""
    baselines = {str(each["architecture"]): each for each in find_space("quickstart").baselines}
    parameters = {key: value for key, value in baselines[model].items() if key != "architecture"}
    return resolve(model, parameters)


def clipped(sequences: EncodedSequences) -> EncodedSequences:
    """`sequences` as the tutorial sees them, before padding: rarer words unknown, last 500 tokens."""
    return sequences.view(vocabulary_size=VOCABULARY_SIZE, max_length=MAX_LENGTH)


def fit(
    model: str,
    *,
    train: EncodedSequences,
    validation: EncodedSequences,
    seed: int,
    epochs: int,
) -> list[Epoch]:
    """Trains the tutorial's `model` the tutorial's way; padding is done before the clock starts."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    network = _compiled(model)
    clock = _clock()
    x, y = _padded(train)
    history = network.fit(
        x,
        y,
        validation_data=_padded(validation),
        epochs=epochs,
        batch_size=BATCH_SIZE,
        callbacks=[clock],
        verbose=0,
    )
    figures = zip(clock.seconds, history.history["val_accuracy"], strict=True)
    return [Epoch(seconds, float(accuracy)) for seconds, accuracy in figures]


def _padded(sequences: EncodedSequences) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`(n, 500)` int32 ids, left-padded with 0, and `(n,)` int32 labels."""
    import keras

    kept = clipped(sequences)
    reviews = np.split(kept.tokens, kept.offsets[1:-1])
    return keras.utils.pad_sequences(reviews, maxlen=MAX_LENGTH), kept.labels


def _compiled(model: str) -> Any:
    import keras

    network = keras.Sequential(list(_layers(model)))
    network.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return network


def _layers(model: str) -> Iterator[Any]:
    from keras.layers import LSTM, Conv1D, Dense, Dropout, Embedding, MaxPooling1D

    yield Embedding(VOCABULARY_SIZE, 32)
    match model:
        case "lstm":
            yield LSTM(100)
        case "lstm_dropout":
            yield Dropout(0.2)
            yield LSTM(100)
            yield Dropout(0.2)
        case "lstm_recurrent_dropout":
            yield LSTM(100, dropout=0.2, recurrent_dropout=0.2)
        case "cnn_lstm":
            yield Conv1D(filters=32, kernel_size=3, padding="same", activation="relu")
            yield MaxPooling1D(pool_size=2)
            yield LSTM(100)
        case _:
            raise ValueError(f"the tutorial has no model {model!r}")
    yield Dense(1, activation="sigmoid")


def _clock() -> Any:
    """A callback that keeps every epoch's `seconds`, validation included."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self._started = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.seconds.append(time.perf_counter() - self._started)

    return Clock()
