"""Adversarial training on embeddings (Miyato, Dai & Goodfellow, 2017), in TensorFlow.

A step learns from each batch twice: as it is, and with every sequence's embeddings moved a little in the direction in
which its loss rises fastest. The direction comes with the first gradient: a step takes twice as long, not three times.

As in the authors' code, the noise is added behind the dropout of the embeddings, and both passes see one dropped-out
tensor. Other layers' dropout has the same masks in both passes, too: the direction is then the one in which this
network's loss rises, not that of another draw.

The paper gives its noise an absolute norm and keeps embeddings at unit variance, or a model would outgrow the noise.
Here the noise's norm is a share of the norm of the sequence's embeddings, which has the same effect.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tuner.data import PADDING

# Names of layers in `tuner.training.builder`; the noise is added behind the last one that a model has.
_EMBEDDING = ("embedding", "embedding_dropout", "spatial_dropout")
_TINY = 1e-12


def make_adversarial_step(model: keras.Model, noise: float) -> Callable[[Any], dict[str, Any]]:
    """A `train_step` for `model`, which `build_model` made, compiled and built; to be traced.

    Args:
        noise: its norm as a share of the norm of a sequence's embeddings.
    """
    names = {layer.name for layer in model.layers}
    last = model.get_layer([name for name in _EMBEDDING if name in names][-1])
    embed = keras.Model(model.inputs[0], last.output)
    classify = keras.Model([model.inputs[0], last.output], model.outputs[0])
    in_embedding = {id(variable) for variable in embed.trainable_variables}
    others = [each for each in model.trainable_variables if id(each) not in in_embedding]
    weights = {id(variable) for variable in model.weights}
    random_states = [each for each in classify.variables if id(each) not in weights]

    def step(batch: Any) -> dict[str, Any]:
        ids, labels, weights = batch

        def pass_through(embedded: Any) -> tuple[Any, Any, list[Any], Any]:
            """Outputs, loss, and its gradients by the other variables and by the embeddings."""
            with tf.GradientTape() as tape:
                tape.watch(embedded)
                outputs = classify([ids, embedded], training=True)
                loss = model.compute_loss(
                    x=ids, y=labels, y_pred=outputs, sample_weight=weights, training=True
                )
            *by_variables, by_embedded = tape.gradient(loss, [*others, embedded])
            return outputs, loss, by_variables, by_embedded

        with tf.GradientTape() as lookup:
            embedded = embed(ids, training=True)
        states = [tf.identity(state.value) for state in random_states]
        outputs, loss, clean, direction = pass_through(embedded)
        for variable, state in zip(random_states, states, strict=True):
            variable.assign(state)  # the second pass drops what the first one dropped
        shifted = embedded + adversarial_shift(ids, embedded, direction, noise)
        _, _, noisy, by_shifted = pass_through(shifted)
        gradients = lookup.gradient(
            embedded, embed.trainable_variables, output_gradients=(direction + by_shifted) / 2
        )
        gradients += map(_mean, clean, noisy)
        model.optimizer.apply(gradients, [*embed.trainable_variables, *others])
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
    """The mean of two gradients, which may be lists of rows."""
    return (tf.convert_to_tensor(one) + tf.convert_to_tensor(other)) / 2


def _metrics(model: keras.Model, ids: Any, labels: Any, outputs: Any, weights: Any) -> Any:
    logs = model.compute_metrics(x=ids, y=labels, y_pred=outputs, sample_weight=weights)
    return {name: value for name, value in logs.items() if name != "loss"}
