"""Records trainings for a table: one small file per training, so that a recording goes on where it was ended.

Configurations are drawn as a random search draws them: a random part of them is a random search again.
"""

import csv
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from tuner.data import EncodedSequences, Split, load_dataset
from tuner.data.cells import Rows
from tuner.data.encoding import tokenize
from tuner.data.load import read_rows, text_digests
from tuner.errors import TrialDiverged, TrialFailed
from tuner.files import atomic_file, write_atomically
from tuner.settings.data import DataConfig, TokenMode
from tuner.settings.hyperparameters import Hyperparameters
from tuner.settings.space import SearchSpace
from tuner.training.spec import TrialSpec, derive_seed

from .recorded_reference import RecordedReference, save_reference
from .table import RecordedTraining, save_table

POINTS = (Fraction(1, 27), *(Fraction(ninth, 9) for ninth in range(1, 10)))
_HELD_OUT = (Split.VALIDATION, Split.CONFIRMATION, Split.TEST)  # together they are the pool


@dataclass(frozen=True)
class Plan:
    """What a folder's recording consists of."""

    name: str
    space: SearchSpace  # without baselines: they are no random configurations
    source: str
    tokens: str
    n_learn: int
    n_pool: int
    configurations: int = field(compare=False)  # more may be asked for later
    seeds: int = field(compare=False)
    draw_seed: int = 5

    @property
    def points(self) -> tuple[Fraction, ...]:
        """The shares of a training after which it is measured; each epoch's end is one of them."""
        return tuple(sorted({*POINTS, *self.ends_of_epochs}))

    @property
    def ends_of_epochs(self) -> tuple[Fraction, ...]:
        """Those points at which a search sees a trial's scores."""
        epochs = self.space.max_epochs
        return tuple(Fraction(epoch, epochs) for epoch in range(1, epochs + 1))

    def jobs(self) -> Iterator["Job"]:
        """All trainings, those of one configuration together: an ended recording is a smaller table."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=self.draw_seed))
        for configuration in range(self.configurations):
            trial = study.ask()
            hyperparameters = self.space.suggest(trial)
            for seed in range(self.seeds):
                yield Job(configuration, seed, dict(trial.params), hyperparameters)


@dataclass(frozen=True)
class Job:
    """One training to record."""

    configuration: int
    seed: int
    parameters: dict[str, Any]
    hyperparameters: Hyperparameters

    @property
    def key(self) -> str:
        """Its name in the table and its file's."""
        return f"{self.configuration:04d}-{self.seed}"

    def spec(self, max_epochs: int) -> TrialSpec:
        """The trial that trains it."""
        seed = derive_seed(self.seed, f"configuration {self.configuration}")
        return TrialSpec(self.configuration, self.hyperparameters, seed, max_epochs)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a training said at every point; see `RecordedTraining`."""

    steps: int
    weights: int
    building_s: float
    training_s: Sequence[float]
    evaluation_s: Sequence[float]
    loss: Sequence[float]
    answers: NDArray[np.float16]


# Raises TrialFailed or TrialDiverged where that is what would happen each time.
Train = Callable[[Job], Measured]


def open_folder(folder: Path, plan: Plan) -> None:
    """Makes the recording's folder with its plan; refuses one that holds another recording."""
    folder.mkdir(parents=True, exist_ok=True)
    recorded = folder / "plan.json"
    content = {**vars(plan), "space": plan.space.to_mapping()}
    fixed = {name: content[name] for name in content if name not in ("configurations", "seeds")}
    if recorded.is_file() and json.loads(recorded.read_text("utf-8")) != fixed:
        raise SystemExit(f"{folder}: holds another recording; give another --out")
    write_atomically(recorded, json.dumps(fixed, indent=1))


def missing(folder: Path, plan: Plan) -> list[Job]:
    """The trainings that are not recorded yet."""
    return [job for job in plan.jobs() if not _file(folder, job).is_file()]


