"""A real training whose labels are probabilities: what a model learns from other models.

Only a process that trains imports this module: it loads Keras.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tuner.training import trial
from tuner.training.keras_internals import make_variables, trace_prediction
from tuner.training.spec import EpochResult, TrialSpec
from tuner.training.steps import TrainSteps, fill_batch


class SoftTraining(trial.Training):
    """Trains as `Training` does, on TensorFlow and of two classes.

    Args:
        labels: `(n_sequences,)` float32, probability of the second class; n-grams begin with the sequences' own labels.
    """

    def __init__(self, spec: TrialSpec, labels: NDArray[np.float32], **data: Any) -> None:
        super().__init__(spec, **data)
        self._train = replace(self._train, labels=labels)

    def epochs(self) -> Iterator[EpochResult]:
        """See `Training.epochs`."""
        with patch.object(trial, "make_train_steps", _soft_steps):
            yield from super().epochs()


def _soft_steps(model: keras.Model, *, batch_size: int, **_: object) -> TrainSteps:
    make_variables(model, batch_size)

    def step(ids: Any, labels: Any, weights: Any) -> Any:
        model.reset_metrics()
        logs = model.train_step((ids, labels, weights))
        return tf.stack([logs["loss"], logs["accuracy"]])

    signature = (
        tf.TensorSpec((batch_size, None), tf.int32),
        tf.TensorSpec((batch_size, 1), tf.float32),
        tf.TensorSpec((batch_size,), tf.float32),
    )
    compiled = tf.function(step, input_signature=signature, autograph=False)
    compiled.get_concrete_function()
    trace_prediction(model)

    def learn(batches: Sequence[tuple[Any, Any]]) -> NDArray[np.floating[Any]]:
        return np.array([compiled(*fill_batch(*each, batch_size)).numpy() for each in batches])

    return learn
