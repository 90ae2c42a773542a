"""How often each class was predicted as which: the one home of precision, recall and F1, in training and in tests.

NumPy and not scikit-learn, whose import would cost every worker 3 CPU seconds and 70 MB
(`docs/decisions/08-scipy-not-scikit-learn.md`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts of true and predicted classes; figures per class are `(n_classes,)`, 0 where they are not defined."""

    counts: NDArray[
        np.int64
    ]  # (n_classes, n_classes): one row per true class, one column per predicted one

    @classmethod
    def of(
        cls, labels: NDArray[np.int32], predicted: NDArray[np.int64], n_classes: int
    ) -> "Confusion":
        """The counts of `(n,)` true and `(n,)` predicted classes."""
        pairs = labels.astype(np.int64) * n_classes + predicted
        return cls(np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes))

    @property
    def hits(self) -> NDArray[np.int64]:
        """How often each class was recognised."""
        return self.counts.diagonal()

    @property
    def labelled(self) -> NDArray[np.int64]:
        """How many sequences each class has."""
        labelled: NDArray[np.int64] = self.counts.sum(axis=1)
        return labelled

    @property
    def predicted(self) -> NDArray[np.int64]:
        """How often each class was predicted."""
        predicted: NDArray[np.int64] = self.counts.sum(axis=0)
        return predicted

    @property
    def occurrences(self) -> NDArray[np.int64]:
        """How often each class was labelled and predicted together."""
        return self.labelled + self.predicted

    @property
    def precision(self) -> NDArray[np.float64]:
        """The share of the sequences predicted as a class that have it."""
        return _share(self.hits, self.predicted)

    @property
    def recall(self) -> NDArray[np.float64]:
        """The share of the sequences of a class that are predicted as it."""
        return _share(self.hits, self.labelled)

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall."""
        return _share(2 * self.hits, self.occurrences)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that occur as label or prediction."""
        return float(self.f1[self.occurrences > 0].mean())

    @property
    def f1_positive(self) -> float:
        """The F1 of the second class."""
        return float(self.f1[1])

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that are labelled."""
        return float(self.recall[self.labelled > 0].mean())


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)  # the part of nothing is 0
