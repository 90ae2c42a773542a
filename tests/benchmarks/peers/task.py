"""Shared by all peers: the job, the data, the space, the tutorial's models in plain Keras, and the log of incumbents.

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
MAX_EPOCHS: int = yaml.safe_load(SPACE.read_text(encoding="utf-8"))["max_epochs"]

_UNKNOWN = 2  # the id of words that the vocabulary lacks


@dataclass(frozen=True)
class Job:
    """A peer's task; it continues until it is ended."""

    data: str  # the split sequences, see `load_reviews`
    texts: str  # the same as a table of texts, which tuner reads
    seed: int
    cores: int
    limit_s: float  # when the peer is ended
    scratch: str  # folder for what the peer must write
    log: str  # of JSON lines
    started: float  # seconds since the epoch, just before the peer's process was started

    @classmethod
    def from_command_line(cls) -> "Job":
        """The job that this process was started with."""
        return cls(**json.loads(sys.argv[1]))

    def to_command_line(self) -> str:
        """The inverse of `from_command_line`."""
        return json.dumps(asdict(self))

    def note(self, **facts: object) -> None:
        """Notes something that has happened just now; from any process."""
        line = json.dumps({"seconds": round(time.time() - self.started, 2), **facts}) + "\n"
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())  # at once, so that two trials' lines do not mix
        finally:
            os.close(handle)

    def best_score(self) -> float:
        """The best validation accuracy that was noted; 0 before any."""
        lines = Path(self.log).read_text(encoding="utf-8").splitlines()
        return max((json.loads(line).get("val_accuracy", 0.0) for line in lines), default=0.0)

    def keeps_incumbents(
        self, trial: object, parameters: Mapping[str, Any]
    ) -> "keras.callbacks.Callback":
        """A callback that saves the model of one `fit` after each epoch that is the best of all so far.

        As `ModelCheckpoint` does with `save_best_only`; what an epoch was worth is noted before its model is saved.
        """
        import keras

        cut = {name: parameters[name] for name in ("max_length", "vocabulary_size")}

        class KeepsIncumbents(keras.callbacks.Callback):
            def on_train_begin(callback, logs: dict[str, float] | None = None) -> None:
                self.note(started=str(trial))

            def on_epoch_end(callback, epoch: int, logs: dict[str, float] | None = None) -> None:
                accuracy = float((logs or {})["val_accuracy"])
                if accuracy <= self.best_score():
                    return
                path = Path(self.scratch) / f"incumbent-{trial}-{epoch}.keras"
                model = {"path": str(path), "weight": 1.0, **cut}
                self.note(single=[model], val_accuracy=accuracy)
                callback.model.save(path)

        return KeepsIncumbents()


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
    return reviews_of(path, "train"), reviews_of(path, "validation")


def reviews_of(path: str, split: str) -> Reviews:
    """The reviews of a split."""
    with np.load(path, allow_pickle=False) as stored:
        return Reviews(*(stored[f"{split}_{part}"] for part in ("tokens", "offsets", "labels")))


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
