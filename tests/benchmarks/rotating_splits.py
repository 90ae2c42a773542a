"""What `tuner search --rotate-validation` is worth: searches of equal cost on few texts, which differ in who validates.

    python tests/benchmarks/rotating_splits.py --rows 2000 --repetitions 16

Each repetition draws its rows and ten random configurations of the space `seed` anew. All is measured on up to 6,000
rows that are in none of the parts.

- one split: the same part validates all ten trainings; of these the five are chosen as a search chooses them.
- rotating: the parts validate the trainings by turns, so that all rows are learned from; the five are
  chosen as a search with `--rotate-validation` does.
- folds: as many configurations as ten trainings allow, each trained once per part.
- all rows: the five members of the first way trained again on all rows, as `tuner export --all-rows` does: five
  trainings more.

A part is a fifth of the rows; of a search with tuner's own splits it is an eighth, `--parts 8`. Differences are those
to one split of the same repetition, in points. `sees` is the effect that so many repetitions would have found in four
of five such measurements.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from benchmark_io import show
from numpy.typing import NDArray
from paired_ablation import MOST_MEASURED, paired, texts
from tutorial import silence_tensorflow

from tuner.data import EncodedSequences
from tuner.errors import TrialDiverged
from tuner.files import write_atomically
from tuner.search.kept_models import KeptModel, members_of
from tuner.settings.builtin import find_space
from tuner.settings.hyperparameters import Hyperparameters
from tuner.settings.metric import Metric
from tuner.settings.space import SearchSpace
from tuner.training.linear_reference import train_reference
from tuner.training.spec import TrialSpec, derive_seed

TRAININGS, MEMBERS = 10, 5
_LONGEST = 3  # tokens of an n-gram of the linear reference, as in a search
_BEFORE = "one split"


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training said: of the rows that chose its epoch, and of those that are measured."""

    configuration: int
    part: int
    accuracy: float
    loss: float
    epoch: int
    validation: NDArray[np.float32]  # `(rows, classes)`
    measured: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Repetition:
    """Rows and configurations, and the trainings that the ways need."""

    number: int
    source: str
    rows: int
    epochs: int
    parts: int

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        return np.random.default_rng(self.number).permutation(len(texts(self.source)))

    @cached_property
    def measured(self) -> EncodedSequences:
        """Rows that choose nothing."""
        return texts(self.source).only(self._places[self.rows : self.rows + MOST_MEASURED])

    @cached_property
    def configurations(self) -> list[Hyperparameters]:
        """Drawn as a random search draws them."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=self.number))
        space = _space(self.epochs)
        return [space.suggest(study.ask()) for _ in range(TRAININGS)]

    def part(self, number: int) -> EncodedSequences:
        """The rows that validate."""
        return texts(self.source).only(self._parts[number])

    def others(self, number: int) -> EncodedSequences:
        """All rows but those of the part."""
        others = [part for place, part in enumerate(self._parts) if place != number]
        return texts(self.source).only(np.concatenate(others))

    @property
    def all(self) -> EncodedSequences:
        """The rows of all parts."""
        return texts(self.source).only(np.concatenate(self._parts))

    @property
    def _parts(self) -> list[NDArray[np.int64]]:
        return np.array_split(self._places[: self.rows], self.parts)

    def train(self, configuration: int, part: int) -> Trained:
        """Learns from all parts but one; a diverged training answers nothing, and is never chosen."""
        validation = self.part(part)
        try:
            training = self._training(configuration, self.others(part), validation)
        except TrialDiverged:
            nothing = [
                np.full((len(rows), 2), 0.5, np.float32) for rows in (validation, self.measured)
            ]
            return Trained(configuration, part, 0.0, np.inf, 1, *nothing)
        chosen = training.finish(validation)
        return Trained(
            configuration,
            part,
            chosen.figures.accuracy,
            chosen.figures.loss,
            chosen.figures.epoch,
            chosen.probabilities,
            training.finish(self.measured).probabilities,
        )

    def train_on_all(self, trained: Trained) -> NDArray[np.float32]:
        """Trains the configuration again on all rows, to the epoch that was chosen."""
        training = self._training(trained.configuration, self.all, self.part(0), trained.epoch)
        return training.finish(self.measured).probabilities

    def _training(
        self,
        configuration: int,
        learn: EncodedSequences,
        validation: EncodedSequences,
        stop_after: int | None = None,
    ) -> Any:
        from tuner.training.trial import Training

        training = Training(
            TrialSpec(
                configuration,
                self.configurations[configuration],
                derive_seed(self.number, f"configuration {configuration}"),
                self.epochs,
                stop_after=stop_after,
                stops_within_schedule=stop_after is not None,
            ),
            train=learn,
            validation=validation,
            n_classes=2,
            keep_best=Metric(),
        )
        for _ in training.epochs():
            pass
        return training

    def reference(self, learn: EncodedSequences) -> NDArray[np.float32]:
        """The probabilities of a linear model of n-grams that learned from these rows."""
        return train_reference(learn, 2, longest=_LONGEST).probabilities_of(self.measured)


def main() -> None:
    """Trains the repetitions that are not recorded yet, and shows the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="rotten-tomatoes", help="a data set's name or a file")
    parser.add_argument("--rows", type=int, default=2000, help="to learn from and to choose by")
    parser.add_argument("--parts", type=int, default=5, help="of the rows, of which one validates")
    parser.add_argument("--epochs", type=int, default=5, help="of a training, the best is taken")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--gpu", action="store_true", help="the processes share a GPU")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/rotating_splits"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    texts(given.data)  # so that no process has to encode them
    name = f"{Path(given.data).stem}-{given.rows}-{given.parts}-{given.epochs}"
    jobs = {
        given.out / f"{name}-{number}.json": Repetition(
            number, given.data, given.rows, given.epochs, given.parts
        )
        for number in range(given.repetitions)
    }
    todo = [(path, job) for path, job in jobs.items() if not path.is_file()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        given.processes, mp_context=context, initializer=_prepare, initargs=(given.gpu,)
    ) as pool:
        for line in pool.map(_record, *zip(*todo, strict=True)) if todo else ():
            sys.stderr.write(f"{line}\n")
    found = [json.loads(path.read_text(encoding="utf-8")) for path in jobs]
    show(
        f"rotating_splits_{Path(given.data).stem}_{given.rows}_{given.parts}",
        _table(found),
        given.out,
    )


