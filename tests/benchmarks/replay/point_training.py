"""A real training that is measured at points of it, inside epochs, too.

Only a recording process imports this module: it loads Keras.
"""

import math
from collections.abc import Callable, Generator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data import EncodedSequences
from tuner.run.epoch_parts import EpochPart
from tuner.training.evaluation import Evaluation
from tuner.training.spec import TrialSpec
from tuner.training.trial import Training

from .recording import Job, Measured


def train_at_points(
    job: Job,
    max_epochs: int,
    points: Sequence[Fraction],
    learn: EncodedSequences,
    pool: EncodedSequences,
    n_classes: int,
    *,
    clock: Callable[[], float],
) -> Measured:
    """One whole training, measured on `pool` at each of `points`.

    Args:
        clock: seconds, see `recording.record`.

    Raises:
        TrialFailed, TrialDiverged: it cannot be trained.
    """
    training = PointTraining(
        job.spec(max_epochs),
        points=points,
        clock=clock,
        train=learn,
        validation=pool,
        n_classes=n_classes,
    )
    for _ in training.epochs():
        pass
    return training.measured()


class PointTraining(Training):
    """Trains exactly as `Training` does: a look at the model changes nothing, and the schedule is the whole one's."""

    def __init__(
        self,
        spec: TrialSpec,
        *,
        points: Sequence[Fraction],
        clock: Callable[[], float],
        **data: Any,
    ) -> None:
        self._clock = clock
        self._began_at = clock()
        super().__init__(spec, **data)
        self._points = list(points)
        self._building_s: float | None = None
        self._trained_s = 0.0
        self._steps = 0
        self._since = 0.0
        self._training_s: list[float] = []
        self._evaluation_s: list[float] = []
        self._losses: list[float] = []
        self._answers: list[NDArray[np.float16]] = []

    def measured(self) -> Measured:
        """What was measured; all epochs are trained."""
        assert self._building_s is not None
        assert len(self._answers) == len(self._points)
        return Measured(
            steps=self._steps,
            weights=self.weights,
            building_s=round(self._building_s, 3),
            training_s=[round(seconds, 3) for seconds in self._training_s],
            evaluation_s=[round(seconds, 3) for seconds in self._evaluation_s],
            loss=[round(loss, 5) for loss in self._losses],
            answers=np.stack(self._answers),
        )

    def _train_epoch(
        self, epoch: int, every_s: float
    ) -> Generator[EpochPart, None, tuple[float, float]]:
        self._since = self._clock()
        if self._building_s is None:  # it ends when the first step is traced
            self._building_s = self._since - self._began_at
        figures = yield from super()._train_epoch(epoch, every_s)
        self._trained_s += self._clock() - self._since
        return figures

    def _after_steps(self, epoch: int, made: int, of: int) -> None:
        self._steps = (epoch - 1) * of + made
        whole = of * self._spec.max_epochs
        while (point := self._points[len(self._answers)]) * self._spec.max_epochs < epoch:
            if self._steps < math.ceil(point * whole):
                break
            self._trained_s += self._clock() - self._since
            # Keras' recurrent dropout draws from its random state where it drops nothing, too.
            random_states = [(each, each.numpy()) for each in self._random_states()]
            self._evaluate(epoch)
            for variable, state in random_states:
                variable.assign(state)
            self._since = self._clock()

    def _random_states(self) -> list[Any]:
        weights = {id(weight) for weight in self._model.weights}
        return [each for each in self._model.variables if id(each) not in weights]

    def _evaluate(self, epoch: int) -> Evaluation:
        started = self._clock()
        evaluation = super()._evaluate(epoch)
        self._evaluation_s.append(self._clock() - started)
        self._training_s.append(self._trained_s)
        self._losses.append(evaluation.loss)
        probabilities = evaluation.probabilities
        kept = probabilities[:, 1] if self._n_classes == 2 else probabilities
        self._answers.append(kept.astype(np.float16))
        return evaluation
