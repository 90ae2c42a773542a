"""Shared by all peers: the job, the data, the space, the tutorial's models in plain Keras, and the log.

Keras is imported inside functions only, as Ray's documentation asks of a script: its driver needs no TensorFlow.
"""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras
    import optuna

SPACE = Path(__file__).resolve().parent.parent / "space.yaml"
COLUMNS = ("seconds", "trial", "epoch", "val_accuracy")  # of the log
MAX_EPOCHS: int = yaml.safe_load(SPACE.read_text(encoding="utf-8"))["max_epochs"]

_UNKNOWN = 2  # the id of words that the vocabulary lacks


@dataclass(frozen=True)
class Job:
    """A peer's task; it continues until it is ended."""

    data: str  # the split sequences, see `load_reviews`
    sample: int  # with `seed`, draws the same sequences again
    seed: int
    cores: int
    limit_s: float  # when the peer is ended
    scratch: str  # folder for what the peer must write
    log: str  # a CSV file
    started: float  # seconds since the epoch, just before the peer's process was started

    @classmethod
    def from_command_line(cls) -> "Job":
        """The job that this process was started with."""
        return cls(**json.loads(sys.argv[1]))

    def to_command_line(self) -> str:
        """The inverse of `from_command_line`."""
        return json.dumps(asdict(self))

    def log_epoch(self, trial: object, epoch: int, val_accuracy: float) -> None:
        """Notes that an epoch, counted from 1, has ended just now; from any process."""
        line = f"{time.time() - self.started:.2f},{trial},{epoch},{val_accuracy:.6f}\n"
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())  # at once, so that two trials' lines do not mix
        finally:
            os.close(handle)

    def logs_epochs(self, trial: object) -> "keras.callbacks.Callback":
        """A callback that notes every epoch of one `fit`."""
        import keras

        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self.log_epoch(trial, epoch + 1, logs["val_accuracy"])
        )


@dataclass(frozen=True, eq=False)
class Reviews:
    """Reviews of one split, one after the other: review i is `tokens[offsets[i]:offsets[i + 1]]`."""

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]

    def padded(self, *, max_length: int, vocabulary_size: int) -> NDArray[np.int32]:
        """`(n_reviews, max_length)` int32: the last tokens, padded with 0 on the left, as the tutorial does."""
        import keras

        known = np.where(self.tokens < vocabulary_size, self.tokens, _UNKNOWN)
        return keras.utils.pad_sequences(np.split(known, self.offsets[1:-1]), maxlen=max_length)


def load_reviews(path: str) -> tuple[Reviews, Reviews]:
    """The training and the validation reviews."""
    with np.load(path, allow_pickle=False) as stored:
        train, validation = (
            Reviews(*(stored[f"{split}_{part}"] for part in ("tokens", "offsets", "labels")))
            for split in ("train", "validation")
        )
    return train, validation


def read_space() -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """The ranges that all architectures share, and those of each; a range is as `space.yaml` writes it."""
    space = yaml.safe_load(SPACE.read_text(encoding="utf-8"))
    return space["shared"], space["architectures"]


def suggest(trial: "optuna.Trial") -> dict[str, Any]:
    """The space in Optuna's terms: samples the architecture, then the parameters that it has."""
    shared, architectures = read_space()
    architecture = trial.suggest_categorical("architecture", list(architectures))
    parameters = {"architecture": architecture}
    for name, given in {**shared, **architectures[architecture]}.items():
        if "choice" in given:
            parameters[name] = trial.suggest_categorical(name, given["choice"])
        elif "int" in given:
            parameters[name] = trial.suggest_int(name, *given["int"], log=given.get("log", False))
        else:
            low, high = given["float"]
            parameters[name] = trial.suggest_float(name, low, high, log=given.get("log", False))
    return parameters


def build(parameters: Mapping[str, Any]) -> "keras.Model":
    """The tutorial's model of this architecture, compiled."""
    import keras
    from keras import layers

    of = parameters.get  # a parameter that the architecture lacks is None
    model = keras.Sequential([keras.Input((parameters["max_length"],), dtype="int32")])
    model.add(layers.Embedding(parameters["vocabulary_size"], parameters["embedding_size"]))
    if of("embedding_dropout"):
        model.add(layers.Dropout(parameters["embedding_dropout"]))
    if of("filters"):
        model.add(
            layers.Conv1D(
                parameters["filters"], parameters["kernel_size"], padding="same", activation="relu"
            )
        )
        model.add(layers.MaxPooling1D(parameters["pool_size"]))
    model.add(
        layers.LSTM(
            parameters["lstm_units"],
            dropout=of("input_dropout") or 0.0,
            recurrent_dropout=of("recurrent_dropout") or 0.0,
        )
    )
    if of("output_dropout"):
        model.add(layers.Dropout(parameters["output_dropout"]))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(
        loss="binary_crossentropy",
        optimizer=keras.optimizers.Adam(parameters["learning_rate"]),
        metrics=["accuracy"],
    )
    return model


def fit(
    model: "keras.Model",
    parameters: Mapping[str, Any],
    reviews: tuple[Reviews, Reviews],
    callbacks: Sequence["keras.callbacks.Callback"],
    **options: Any,
) -> "keras.callbacks.History":
    """Trains the model as the tutorial does; `options` go to Keras' `fit`."""
    cut = {name: parameters[name] for name in ("max_length", "vocabulary_size")}
    train, validation = reviews
    return model.fit(
        train.padded(**cut),
        train.labels,
        batch_size=parameters["batch_size"],
        validation_data=(validation.padded(**cut), validation.labels),
        callbacks=list(callbacks),
        **{"epochs": MAX_EPOCHS, "verbose": 0, **options},
    )
