"""Validation accuracy of a well-known Keras tutorial's four models, trained bucketed against trained padded.

Bucketed: tuner's own training, batches of similar length, padded behind up to the longest review. Padded: the
tutorial's `fit`, every review 500 tokens. Everything in which the two ways differ is in the difference, also that tuner
reads the LSTM's state after the last word and shares one mask of recurrent dropout among the gates. Both see the same
reviews, split, vocabulary, batch size, optimizer and number of epochs, and are scored on the same validation reviews.

Initial weights and the order of batches differ between the ways, so a seed's two runs are no pair: a difference is one
of means over seeds, with the standard error that follows from their spread. It does not hold what another split would
add. `best` is a run's best epoch, as a search scores it, `last` its last one, where the tutorial stops.

Every run is a row of bucketing_accuracy_runs.csv as soon as it has ended. Called again, the script goes on after the
runs that are there for the same sample and epochs; delete the file to train them anew, as after a change of tuner.
"""

import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import tutorial
from benchmark_io import options, show
from numpy.typing import NDArray

from tuner.data import EncodedSequences
from tuner.training.devices import configure_device
from tuner.training.spec import TrialSpec

SHORT_SAMPLE = 4_000
EPOCHS = 3
SEEDS = (0, 1, 2)
PROCESSES = 2
WAYS = ("bucketed", "padded")
# The slowest first, so that no process waits long for the last one.
ORDER = ("lstm_recurrent_dropout", "lstm_dropout", "lstm", "cnn_lstm")


@dataclass(frozen=True)
class Task:
    """One run, before it has begun."""

    sample: int
    epochs: int
    model: str
    way: str
    seed: int


@dataclass(frozen=True)
class Run(Task):
    """One run that has ended: a row of the CSV."""

    best_accuracy: float
    last_accuracy: float
    seconds: float  # of all epochs, with as many runs at once as there are processes


def main() -> None:
    """Trains the missing runs, shows and writes the table."""
    asked = options(__doc__)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    sample = tutorial.ALL_REVIEWS if asked.full else SHORT_SAMPLE
    file = asked.out / "bucketing_accuracy_runs.csv"
    tasks = [
        Task(sample, EPOCHS, model, way, seed)
        for model in ORDER
        for way in reversed(WAYS)
        for seed in SEEDS
    ]
    done = [run for run in read_runs(file) if as_task(run) in tasks]
    missing = [task for task in tasks if task not in map(as_task, done)]
    sys.stderr.write(f"{len(done)} runs are in {file}, {len(missing)} to go\n")
    tutorial.load(sample)  # so that no training process has to encode the reviews
    for run in train_all(missing):
        append_run(file, run)
        done.append(run)
    show("bucketing_accuracy", summary(done), asked.out)


def train_all(tasks: Sequence[Task]) -> Iterator[Run]:
    """The runs of `tasks` as they end, `PROCESSES` at a time with a thread each."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_prepare) as pool:
        running = [pool.submit(train, task) for task in tasks]
        try:
            for number, ended in enumerate(as_completed(running), start=1):
                run = ended.result()
                sys.stderr.write(
                    f"{number}/{len(tasks)} {run.model} {run.way}, seed {run.seed}: "
                    f"{100 * run.best_accuracy:.2f} % in {run.seconds:.0f} s\n"
                )
                yield run
        finally:
            pool.shutdown(cancel_futures=True)


def train(task: Task) -> Run:
    """Trains a model one way, in a process of `train_all`."""
    training, validation = tutorial.load(task.sample)
    started = time.perf_counter()
    if task.way == "bucketed":
        accuracies = _bucketed(task, training, validation)
    else:
        epochs = tutorial.fit(
            task.model, train=training, validation=validation, seed=task.seed, epochs=task.epochs
        )
        accuracies = [epoch.val_accuracy for epoch in epochs]
    seconds = time.perf_counter() - started
    return Run(
        **asdict(task),
        best_accuracy=round(max(accuracies), 6),
        last_accuracy=round(accuracies[-1], 6),
        seconds=round(seconds, 1),
    )


def summary(runs: Sequence[Run]) -> list[dict[str, object]]:
    """For the best and the last epoch, one row per model and one over all; accuracies in %, differences in points."""
    frame = pd.DataFrame([asdict(run) for run in runs])
    rows: list[dict[str, object]] = []
    for epoch in ("best", "last"):
        percent = 100 * frame.set_index(["model", "way"])[f"{epoch}_accuracy"]
        of_models = [
            _compared(epoch, model, *(percent.loc[(model, way)].to_numpy() for way in WAYS))
            for model in tutorial.MODELS
        ]
        rows += [*of_models, _overall(epoch, pd.DataFrame(of_models))]
    return rows


def read_runs(file: Path) -> list[Run]:
    """The runs in `file`; none where there is no such file."""
    if not file.exists():
        return []
    return [Run(**row) for row in pd.read_csv(file).to_dict("records")]


def append_run(file: Path, run: Run) -> None:
    """Adds a row to `file`, which is made with the first one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([asdict(run)]).to_csv(file, mode="a", header=not file.exists(), index=False)


def as_task(run: Run) -> Task:
    """The row of `run` before it began."""
    return Task(**{field.name: getattr(run, field.name) for field in fields(Task)})


def _bucketed(task: Task, training: EncodedSequences, validation: EncodedSequences) -> list[float]:
    from tuner.training.trial import Training

    spec = TrialSpec(task.seed, tutorial.tuner_settings(task.model), task.seed, task.epochs)
    trial = Training(spec, train=training, validation=validation, n_classes=2)
    return [epoch.val_accuracy for epoch in trial.epochs()]


def _compared(
    epoch: str, model: str, bucketed: NDArray[np.float64], padded: NDArray[np.float64]
) -> dict[str, object]:
    """The row of one model from its `(seeds,)` accuracies."""
    return {
        "epoch": epoch,
        "model": model,
        "bucketed": bucketed.mean(),
        "padded": padded.mean(),
        "difference": bucketed.mean() - padded.mean(),
        "standard_error": math.hypot(_standard_error(bucketed), _standard_error(padded)),
    }


def _overall(epoch: str, of_models: pd.DataFrame) -> dict[str, object]:
    """Means over the models; their errors are independent."""
    means = of_models[["bucketed", "padded", "difference"]].mean()
    error = math.hypot(*of_models["standard_error"]) / len(of_models)
    return {"epoch": epoch, "model": "all four", **means, "standard_error": error}


def _standard_error(accuracies: NDArray[np.float64]) -> float:
    return float(accuracies.std(ddof=1)) / math.sqrt(len(accuracies))


def _prepare() -> None:
    tutorial.silence_tensorflow()
    configure_device(cpus=1, gpus=0)


if __name__ == "__main__":
    main()
