"""A table of recorded trainings: what each model answered on every row of a pool, at points of its training.

Searches are replayed on it (see `virtual_search.py`). A table holds either probabilities or, if it was recorded with
less, whether each row was right. Both answer the same questions.

The file is an npz archive. `about` is JSON: the space, the points, and one entry per training with its parameters,
seconds and losses. The array of a training's key holds its answers at every point:

    (n_points, n_pool) float16             probability of class 1 of two; with `labels` (n_pool,)
    (n_points, n_pool, n_classes) float16  probabilities of more classes; with `labels` (n_pool,)
    (n_points, ceil(n_pool / 8)) uint8     right or wrong per row, packed as `np.packbits` does; of two classes

Where `about` says that they are coarse, probabilities are uint8, as `coarse.py` has them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.files import atomic_file
from tuner.settings.space import ARCHITECTURE, SearchSpace

from .coarse import from_bytes, to_bytes
from .recorded_reference import RecordedReference, load_reference

_FORMAT = 1


@dataclass(frozen=True)
class RecordedTraining:
    """One training's entry in `about`. Lists have one value per point; seconds are those of one CPU core."""

    key: str
    configuration: int  # trainings of one configuration differ in their seed
    seed: int
    parameters: Mapping[str, Any]  # as the study names them
    steps: int
    weights: int
    building_s: float
    training_s: Sequence[float]  # so far, without building and evaluation
    evaluation_s: Sequence[float]  # of the whole pool, each time
    loss: Sequence[float]  # mean over the pool

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "RecordedTraining":
        """The training of an entry, which may say more."""
        return cls(**{field.name: entry[field.name] for field in fields(cls)})

    def at_points(self, places: Sequence[int]) -> "RecordedTraining":
        """The same with some of its points only."""
        names = ("training_s", "evaluation_s", "loss")
        kept = {name: [getattr(self, name)[place] for place in places] for name in names}
        return replace(self, **kept)


