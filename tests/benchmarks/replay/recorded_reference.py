"""The linear reference of a table's recording: what it answers on every row of the pool, and how long it takes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.files import atomic_file, make_folder

FOLDER = "references"  # beside the tables; a file has its table's name


@dataclass(frozen=True, eq=False)
class RecordedReference:
    """The reference trained on what a table's trainings learned from.

    Args:
        answers: as of one training at one point, see `table.Table`: `(n_pool,)` float16, or with an axis of classes.
        seconds: of one CPU core, to train it and to measure it on the pool.
    """

    answers: NDArray[np.float16]
    seconds: float


def load_reference(table: Path, labels: NDArray[np.int64] | None) -> RecordedReference | None:
    """That of a table with these labels; None where none was recorded."""
    path = table.parent / FOLDER / table.name
    if labels is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as archive:
        if not np.array_equal(archive["labels"], labels):
            return None  # of another recording
        return RecordedReference(archive["answers"], float(archive["seconds"]))


def save_reference(table: Path, reference: RecordedReference, labels: NDArray[np.int32]) -> Path:
    """Writes it beside the table's file."""
    path = table.parent / FOLDER / table.name
    make_folder(path.parent)
    with atomic_file(path) as fresh, fresh.open("wb") as file:
        np.savez_compressed(
            file,
            answers=reference.answers,
            seconds=reference.seconds,
            labels=labels.astype(np.int16),
        )
    return path
