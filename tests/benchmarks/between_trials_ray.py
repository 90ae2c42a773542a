"""The other system of `between_trials.py`: Ray Tune as its documentation teaches it.

A function trainable that imports TensorFlow, gets its data by `tune.with_parameters` and reports every epoch from a
Keras callback; `Tuner`, `OptunaSearch`, `ASHAScheduler`. Called as `python between_trials_ray.py FOLDER TRIALS`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import ray
from between_trials_space import (
    BATCH_SIZES,
    DATA,
    EPOCHS,
    LEARNING_RATES,
    LENGTH,
    SAMPLE,
    UNITS,
    VOCABULARY_SIZE,
)
from numpy.typing import NDArray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from tuner.data import EncodedSequences, Split, load_dataset, pad
from tuner.settings.data import DataConfig

Part = tuple[NDArray[np.int32], NDArray[np.int32]]  # ids (n, LENGTH), labels (n, 1)


def train(config: dict[str, Any], data: tuple[Part, Part]) -> None:
    """The trainable; TensorFlow comes with the model's module."""
    import keras
    from between_trials_model import build

    class ReportEpoch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            tune.report({"val_accuracy": (logs or {})["val_accuracy"]})

    model = build(vocabulary_size=VOCABULARY_SIZE, n_classes=2, units=config["units"])
    model.compile(
        optimizer=keras.optimizers.Adam(config["learning_rate"]),
        loss="binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # as in tuner; XLA has no place for the watched step
    )
    (ids, labels), validation = data
    model.fit(
        ids,
        labels,
        validation_data=validation,
        batch_size=config["batch_size"],
        epochs=EPOCHS,
        verbose=0,
        callbacks=[ReportEpoch()],
    )


def main() -> None:
    folder, trials = sys.argv[1], int(sys.argv[2])
    dataset = load_dataset(DataConfig(source=DATA, sample=SAMPLE))
    data = tuple(_padded(dataset.splits[split]) for split in (Split.TRAIN, Split.VALIDATION))
    with tempfile.TemporaryDirectory(prefix="tuner-", dir="/tmp") as scratch:  # sockets: short
        ray.init(include_dashboard=False, log_to_driver=False, _temp_dir=scratch)
        try:
            _search(data, trials, Path(folder))
        finally:
            ray.shutdown()


def _search(data: tuple[Part, ...], trials: int, folder: Path) -> None:
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, data=data), {"cpu": 1}),
        param_space={
            "units": tune.randint(UNITS[0], UNITS[1] + 1),
            "learning_rate": tune.loguniform(*LEARNING_RATES),
            "batch_size": tune.choice(BATCH_SIZES),
        },
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=OptunaSearch(seed=0),
            scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
            num_samples=trials,
            max_concurrent_trials=1,
        ),
        run_config=tune.RunConfig(name="ray", storage_path=str(folder), verbose=0),
    )
    tuner.fit()


def _padded(sequences: EncodedSequences) -> Part:
    view = sequences.view(vocabulary_size=VOCABULARY_SIZE, max_length=LENGTH)
    ids = pad(view, np.arange(len(view)))
    ids = np.pad(ids, ((0, 0), (0, LENGTH - ids.shape[1])))
    return ids, view.labels[:, None]


if __name__ == "__main__":
    main()
