"""Tables made by hand, of which the right answer is known."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from benchmarks.replay.draw import Draw
from benchmarks.replay.table import Table
from numpy.typing import NDArray

from tuner.settings.space import SearchSpace


def space_of(epochs: int) -> SearchSpace:
    """One architecture with one parameter."""
    return SearchSpace.from_mapping(
        {
            "name": "made",
            "max_epochs": epochs,
            "architectures": {"lstm": {"learning_rate": {"float": [0.001, 0.1]}}},
        },
        "made",
    )


def made_table(
    accuracies: NDArray[np.float64],
    *,
    n_pool: int = 100,
    epoch_s: Sequence[float] | float = 1.0,
    building_s: float = 0.0,
) -> Table:
    """A table of one seed; learning rates rise with the configuration's number.

    Args:
        accuracies: `(n, epochs)`, of which the rows that are right are drawn at random.
        epoch_s: of each configuration.
    """
    n, epochs = accuracies.shape
    rng = np.random.default_rng(0)
    seconds = np.broadcast_to(epoch_s, n)[:, None, None] * np.arange(1.0, epochs + 1)
    return Table(
        name="made",
        space=space_of(epochs),
        points=tuple(Fraction(epoch, epochs) for epoch in range(1, epochs + 1)),
        parameters=tuple(
            {"architecture": "lstm", "learning_rate": float(rate)}
            for rate in np.linspace(0.001, 0.1, n)
        ),
        weights=np.arange(n),
        building_s=np.full((n, 1), building_s),
        training_s=seconds,
        evaluation_s=np.zeros((n, 1, epochs)),
        loss=1 - accuracies[:, None, :],
        right=rng.random((n, 1, epochs, n_pool)) < accuracies[:, None, :, None],
    )


def plain_draw(table: Table) -> Draw:
    """Configurations in their order; the first half of the pool validates, the second measures."""
    rows = np.arange(table.n_pool)
    validation, truth = np.split(rows, 2)
    return Draw(
        number=0,
        validation=validation,
        confirmation=rows[:0],
        truth=truth,
        seeds=np.zeros(table.n_configurations, np.int64),
        order=np.arange(table.n_configurations),
        validation_accuracy=table.right[:, 0][..., validation].mean(axis=-1, dtype=np.float32),
    )