def record_one(folder: Path, job: Job, train: Train) -> str:
    """Trains and writes one file; returns a line about it. A failure is recorded, too, and not tried again."""
    try:
        measured = train(job)
    except (TrialFailed, TrialDiverged) as error:
        entry: dict[str, Any] = {"key": job.key, "error": str(error)}
        answers = np.zeros(0, np.float16)
        line = f"{job.key}: {error}"
    else:
        named = {name: value for name, value in vars(measured).items() if name != "answers"}
        about = {"key": job.key, "configuration": job.configuration, "seed": job.seed}
        entry = {**about, "parameters": job.parameters, **named}
        answers = measured.answers
        line = f"{job.key}: {measured.training_s[-1]:.1f} s, loss {measured.loss[-1]:.3f}"
    with atomic_file(_file(folder, job)) as fresh, fresh.open("wb") as file:
        np.savez_compressed(file, entry=np.array(json.dumps(entry)), answers=answers)
    return line


def record(folder: Path, plan: Plan, *, processes: int, gpu: bool = False) -> None:
    """Trains what is missing with Keras, in processes of one CPU each and of low priority.

    Seconds are those of the process' CPU, so that other work on this machine does not lengthen them.

    Args:
        gpu: the processes share the first visible GPU, through NVIDIA MPS where it can be had, and seconds are those
            of the clock.
    """
    open_folder(folder, plan)
    load_sequences(folder, plan)  # so that no process has to encode the texts
    jobs = missing(folder, plan)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_prepare, initargs=(folder, plan, gpu)
    ) as pool:
        for done, line in enumerate(pool.map(_record_with_keras, jobs), start=1):
            sys.stderr.write(f"{done} of {len(jobs)}: {line}\n")


def pack(
    folder: Path, plan: Plan, path: Path, labels: NDArray[np.int32], *, small: bool = False
) -> str:
    """Makes the table's file of all that is recorded; returns a line about what is left out.

    Args:
        labels: of the pool's rows that are kept, the first ones. They are in random order. Seconds and losses stay
            those of the whole pool.
        small: of the points only epochs' ends are kept, and probabilities take one byte each, see `coarse.py`.
    """
    ends = plan.ends_of_epochs
    places = [at for at, point in enumerate(plan.points) if not small or point in ends]
    trainings, answers = [], {}
    failed = 0
    for job in plan.jobs():
        if not _file(folder, job).is_file():
            continue
        with np.load(_file(folder, job), allow_pickle=False) as saved:
            entry = json.loads(str(saved["entry"]))
            if "error" in entry:
                failed += 1
                continue
            trainings.append(RecordedTraining.of(entry).at_points(places))
            answers[job.key] = saved["answers"][places, : len(labels)]
    save_table(
        path,
        name=plan.name,
        space=plan.space,
        points=[plan.points[at] for at in places],
        trainings=trainings,
        answers=answers,
        labels=labels.astype(np.int16),
        n_pool=len(labels),
        coarse=small,
    )
    return (
        f"{path}: {len(trainings)} trainings, {path.stat().st_size / 1e6:.1f} MB; {failed} failed"
    )


def record_reference(folder: Path, plan: Plan, table: Path, *, rows: int | None = None) -> Path:
    """Trains the linear reference on what the recorded trainings learned from, and writes it beside their table.

    Args:
        rows: how many of the pool's are kept, as in `pack`.
    """
    from tuner.training.linear_reference import longest_n_gram, train_reference

    learn, pool, n_classes = load_sequences(folder, plan)
    began = time.process_time()
    longest = longest_n_gram(TokenMode(plan.tokens))
    probabilities = train_reference(learn, n_classes, longest=longest).probabilities_of(pool)
    seconds = time.process_time() - began
    answers = (probabilities[:, 1] if n_classes == 2 else probabilities)[:rows]
    reference = RecordedReference(answers.astype(np.float16), round(seconds, 3))
    return save_reference(table, reference, pool.labels[:rows])


