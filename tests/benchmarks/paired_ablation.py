"""What an idea is worth: pairs of trainings that differ in it alone.

    python tests/benchmarks/paired_ablation.py NAME --pairs 10 --data rotten-tomatoes

Both trainings of a pair have the same seed and the same rows; each pair draws its rows anew, so the interval holds for
other seeds and other rows of this data. The epoch is chosen on rows of its own, and all is measured on rows that chose
nothing. `sees` is the effect that so many pairs would have found in four of five such measurements.

A change of code has no name here: record `as-it-is` at the commit before it with another --out, and give that folder
as --before. What is recorded in --out is not trained again, so a changed code needs an empty one.
"""

import argparse
import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from benchmark_io import show
from scipy.special import stdtrit
from tutorial import silence_tensorflow

from tuner.data import EncodedSequences, load_dataset
from tuner.data.dataset import offsets_of
from tuner.files import write_atomically
from tuner.settings.data import DataConfig, TokenMode
from tuner.settings.hyperparameters import Hyperparameters, resolve
from tuner.settings.metric import Metric
from tuner.training.spec import TrialSpec

MOST_MEASURED = 6_000
_TUTORIAL = {"vocabulary_size": 5000, "embedding_size": 32, "lstm_units": 100}
_TUNED = {
    "optimizer": "adamw",
    "schedule": "cosine",
    "warmup": 0.1,
    "clipnorm": 1.0,
    "weight_decay": 4e-3,
    "learning_rate": 2e-3,
    "vocabulary_size": 30000,
    "embedding_size": 128,
    "spatial_dropout": 0.5,
    "output_dropout": 0.5,
}
# The configurations that an idea is added to: of the tutorial, and of the space `imdb`.
BASES: dict[str, Mapping[str, object]] = {
    "lstm": {"architecture": "lstm", **_TUTORIAL},
    "cnn_lstm": {"architecture": "cnn_lstm", **_TUTORIAL},
    "lstm, 4 x the rate": {"architecture": "lstm", **_TUTORIAL, "learning_rate": 4e-3},
    "cnn_bilstm, tuned": {
        "architecture": "cnn_bilstm",
        **_TUNED,
        "lstm_units": 48,
        "filters": 128,
        "kernel_size": 5,
    },
}


BASES["cnn_bilstm, tuned, noise"] = {**BASES["cnn_bilstm, tuned"], "adversarial_noise": 0.03}


@dataclass(frozen=True)
class Idea:
    """Some settings, what they replace, and the configurations that they are tried with."""

    settings: Mapping[str, object] = field(default_factory=dict)
    replaces: Mapping[str, object] = field(default_factory=dict)
    bases: tuple[str, ...] = ("lstm", "cnn_lstm")


IDEAS: Mapping[str, Idea] = {
    "as-it-is": Idea(bases=("lstm", "cnn_lstm", "lstm, 4 x the rate")),
    "noise": Idea({"adversarial_noise": 0.03}, bases=("cnn_bilstm, tuned",)),
    "ngrams-2": Idea({"ngrams": 2}),
    "ngrams-3": Idea({"ngrams": 3}),
    "cnn-beside": Idea({"parallel_filters": 64}),
}


@dataclass(frozen=True)
class Data:
    """The rows of a source, and how many of them each training learns from."""

    source: str
    learn: int


@dataclass(frozen=True)
class Job:
    """One training."""

    hyperparameters: Hyperparameters
    pair: int
    data: Data
    epochs: int

    def file(self, folder: Path) -> Path:
        """Where it is recorded."""
        decides = {
            "settings": self.hyperparameters.model_dump(mode="json", exclude_defaults=True),
            "epochs": self.epochs,
            "source": self.data.source,
            "learn": self.data.learn,
        }
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return folder / f"{digest[:16]}-{self.pair}.json"


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a training says of the rows that chose nothing."""

    accuracy: float
    loss: float
    seconds: float


def main() -> None:
    """Trains what is not recorded yet, and shows the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=IDEAS)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--data", default="rotten-tomatoes", help="a data set's name or a file")
    parser.add_argument("--learn", type=int, default=4000, help="rows to learn from")
    parser.add_argument("--epochs", type=int, default=4, help="of a training, the best is taken")
    parser.add_argument("--bases", nargs="+", choices=BASES, help="in place of the idea's")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--before", type=Path, help="compare with this folder of an earlier commit")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/paired"))
    given = parser.parse_args()
    idea, data = IDEAS[given.name], Data(given.data, given.learn)
    bases = given.bases or idea.bases
    given.out.mkdir(parents=True, exist_ok=True)
    texts(data.source)  # so that no process has to encode them
    jobs = {
        job.file(given.out): job
        for pair in range(given.pairs)
        for base in bases
        for job in _arms(idea, base, pair, data, given.epochs)
    }
    todo = [(path, job) for path, job in jobs.items() if not path.is_file()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=context, initializer=_prepare) as pool:
        for done, line in enumerate(pool.map(_train, *zip(*todo, strict=True)), 1):
            sys.stderr.write(f"{done} of {len(todo)}: {line}\n")
    rows = []
    for base in bases:
        pairs = [_arms(idea, base, pair, data, given.epochs) for pair in range(given.pairs)]
        without = [_read(job.file(given.before or given.out)) for job, _ in pairs]
        rows.append(_row(base, without, [_read(job.file(given.out)) for _, job in pairs]))
    show(f"paired_ablation_{given.name}", rows, given.out)


