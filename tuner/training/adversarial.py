"""Adversarial training on embeddings (Miyato, Dai & Goodfellow, 2017), in TensorFlow.

A step learns from each batch twice: as it is, and with every sequence's embeddings moved a little in the direction in
which its loss rises fastest. The direction comes with the first gradient: a step takes twice as long, not three times.

The paper gives its noise an absolute norm and keeps embeddings at unit variance, or a model would outgrow the noise.
Here the noise's norm is a share of the norm of the sequence's embeddings, which has the same effect.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tuner.data import PADDING

_EMBEDDING = "embedding"  # the layer's name in `tuner.training.builder`
_TINY = 1e-12


def make_adversarial_step(model: keras.Model, noise: float) -> Callable[[Any], dict[str, Any]]:
    """A `train_step` for `model`, which `build_model` made, compiled and built; to be traced.

    Args:
        noise: its norm as a share of the norm of a sequence's embeddings.
    """
    embedding = model.get_layer(_EMBEDDING)
    after_embedding = keras.Model([model.inputs[0], embedding.output], model.outputs[0])

    def step(batch: Any) -> dict[str, Any]:
        ids, labels, weights = batch

        def loss_of(outputs: Any) -> Any:
            return model.compute_loss(
                x=ids, y=labels, y_pred=outputs, sample_weight=weights, training=True
            )

        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            embedded = embedding(ids)
            outputs = after_embedding([ids, embedded], training=True)
            loss = loss_of(outputs)
        *clean, direction = tape.gradient(loss, [*variables, embedded])
        shift = adversarial_shift(ids, embedded, direction, noise)
        with tf.GradientTape() as tape:
            shifted_loss = loss_of(after_embedding([ids, embedding(ids) + shift], training=True))
        shifted = tape.gradient(shifted_loss, variables)
        model.optimizer.apply_gradients(
            (_mean(one, other), variable)
            for one, other, variable in zip(clean, shifted, variables, strict=True)
        )
        return {"loss": loss, **_metrics(model, ids, labels, outputs, weights)}

    return step


def adversarial_shift(ids: Any, embedded: Any, direction: Any, noise: float) -> Any:
    """`(batch, time, features)`: the noise that moves each sequence's embeddings along its loss' gradient, `direction`.

    Args:
        ids: `(batch, time)` int32, right-padded with 0.
        embedded: their embeddings, `(batch, time, features)`.
    """
    is_real = tf.cast(ids != PADDING, embedded.dtype)[:, :, None]
    size = noise * _norm(embedded * is_real) / (_norm(direction) + _TINY)
    return tf.stop_gradient(size * direction)


def _norm(sequences: Any) -> Any:
    """The norm of each sequence as a whole: `(batch, time, features)` -> `(batch, 1, 1)`."""
    return tf.sqrt(tf.reduce_sum(tf.square(sequences), axis=(1, 2), keepdims=True))


def _mean(one: Any, other: Any) -> Any:
    """The mean of two gradients; an embedding's gradient is a list of rows, in which a row may occur twice."""
    if isinstance(one, tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.concat([one.values, other.values], axis=0) / 2,
            tf.concat([one.indices, other.indices], axis=0),
            one.dense_shape,
        )
    return (one + other) / 2


def _metrics(model: keras.Model, ids: Any, labels: Any, outputs: Any, weights: Any) -> Any:
    logs = model.compute_metrics(x=ids, y=labels, y_pred=outputs, sample_weight=weights)
    return {name: value for name, value in logs.items() if name != "loss"}
