"""An outcome's true accuracy as a search goes on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Course:
    """An outcome's true accuracy over time: `values[i]` from `at_s[i]` on. It begins at 0 s with a guess."""

    at_s: NDArray[np.float64]
    values: NDArray[np.float64]

    def at(self, seconds: float) -> float:
        """The accuracy at a moment."""
        return float(self.at_all(np.array([seconds]))[0])

    def at_all(self, moments_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The accuracies at moments, `(n,)`."""
        return self.values[np.searchsorted(self.at_s, moments_s, side="right") - 1]


class GrowingCourse:
    """A course while it is measured; begins with a guess among so many classes."""

    def __init__(self, n_classes: int) -> None:
        self._at_s = [0.0]
        self._values = [1 / n_classes]

    def add(self, seconds: float, value: float) -> None:
        """From a moment on, which is not before the last one, the accuracy is `value`."""
        if value != self._values[-1]:
            self._at_s.append(seconds)
            self._values.append(value)

    def ended(self) -> Course:
        """All of it."""
        return Course(np.array(self._at_s), np.array(self._values))
