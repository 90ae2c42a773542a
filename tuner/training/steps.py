"""One training step, compiled once per trial.

Batches differ in width, and the last one in size. Keras' own functions trace a TensorFlow graph for
the first shape and again for the second, 1-3 s each; here TensorFlow gets one signature with the
width open and the size fixed, which also makes a step 3-14 % faster than with both open. Other
backends go through Keras' `train_on_batch`, where a fixed size spares a compilation, too.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tuner.errors import TrialFailed
from tuner.training.keras_internals import make_variables, trace_prediction

Ids = NDArray[np.int32]  # (batch, time), right-padded with 0
Labels = NDArray[np.int32]  # (batch,)
# Learns from one batch of at most `batch_size`; gives its mean loss and accuracy, before the weights
# moved.
TrainStep = Callable[[Ids, Labels], tuple[float, float]]
_FilledStep = Callable[[Ids, Labels, NDArray[np.float32]], tuple[float, float]]


def make_train_step(
    model: keras.Model, *, batch_size: int, adversarial_noise: float = 0.0
) -> TrainStep:
    """The step that trains the compiled `model`; makes its `predict_on_batch` trace once, too.

    Args:
        adversarial_noise: norm of the adversarial noise on embeddings, as a share of theirs; 0 for none.

    Raises:
        TrialFailed: the backend has no adversarial noise.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    if adversarial_noise and not on_tensorflow:
        raise TrialFailed(
            f"adversarial_noise: needs KERAS_BACKEND=tensorflow, got {keras.backend.backend()}; set it to 0"
        )
    learn = (
        _tensorflow_step(model, batch_size, adversarial_noise)
        if on_tensorflow
        else _portable_step(model)
    )

    def step(ids: Ids, labels: Labels) -> tuple[float, float]:
        return learn(*fill_batch(ids, labels, batch_size))

    return step


def fill_batch(
    ids: Ids, labels: Labels, batch_size: int
) -> tuple[Ids, Labels, NDArray[np.float32]]:
    """The batch with `batch_size` rows: ids, labels `(batch_size, 1)`, weights `(batch_size,)`.

    What is added repeats the batch and has weight 0; the others' weights make up for it, so that
    Keras' mean over `batch_size` is the mean over the sequences that are really there.
    """
    count = len(ids)
    rows = np.arange(batch_size) % count
    weights = np.where(np.arange(batch_size) < count, batch_size / count, 0)
    return ids[rows], labels[rows, None], weights.astype(np.float32)


def _portable_step(model: keras.Model) -> _FilledStep:
    def learn(ids: Ids, labels: Labels, weights: NDArray[np.float32]) -> tuple[float, float]:
        logs = model.train_on_batch(ids, labels, sample_weight=weights, return_dict=True)
        return float(logs["loss"]), float(logs["accuracy"])

    return learn


def _tensorflow_step(model: keras.Model, batch_size: int, adversarial_noise: float) -> _FilledStep:
    import tensorflow as tf

    signature = (
        tf.TensorSpec((batch_size, None), tf.int32),
        tf.TensorSpec((batch_size, 1), tf.int32),
        tf.TensorSpec((batch_size,), tf.float32),
    )
    make_variables(model, batch_size)
    if adversarial_noise:
        from tuner.training.adversarial import make_adversarial_step

        train_step = make_adversarial_step(model, adversarial_noise)
    else:
        train_step = model.train_step

    def learn_in_graph(ids: Any, labels: Any, weights: Any) -> Any:
        model.reset_metrics()
        logs = train_step((ids, labels, weights))
        return tf.stack([logs["loss"], logs["accuracy"]])

    compiled = tf.function(learn_in_graph, input_signature=signature, autograph=False)
    compiled.get_concrete_function()  # traces now, so that no epoch's seconds hold it

    def learn(ids: Ids, labels: Labels, weights: NDArray[np.float32]) -> tuple[float, float]:
        loss, accuracy = compiled(ids, labels, weights).numpy()
        return float(loss), float(accuracy)

    trace_prediction(model)
    return learn