def labels_of(folder: Path, plan: Plan, *, rows: int | None = None) -> NDArray[np.int32]:
    """The true classes of the pool's first rows, by default of all: `(n_pool,)`."""
    return load_sequences(folder, plan)[1].labels[:rows]


def _file(folder: Path, job: Job) -> Path:
    return folder / f"{job.key}.npz"


def load_sequences(folder: Path, plan: Plan) -> tuple[EncodedSequences, EncodedSequences, int]:
    """What is learned from, the pool, and the number of classes."""
    dataset = load_dataset(_texts(folder, plan))
    parts = [dataset.splits[split] for split in _HELD_OUT]
    ends = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    pool = EncodedSequences(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate(
            [[0], *(part.offsets[1:] + end for part, end in zip(parts, ends, strict=False))]
        ),
        np.concatenate([part.labels for part in parts]),
    )
    return dataset.splits[Split.TRAIN], pool, len(dataset.class_names)


def load_rows(folder: Path, plan: Plan) -> tuple[Rows, list[int], list[int]]:
    """The texts, and the places of those to learn from and of the pool's, in the order that `load_sequences` has."""
    config = _texts(folder, plan)
    rows = read_rows(config)
    assert rows.given is not None
    tokenized = tokenize(rows.texts, rows.tokens)
    places: dict[tuple[Split, bytes], list[int]] = {}
    for place, (split, text) in enumerate(zip(rows.given, tokenized.texts, strict=True)):
        places.setdefault((split, tokenized.digests[text]), []).append(place)
    digests = text_digests(config)
    learn, *held_out = (
        [places[split, digest].pop(0) for digest in digests[split]]
        for split in (Split.TRAIN, *_HELD_OUT)
    )
    return rows, learn, [place for part in held_out for place in part]


def _texts(folder: Path, plan: Plan) -> DataConfig:
    """The file of the texts, written where it is missing."""
    source = folder / "texts.csv"
    if not source.is_file():
        _write_texts(source, plan)
    return DataConfig.model_validate({"source": str(source), "tokens": plan.tokens})


def _write_texts(path: Path, plan: Plan) -> None:
    """The source's texts, each once, in random order: the first to learn from, the next ones the pool."""
    rows = read_rows(DataConfig.model_validate({"source": plan.source, "tokens": plan.tokens}))
    labels = dict(zip(rows.texts, rows.labels, strict=True))
    texts = list(labels)
    asked = plan.n_learn + plan.n_pool
    if len(texts) < asked:
        raise SystemExit(f"{plan.source}: has {len(texts)} different texts, {asked} are asked for")
    order = np.random.default_rng(0).permutation(len(texts))
    with atomic_file(path) as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for number, place in enumerate(order[:asked]):
            is_held_out = number >= plan.n_learn
            split = _HELD_OUT[number % len(_HELD_OUT)] if is_held_out else Split.TRAIN
            writer.writerow([texts[place], labels[texts[place]], split])


# What a process trains on, loaded once.
_PROCESS: dict[str, Any] = {}


def _prepare(folder: Path, plan: Plan, gpu: bool) -> None:
    from tutorial import silence_tensorflow

    from tuner.execution.mps import ensure
    from tuner.nvidia import MpsMode
    from tuner.training.devices import configure_device

    os.nice(19)
    silence_tensorflow()
    if gpu:
        ensure(MpsMode.AUTO)
    configure_device(cpus=1, gpus=int(gpu))
    clock = time.perf_counter if gpu else time.process_time
    _PROCESS.update(folder=folder, plan=plan, data=load_sequences(folder, plan), clock=clock)


def _record_with_keras(job: Job) -> str:
    from .point_training import train_at_points

    plan, data = _PROCESS["plan"], _PROCESS["data"]
    return record_one(
        _PROCESS["folder"],
        job,
        lambda job: train_at_points(
            job, plan.space.max_epochs, plan.points, *data, clock=_PROCESS["clock"]
        ),
    )