def _arms(idea: Idea, base: str, pair: int, data: Data, epochs: int) -> tuple[Job, Job]:
    """The trainings without and with the idea."""
    plain = {**BASES[base], **idea.replaces}
    return tuple(
        Job(_resolved({**plain, **settings}), pair, data, epochs)
        for settings in ({}, idea.settings)
    )


def _resolved(settings: Mapping[str, object]) -> Hyperparameters:
    parameters = {name: value for name, value in settings.items() if name != "architecture"}
    return resolve(str(settings["architecture"]), parameters)


def _row(base: str, without: Sequence[Recorded], with_it: Sequence[Recorded]) -> dict[str, object]:
    """One line of the table: accuracy in per cent, its differences in points."""
    return {
        "base": base,
        **paired(
            [100 * each.accuracy for each in without], [100 * each.accuracy for each in with_it]
        ),
        "loss": np.mean([each.loss for each in with_it]) - np.mean([each.loss for each in without]),
        "time": np.median([b.seconds / a.seconds for a, b in zip(without, with_it, strict=True)]),
    }


def paired(without: Sequence[float], with_it: Sequence[float]) -> dict[str, object]:
    """The mean difference of two arms with its interval, as cells of a table; per cent and points."""
    gained = np.subtract(with_it, without)
    error = gained.std(ddof=1) / np.sqrt(len(gained))
    df = len(gained) - 1
    half = stdtrit(df, 0.975) * error
    return {
        "pairs": len(gained),
        "without": np.mean(without),
        "difference": gained.mean(),
        "standard error": error,
        "95 %": f"{gained.mean() - half:+.2f} to {gained.mean() + half:+.2f}",
        "sees": (stdtrit(df, 0.975) + stdtrit(df, 0.8)) * error,
    }


def _read(path: Path) -> Recorded:
    return Recorded(**json.loads(path.read_text(encoding="utf-8")))


def _train(path: Path, job: Job) -> str:
    """Trains and records; seconds are those of the process' CPU."""
    from tuner.training.trial import Training

    if path.is_file():  # by another process
        return f"{path.stem} is there"
    learn, validation, measured = _rows(job.data, job.pair)
    started = time.process_time()
    training = Training(
        TrialSpec(0, job.hyperparameters, job.pair, job.epochs),
        train=learn,
        validation=validation,
        n_classes=2,
        keep_best=Metric(),
    )
    for _ in training.epochs():
        pass
    seconds = time.process_time() - started
    figures = training.finish(measured).figures
    write_atomically(path, json.dumps(asdict(Recorded(figures.accuracy, figures.loss, seconds))))
    return f"{path.stem}: {100 * figures.accuracy:.2f} %, epoch {figures.epoch}, {seconds:.0f} s"


@cache
def texts(source: str, tokens: TokenMode = TokenMode.WORDS) -> EncodedSequences:
    """All rows, each text once; the split they were encoded in plays no role."""
    splits = load_dataset(DataConfig(source=source, tokens=tokens)).splits.values()
    parts = [part for each in splits for part in np.split(each.tokens, each.offsets[1:-1])]
    labels = np.concatenate([each.labels for each in splits])
    first = list({part.tobytes(): number for number, part in enumerate(parts)}.values())
    kept = [parts[number] for number in first]
    return EncodedSequences(
        np.concatenate(kept), offsets_of(np.array([len(each) for each in kept])), labels[first]
    )


def _rows(data: Data, pair: int) -> tuple[EncodedSequences, EncodedSequences, EncodedSequences]:
    """Rows to learn from, to choose the epoch by (a fifth as many), and to measure on (the rest)."""
    rows = texts(data.source)
    order = np.random.default_rng(pair).permutation(len(rows))
    ends = np.cumsum([data.learn, data.learn // 5, MOST_MEASURED])
    learn, validation, measured = (rows.only(part) for part in np.split(order, ends)[:3])
    return learn, validation, measured


def _prepare() -> None:
    from tuner.training.devices import configure_device

    silence_tensorflow()
    configure_device(cpus=1, gpus=0)


if __name__ == "__main__":
    main()