def _table(found: Sequence[Mapping[str, Mapping[str, float]]]) -> list[dict[str, object]]:
    """A line per way and what is handed over: accuracy in per cent, differences in points."""
    return [
        {
            "handed over": handed_over,
            "way": way,
            **paired(
                [each[handed_over][_BEFORE] for each in found],
                [each[handed_over][way] for each in found],
            ),
        }
        for handed_over in found[0]
        for way in found[0][handed_over]
        if way != _BEFORE
    ]


def _record(path: Path, repetition: Repetition) -> str:
    """Trains and writes what each way hands over, in per cent that are right."""
    parts = range(repetition.parts)
    one = [repetition.train(number, 0) for number in range(TRAININGS)]
    rotating = [repetition.train(number, number % len(parts)) for number in range(TRAININGS)]
    folded = range(max(1, TRAININGS // len(parts)))
    folds = [[repetition.train(number, part) for part in parts] for number in folded]
    of_better = min(folds, key=lambda trained: np.mean([each.loss for each in trained]))
    of_one, of_rotating = _chosen(one, repetition.part(0).labels), _chosen(rotating, None)
    again = [repetition.train_on_all(each) for each in of_one]
    references = [repetition.reference(repetition.others(part)) for part in parts]
    of_all = repetition.reference(repetition.all)

    def right(*answers: NDArray[np.float32]) -> float:
        mean = np.mean(answers, axis=0)
        return 100 * float(np.mean(mean.argmax(axis=1) == repetition.measured.labels))

    def with_reference(
        members: Sequence[NDArray[np.float32]], *reference: NDArray[np.float32]
    ) -> float:
        return right(np.mean(members, axis=0), np.mean(reference, axis=0))

    best_of_one, best_of_rotating = (
        [each.measured for each in trained] for trained in (of_one, of_rotating)
    )
    better_folds = [each.measured for each in of_better]
    figures = {
        "best single": {
            _BEFORE: right(best_of_one[0]),
            "rotating": right(best_of_rotating[0]),
            "all rows": right(again[0]),
        },
        "five averaged": {
            _BEFORE: right(*best_of_one),
            "rotating": right(*best_of_rotating),
            "folds": right(*better_folds),
            "all rows": right(*again),
        },
        "all ten averaged": {
            _BEFORE: right(*(each.measured for each in one)),
            "rotating": right(*(each.measured for each in rotating)),
            "folds": right(*(each.measured for trained in folds for each in trained)),
        },
        "linear reference": {
            _BEFORE: right(references[0]),
            "rotating": right(*references),
            "all rows": right(of_all),
        },
        "five with the reference": {
            _BEFORE: with_reference(best_of_one, references[0]),
            "rotating": with_reference(best_of_rotating, *references),
            "folds": with_reference(better_folds, *references),
            "all rows": with_reference(again, of_all),
        },
    }
    write_atomically(path, json.dumps(figures))
    return f"{path.stem}: {figures['five averaged']}"


def _chosen(trained: Sequence[Trained], labels: NDArray[np.int32] | None) -> list[Trained]:
    """Those that a search would average, the best first.

    Args:
        labels: of the rows that validated all of them; None where parts took turns.
    """
    kept = sorted(
        KeptModel(
            cost=-each.accuracy,
            trial=number,
            score=each.accuracy,
            epoch=each.epoch,
            weights=0,
            seconds_per_text=None,
            probabilities=each.measured,
            validation=each.validation,
            val_loss=each.loss,
            part=each.part,
        )
        for number, each in enumerate(trained)
    )
    return [trained[each.trial] for each in members_of(kept, MEMBERS, labels)]


def _space(epochs: int) -> SearchSpace:
    """The space `seed` without recurrent dropout, which no GPU has a fast form of."""
    mapping = find_space("seed").to_mapping()
    slow = "lstm_recurrent_dropout"
    architectures = {name: each for name, each in mapping["architectures"].items() if name != slow}
    changed = {"architectures": architectures, "baselines": [], "max_epochs": epochs}
    return SearchSpace.from_mapping({**mapping, **changed}, "seed")


def _prepare(gpu: bool) -> None:
    from tuner.execution.mps import ensure
    from tuner.nvidia import MpsMode
    from tuner.training.devices import configure_device

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    silence_tensorflow()
    if gpu:
        ensure(MpsMode.AUTO)
    configure_device(cpus=1, gpus=int(gpu))


if __name__ == "__main__":
    main()
