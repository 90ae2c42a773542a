"""What `tuner export --all-rows` is worth: pairs of trainings, of which one learns from the held-out rows, too.

    python tests/benchmarks/all_rows.py --data rotten-tomatoes --learn 4000 --all 5714 --models lstm reference

The first training of a pair chooses its epoch on a fifth as many further rows. The second one has the same seed, learns
from all of these and more, and stops after that epoch of the same schedule, as an export has it. Both are measured on
the same rows, which are in neither. Each pair draws its rows anew. `loss` is that at the temperature which the first
model was given by the rows that chose its epoch: an export keeps it.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmark_io import show
from numpy.typing import NDArray
from paired_ablation import BASES, MOST_MEASURED, _resolved, paired, texts
from tutorial import silence_tensorflow

from tuner.data import EncodedSequences
from tuner.files import write_atomically
from tuner.settings.metric import Metric
from tuner.training.evaluation import evaluation_of
from tuner.training.linear_reference import train_reference
from tuner.training.spec import TrialSpec
from tuner.training.temperature import fit_temperature, tempered

_REFERENCE = "reference"
_LONGEST = 3  # tokens of an n-gram, as in a search


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one pair."""

    learn: EncodedSequences
    chosen_by: EncodedSequences  # the epoch, and the temperature
    all: EncodedSequences  # both of these and more
    measured: EncodedSequences


@dataclass(frozen=True)
class Measured:
    """A pair: each time the training that learned from fewer rows first."""

    accuracy: tuple[float, float]
    loss: tuple[float, float]
    epoch: int
    seconds: tuple[float, float]


def main() -> None:
    """Trains the pairs that are not recorded yet, and shows the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="rotten-tomatoes", help="a data set's name or a file")
    parser.add_argument("--learn", type=int, default=4000, help="rows that the first learns from")
    parser.add_argument("--all", type=int, default=5714, help="rows that the second learns from")
    parser.add_argument("--models", nargs="+", choices=[*BASES, _REFERENCE], default=["lstm"])
    parser.add_argument("--epochs", type=int, default=4, help="of the first, the best is taken")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/all_rows"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    _prepare()
    table = []
    for model in given.models:
        pairs = []
        for pair in range(given.pairs):
            name = f"{Path(given.data).stem}-{model}-{given.learn}-{given.all}-{given.epochs}-{pair}.json"
            path = given.out / name
            if not path.is_file():
                measured = _measure(
                    model, _rows(given.data, given.learn, given.all, pair), pair, given.epochs
                )
                write_atomically(path, json.dumps(asdict(measured)))
            pairs.append(Measured(**json.loads(path.read_text(encoding="utf-8"))))
            sys.stderr.write(f"{model}, pair {pair}: {pairs[-1]}\n")
        table.append({"model": model, **_row(pairs)})
    show(f"all_rows_{Path(given.data).stem}_{given.learn}_{given.all}", table, given.out)


def _row(pairs: list[Measured]) -> dict[str, object]:
    """Accuracy in per cent, its differences in points; the loss' difference with its standard error."""
    right = 100 * np.array([each.accuracy for each in pairs])
    added = np.diff([each.loss for each in pairs])[:, 0]
    return {
        **paired(right[:, 0], right[:, 1]),
        "loss": added.mean(),
        "its error": added.std(ddof=1) / np.sqrt(len(added)),
        "epoch": np.median([each.epoch for each in pairs]),
        "time": np.median([each.seconds[1] / each.seconds[0] for each in pairs]),
    }


def _rows(source: str, learn: int, of_all: int, pair: int) -> Rows:
    rows = texts(source)
    order = np.random.default_rng(pair).permutation(len(rows))
    held = learn + learn // 5
    if not held <= of_all < len(rows):
        raise SystemExit(f"--all: must be from {held} to {len(rows) - 1}, got {of_all}")
    return Rows(
        learn=rows.only(order[:learn]),
        chosen_by=rows.only(order[learn:held]),
        all=rows.only(order[:of_all]),
        measured=rows.only(order[of_all : of_all + MOST_MEASURED]),
    )


def _measure(model: str, rows: Rows, pair: int, epochs: int) -> Measured:
    train = _references if model == _REFERENCE else _trainings
    chosen_by, both, epoch, seconds = train(model, rows, pair, epochs)
    temperature = fit_temperature(chosen_by, rows.chosen_by.labels)
    found = [evaluation_of(tempered(each, temperature), rows.measured.labels) for each in both]
    return Measured(
        accuracy=(found[0].accuracy, found[1].accuracy),
        loss=(found[0].loss, found[1].loss),
        epoch=epoch,
        seconds=seconds,
    )


# The first model's probabilities on the rows that choose, those of both on the rows that measure, epoch, and seconds.
_Found = tuple[NDArray[np.float32], list[NDArray[np.float32]], int, tuple[float, float]]


def _references(_: str, rows: Rows, pair: int, epochs: int) -> _Found:
    models, seconds = [], []
    for learn in (rows.learn, rows.all):
        began = time.process_time()
        models.append(train_reference(learn, int(rows.all.labels.max()) + 1, longest=_LONGEST))
        seconds.append(time.process_time() - began)
    first = models[0].probabilities_of(rows.chosen_by)
    both = [each.probabilities_of(rows.measured) for each in models]
    return first, both, 0, (seconds[0], seconds[1])


def _trainings(model: str, rows: Rows, pair: int, epochs: int) -> _Found:
    from tuner.training.trial import Training

    def train(spec: TrialSpec, learn: EncodedSequences) -> tuple[Training, float]:
        began = time.process_time()
        training = Training(
            spec, train=learn, validation=rows.chosen_by, n_classes=2, keep_best=Metric()
        )
        for _ in training.epochs():
            pass
        return training, time.process_time() - began

    hyperparameters = _resolved(BASES[model])
    training, before = train(TrialSpec(0, hyperparameters, pair, epochs), rows.learn)
    chosen_by = training.finish(rows.chosen_by)
    first = training.finish(rows.measured)
    epoch = chosen_by.figures.epoch
    spec = TrialSpec(0, hyperparameters, pair, epochs, stop_after=epoch, stops_within_schedule=True)
    training, after = train(spec, rows.all)
    second = training.finish(rows.measured)
    return (
        chosen_by.probabilities,
        [first.probabilities, second.probabilities],
        epoch,
        (before, after),
    )


def _prepare() -> None:
    from tuner.training.devices import configure_device

    silence_tensorflow()
    configure_device(cpus=1, gpus=0)


if __name__ == "__main__":
    main()
