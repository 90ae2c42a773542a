"""Short real trainings of a few configurations with many seeds each, recorded as a table.

They train on 1,500 sentences through tuner's own training, and are measured on all the others after every epoch.
"""

import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from tuner.settings.space import SearchSpace

from .recording import (
    Plan,
    labels_of,
    load_sequences,
    missing,
    open_folder,
    pack,
    record_one,
    record_reference,
)
from .table import Table, load_table

SPACE = {
    "name": "many_seeds",
    "max_epochs": 3,
    "shared": {
        "learning_rate": {"float": [1.0e-3, 1.0e-2], "log": True},
        "embedding_size": {"int": [8, 32], "log": True},
        "lstm_units": {"int": [8, 32], "log": True},
        "batch_size": {"choice": [32, 64]},
        "vocabulary_size": 5000,
        "max_length": 40,
        "ngrams": {"choice": [0, 2]},
    },
    "architectures": {
        "lstm": {},
        "lstm_dropout": {
            "embedding_dropout": {"float": [0.1, 0.5]},
            "output_dropout": {"float": [0.1, 0.5]},
        },
        "cnn_lstm": {
            "filters": {"int": [8, 32], "log": True},
            "kernel_size": {"int": [2, 4]},
            "pool_size": {"int": [2, 3]},
        },
    },
}
CONFIGURATIONS, SEEDS = 10, 40


class EpochEnds(Plan):
    """A recording that measures after each epoch only."""

    @property
    def points(self) -> tuple[Fraction, ...]:
        """See `Plan`."""
        epochs = self.space.max_epochs
        return tuple(Fraction(epoch, epochs) for epoch in range(1, epochs + 1))


PLAN = EpochEnds(
    name="rotten_tomatoes_many_seeds",
    space=SearchSpace.from_mapping(SPACE, "many_seeds"),
    source="rotten-tomatoes",
    tokens="words",
    n_learn=1500,
    n_pool=7000,
    configurations=CONFIGURATIONS,
    seeds=SEEDS,
)


def many_seeds(folder: Path, *, configurations: int, seeds: int) -> Table:
    """The table in `folder`; what is missing of it is trained first, in this process.

    Trainings that were recorded stay, so that an ended recording goes on.
    """
    plan = replace(PLAN, configurations=configurations, seeds=seeds)
    open_folder(folder, plan)
    jobs = missing(folder, plan)
    if jobs:
        from .point_training import train_at_points

        data = load_sequences(folder, plan)
        for done, job in enumerate(jobs, start=1):
            line = record_one(
                folder,
                job,
                lambda job: train_at_points(
                    job, plan.space.max_epochs, plan.points, *data, clock=time.process_time
                ),
            )
            sys.stderr.write(f"{done} of {len(jobs)}: {line}\n")
    path = folder / "table.npz"
    pack(folder, plan, path, labels_of(folder, plan))
    record_reference(folder, plan, path)
    return load_table(path)
