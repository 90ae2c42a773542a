"""Training steps, compiled once per trial.

Batches differ in width, and the last one in size. Keras' own functions trace a TensorFlow graph for
the first shape and again for the second, 1-3 s each; here TensorFlow gets one signature with the
width open and the size fixed, which also makes a step 3-14 % faster than with both open. Other
backends go through Keras' `train_on_batch`, where a fixed size spares a compilation, too.

On a GPU a step is bound by launching its kernels, and between two steps the GPU waits for Python. So
one call makes several steps there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tuner.errors import TrialBroke
from tuner.training.keras_internals import make_variables, trace_prediction

Ids = NDArray[np.int32]  # (batch, time), right-padded with 0
Labels = NDArray[np.int32]  # (batch,)
ClassWeights = NDArray[np.float32]  # (n_classes,)
# Learns from one batch of at most `batch_size`; gives its mean loss and accuracy, before the weights
# moved.
TrainStep = Callable[[Ids, Labels], tuple[float, float]]
_FilledStep = Callable[[Ids, Labels, NDArray[np.float32]], tuple[float, float]]
# Learns from some batches, one after the other; gives `(n_batches, 2)`, the same figures of each.
TrainSteps = Callable[[Sequence[tuple[Ids, Labels]]], NDArray[np.floating[Any]]]

# Milliseconds per step of 64 x 240 on an H200, one step per call and eight: `lstm` 11.8 and 7.9, `cnn_lstm` 8.8 and
# 5.8, `bilstm` 16.6 and 15.1 (tests/benchmarks/gpu_step.py).
STEPS_PER_CALL_ON_GPU = 8


def make_train_steps(
    model: keras.Model,
    *,
    batch_size: int,
    adversarial_noise: float = 0.0,
    at_once: int = 1,
    class_weights: ClassWeights | None = None,
) -> TrainSteps:
    """The function that trains the compiled `model` on batches in turn; for the rest see `make_train_step`.

    Args:
        at_once: with more than 1, TensorFlow makes the steps of all batches in one call.
    """
    if at_once > 1 and keras.backend.backend() == "tensorflow":
        return _tensorflow_steps(model, batch_size, adversarial_noise, class_weights)
    step = make_train_step(
        model,
        batch_size=batch_size,
        adversarial_noise=adversarial_noise,
        class_weights=class_weights,
    )
    return lambda batches: np.array([step(ids, labels) for ids, labels in batches])


def make_train_step(
    model: keras.Model,
    *,
    batch_size: int,
    adversarial_noise: float = 0.0,
    class_weights: ClassWeights | None = None,
) -> TrainStep:
    """The step that trains the compiled `model`; makes its `predict_on_batch` trace once, too.

    Args:
        adversarial_noise: norm of the adversarial noise on embeddings, as a share of theirs; 0 for none.
        class_weights: how much a sequence of each class counts; None: as much as any other.

    Raises:
        TrialBroke: the backend has no adversarial noise.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    if adversarial_noise and not on_tensorflow:
        raise TrialBroke(  # on a cluster, nodes may have other backends
            f"adversarial_noise: needs KERAS_BACKEND=tensorflow, got {keras.backend.backend()}; set it to 0"
        )
    learn = (
        _tensorflow_step(model, batch_size, adversarial_noise)
        if on_tensorflow
        else _portable_step(model)
    )

    def step(ids: Ids, labels: Labels) -> tuple[float, float]:
        return learn(*fill_batch(ids, labels, batch_size, class_weights))

    return step


def balanced_weights(labels: Labels, n_classes: int) -> ClassWeights:
    """Weights by which every class counts the same, with a mean of 1 over `labels`."""
    counts = np.bincount(labels, minlength=n_classes)
    weights: ClassWeights = (len(labels) / (n_classes * np.maximum(counts, 1))).astype(np.float32)
    return weights


def fill_batch(
    ids: Ids, labels: Labels, batch_size: int, class_weights: ClassWeights | None = None
) -> tuple[Ids, Labels, NDArray[np.float32]]:
    """The batch with `batch_size` rows: ids, labels `(batch_size, 1)`, weights `(batch_size,)`.

    What is added repeats the batch and has weight 0; the others' weights make up for it, so that
    Keras' mean over `batch_size` is the mean over the sequences that are really there. Class weights multiply them.
    """
    count = len(ids)
    rows = np.arange(batch_size) % count
    weights = np.where(np.arange(batch_size) < count, batch_size / count, 0)
    if class_weights is not None:
        weights = weights * class_weights[labels[rows]]
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
    step = _step_in_graph(model, batch_size, adversarial_noise)
    compiled = tf.function(step, input_signature=signature, autograph=False)
    compiled.get_concrete_function()  # traces now, so that no epoch's seconds hold it

    def learn(ids: Ids, labels: Labels, weights: NDArray[np.float32]) -> tuple[float, float]:
        loss, accuracy = compiled(ids, labels, weights).numpy()
        return float(loss), float(accuracy)

    trace_prediction(model)
    return learn


def _tensorflow_steps(
    model: keras.Model,
    batch_size: int,
    adversarial_noise: float,
    class_weights: ClassWeights | None,
) -> TrainSteps:
    import tensorflow as tf

    signature = (
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None, batch_size, 1), tf.int32),
        tf.TensorSpec((None, batch_size), tf.float32),
    )
    step = _step_in_graph(model, batch_size, adversarial_noise)

    def learn_in_graph(ids: Any, widths: Any, labels: Any, weights: Any) -> Any:
        """Figures `(n_batches, 2)`; `ids` holds the matrices of all batches, row after row."""
        ends = tf.cumsum(widths) * batch_size

        def one(i: Any, figures: Any) -> Any:
            own = ids[ends[i] - widths[i] * batch_size : ends[i]]
            batch = tf.reshape(own, (batch_size, widths[i]))
            return i + 1, figures.write(i, step(batch, labels[i], weights[i]))

        count = tf.size(widths)
        figures = tf.TensorArray(tf.float32, count, element_shape=(2,))
        first = (tf.constant(0), figures)
        _, figures = tf.while_loop(lambda i, _: i < count, one, first, parallel_iterations=1)
        return figures.stack()

    compiled = tf.function(learn_in_graph, input_signature=signature, autograph=False)
    compiled.get_concrete_function()

    def learn(batches: Sequence[tuple[Ids, Labels]]) -> NDArray[np.floating[Any]]:
        filled = [fill_batch(ids, labels, batch_size, class_weights) for ids, labels in batches]
        figures: NDArray[np.floating[Any]] = compiled(
            np.concatenate([ids.ravel() for ids, _, _ in filled]),
            np.array([ids.shape[1] for ids, _, _ in filled], np.int32),
            np.stack([labels for _, labels, _ in filled]),
            np.stack([weights for _, _, weights in filled]),
        ).numpy()
        return figures

    trace_prediction(model)
    return learn


def _step_in_graph(
    model: keras.Model, batch_size: int, adversarial_noise: float
) -> Callable[[Any, Any, Any], Any]:
    """One step, to be traced; gives loss and accuracy as one tensor."""
    import tensorflow as tf

    make_variables(model, batch_size)
    if adversarial_noise:
        from tuner.training.adversarial import make_adversarial_step

        train_step = make_adversarial_step(model, adversarial_noise)
    else:
        train_step = model.train_step

    def step(ids: Any, labels: Any, weights: Any) -> Any:
        model.reset_metrics()
        logs = train_step((ids, labels, weights))
        return tf.stack([logs["loss"], logs["accuracy"]])

    return step
