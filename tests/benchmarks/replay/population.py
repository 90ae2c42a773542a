"""Recorded trainings as a population: its seeds and rows are all that there are, so every truth is known exactly.

A drawn confirmation takes seeds and rows with replacement, as if from an endless population of these. Drawn without
replacement, a part of them would tell more of the whole than the intervals may promise.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuner.settings.metric import Metric, MetricName
from tuner.training.statistics import sequence_scores

from .table import Table

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """One recorded model."""

    configuration: int
    seed: int
    epoch: int  # counted from 0


@dataclass(frozen=True, eq=False)
class Population:
    """All recorded models and rows of a table that has probabilities."""

    table: Table
    metric: Metric = field(default_factory=Metric)

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Of all rows, `(n_pool,)`."""
        assert self.table.labels is not None
        return self.table.labels.astype(np.int32)

    @cached_property
    def reference(self) -> NDArray[np.float32] | None:
        """The probabilities of the linear one, `(n_pool, n_classes)`; None where it was not recorded."""
        kept = self.table.reference
        return None if kept is None else _columns(kept.answers)

    @cached_property
    def every(self) -> Rows:
        """All rows."""
        return np.arange(self.table.n_pool)

    @cached_property
    def truths(self) -> NDArray[np.float64]:
        """The score of every model on all rows, `(n, n_seeds, n_epochs)`."""
        return np.stack(
            [self.scores(each, self.every) for each in range(self.table.n_configurations)]
        )

    def rows(self, rng: np.random.Generator, count: int) -> Rows:
        """So many rows, drawn with replacement."""
        return rng.integers(self.table.n_pool, size=count)

    def probabilities(self, model: Model, rows: Rows) -> NDArray[np.float32]:
        """What a model answers on rows, `(n_rows, n_classes)`."""
        point = self.table.epoch_points[model.epoch]
        return _columns(self.table.answers(model.configuration, model.seed, point, rows))

    def score(self, probabilities: NDArray[np.float32], rows: Rows) -> float:
        """The metric of probabilities on rows."""
        return float(sequence_scores(self.metric.name, probabilities, self.labels[rows]).mean())

    def scores(
        self, configuration: int, rows: Rows, seeds: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """The score of models of a configuration on rows, `(n_seeds, n_epochs)`; by default of all seeds."""
        seeds = np.arange(self.table.n_seeds) if seeds is None else seeds
        epochs = self.table.epoch_points
        if self.metric.name is MetricName.VAL_ACCURACY:
            right = self.table.right[configuration][np.ix_(seeds, epochs)]
            return np.asarray(right[..., rows].mean(axis=2))
        return np.array(
            [
                [self._score(configuration, int(s), e, rows) for e in range(len(epochs))]
                for s in seeds
            ]
        )

    def _score(self, configuration: int, seed: int, epoch: int, rows: Rows) -> float:
        return self.score(self.probabilities(Model(configuration, seed, epoch), rows), rows)

    def best_epochs(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Of each seed's `scores`, `(n_seeds, n_epochs)`, the best epoch; the earliest of equals."""
        return (scores * -self.metric.gain(1.0, over=0.0)).argmin(axis=1)


def _columns(answers: NDArray[np.floating]) -> NDArray[np.float32]:
    """`(n, n_classes)`, also of two classes."""
    found = answers.astype(np.float32)
    return found if found.ndim == 2 else np.stack([1 - found, found], axis=1)