@dataclass(frozen=True, eq=False)
class Table:
    """Recorded trainings of `n` configurations with `n_seeds` seeds each.

    Args:
        points: the shares of a training after which it was measured, ascending; each epoch's end is one of them.
        parameters: of each configuration, as the study names them.
        building_s: `(n, n_seeds)`.
        training_s, evaluation_s, loss: `(n, n_seeds, n_points)`, as in `RecordedTraining`.
        right: `(n, n_seeds, n_points, n_pool)` bool.
        probabilities: the same float16, of class 1, or with one more axis of classes; None where they are not known.
        labels: `(n_pool,)`; None where they are not known.
        reference: the linear one; None where it was not recorded.
    """

    name: str
    space: SearchSpace
    points: tuple[Fraction, ...]
    parameters: tuple[Mapping[str, Any], ...]
    weights: NDArray[np.int64]
    building_s: NDArray[np.float64]
    training_s: NDArray[np.float64]
    evaluation_s: NDArray[np.float64]
    loss: NDArray[np.float64]
    right: NDArray[np.bool_]
    probabilities: NDArray[np.float16] | None = None
    labels: NDArray[np.int64] | None = None
    reference: RecordedReference | None = None

    @property
    def n_configurations(self) -> int:
        """How many configurations were recorded."""
        return len(self.parameters)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Each configuration's architecture."""
        return tuple(each[ARCHITECTURE] for each in self.parameters)

    @property
    def n_seeds(self) -> int:
        """How often each was trained."""
        return int(self.right.shape[1])

    @property
    def n_pool(self) -> int:
        """How many rows each model was asked about."""
        return int(self.right.shape[3])

    @property
    def n_classes(self) -> int:
        """How many classes the rows have."""
        has_classes = self.probabilities is not None and self.probabilities.ndim == 5
        return self.probabilities.shape[4] if has_classes else 2

    @cached_property
    def epoch_points(self) -> tuple[int, ...]:
        """Of each epoch, the place of its end among the points."""
        epochs = self.space.max_epochs
        return tuple(self.points.index(Fraction(epoch, epochs)) for epoch in range(1, epochs + 1))

    def answers(
        self, configuration: int, seed: int, point: int, rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """One model's answers on some rows: what an average is made of, see `accuracy_of`."""
        kept = self.right if self.probabilities is None else self.probabilities
        return kept[configuration, seed, point][rows].astype(np.float32)

    def accuracy_of(self, answers: Sequence[NDArray[np.float32]], rows: NDArray[np.int64]) -> float:
        """The accuracy of the models' plain average on `rows`."""
        return float(self.accuracies_of(np.sum(answers, axis=0)[None], len(answers), rows)[0])

    def accuracies_of(
        self, sums: NDArray[np.float32], count: int, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The accuracies on `rows` of averages whose `count` answers each add up to `sums`, `(n_averages, n_rows, …)`.

        Without probabilities models vote; a tie is half right.
        """
        average = sums / count
        if self.probabilities is None:
            shares: NDArray[np.float64] = (average > 0.5).mean(axis=1) + (average == 0.5).mean(
                axis=1
            ) / 2
            return shares
        assert self.labels is not None
        predicted = average > 0.5 if average.ndim == 2 else average.argmax(axis=2)
        return np.asarray((predicted == self.labels[rows]).mean(axis=1))


def load_table(path: Path) -> Table:
    """The table in a file; configurations that have fewer seeds than others are left out."""
    with np.load(path, allow_pickle=False) as archive:
        about = json.loads(str(archive["about"]))
        labels = archive["labels"].astype(np.int64) if "labels" in archive.files else None
        trainings = [RecordedTraining.of(entry) for entry in about["trainings"]]
        by_configuration: dict[int, list[RecordedTraining]] = {}
        for training in sorted(trainings, key=lambda each: (each.configuration, each.seed)):
            by_configuration.setdefault(training.configuration, []).append(training)
        n_seeds = max(map(len, by_configuration.values()))
        grid = [row for row in by_configuration.values() if len(row) == n_seeds]
        answers = np.array([[archive[training.key] for training in row] for row in grid])

    def numbers(name: str) -> NDArray[np.float64]:
        return np.array([[getattr(each, name) for each in row] for row in grid], np.float64)

    if about.get("coarse"):
        answers = from_bytes(answers, has_classes=answers.ndim == 5)
    if answers.dtype == np.uint8:
        right = np.unpackbits(answers, axis=3)[..., : about["n_pool"]].astype(bool)
    elif answers.ndim == 4:
        right = (answers > 0.5) == labels
    else:
        right = answers.argmax(axis=4) == labels
    return Table(
        name=about["name"],
        space=SearchSpace.from_mapping(about["space"], str(path)),
        points=tuple(map(Fraction, about["points"])),
        parameters=tuple(row[0].parameters for row in grid),
        weights=np.array([row[0].weights for row in grid], np.int64),
        building_s=numbers("building_s"),
        training_s=numbers("training_s"),
        evaluation_s=numbers("evaluation_s"),
        loss=numbers("loss"),
        right=right,
        probabilities=None if answers.dtype == np.uint8 else answers,
        labels=labels,
        reference=load_reference(path, labels),
    )


def save_table(
    path: Path,
    *,
    name: str,
    space: SearchSpace,
    points: Sequence[Fraction],
    trainings: Sequence[RecordedTraining],
    answers: Mapping[str, NDArray[Any]],
    labels: NDArray[Any] | None,
    n_pool: int,
    coarse: bool = False,
) -> None:
    """Writes a table's file.

    Args:
        answers: the array of each training's key.
        coarse: probabilities take one byte each.
    """
    about = {
        "format": _FORMAT,
        "name": name,
        "space": space.to_mapping(),
        "points": list(map(str, points)),
        "n_pool": n_pool,
        "coarse": coarse,
        "trainings": [vars(training) for training in trainings],
    }
    kept = {key: to_bytes(each) if coarse else each for key, each in answers.items()}
    arrays = kept if labels is None else {"labels": labels, **kept}
    with atomic_file(path) as fresh, fresh.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
