"""Layers that keep padding out of a model's result.

Why not Keras' masks: a mask sends JAX on a GPU and torch to a slow loop, costs every LSTM step two selections on a CPU,
and is ignored by `GlobalMaxPooling1D`. Here each batch carries its lengths instead. Every operation across time uses
them: convolution, pooling, the backward half of a bidirectional layer, the choice of the last step. A sequence's output
is then the same whatever width it was padded to. Only on JAX on a CPU does an LSTM layer get a mask, to stop early.

Shapes: `batch` sequences, `time` steps of the padded width, `features` a step; `lengths` is
`(batch,)` int32, at least 1.
"""

# mypy: disallow-subclassing-any=False
# Keras has no stubs, so its classes are Any.

from typing import Any

import keras
from keras import ops

from tuner.data import PADDING


def _is_real(x: Any, lengths: Any) -> Any:
    """`(batch, time)` bool: True where a step lies inside its sequence."""
    return ops.arange(ops.shape(x)[1], dtype="int32")[None, :] < lengths[:, None]


def _take_steps(x: Any, steps: Any) -> Any:
    """`(batch, time, features)` and `(batch, n)` int32 -> `(batch, n, features)`: the named steps of each sequence.

    Whole rows of the flat matrix: on a CPU 5 to 12 times faster than `ops.take_along_axis`,
    gradient included.
    """
    batch, time, features = ops.shape(x)
    rows = steps + ops.arange(batch, dtype="int32")[:, None] * time
    taken = ops.take(ops.reshape(x, (-1, features)), ops.reshape(rows, (-1,)), axis=0)
    return ops.reshape(taken, (batch, -1, features))


@keras.saving.register_keras_serializable(package="tuner")
class SequenceLengths(keras.layers.Layer):
    """`(batch, time)` int32 ids, right-padded -> `(batch,)` int32 lengths."""

    def call(self, ids: Any) -> Any:
        """Counts the ids that are not padding; a row of padding alone counts as one step."""
        return ops.maximum(ops.sum(ops.cast(ops.not_equal(ids, PADDING), "int32"), axis=1), 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`(batch,)`."""
        return (input_shape[0],)

    def compute_output_spec(self, ids: Any) -> Any:
        """Lengths are int32 whatever the dtype policy."""
        return keras.KerasTensor(self.compute_output_shape(ids.shape), dtype="int32")


@keras.saving.register_keras_serializable(package="tuner")
class RealSteps(keras.layers.Layer):
    """`(batch, time, features)` and lengths -> `(batch, time)` bool, Keras' mask of an LSTM layer."""

    def call(self, x: Any, lengths: Any) -> Any:
        """True where a step lies inside its sequence."""
        return _is_real(x, lengths)

    def compute_output_spec(self, x: Any, lengths: Any) -> Any:
        """A mask is bool whatever the dtype policy."""
        return keras.KerasTensor(x.shape[:2], dtype="bool")


@keras.saving.register_keras_serializable(package="tuner")
class ZeroPastEnd(keras.layers.Layer):
    """`(batch, time, features)` and lengths -> the same with zeros past each sequence's end.

    A convolution with padding "same" sees zeros past the border of a full-width sequence; so it
    must past a shorter one's end.
    """

    def call(self, x: Any, lengths: Any) -> Any:
        """Multiplies padding by zero."""
        return x * ops.cast(_is_real(x, lengths), x.dtype)[:, :, None]

    def compute_output_shape(self, x_shape: Any, lengths_shape: Any = None) -> Any:
        """The shape of `x`."""
        return x_shape


@keras.saving.register_keras_serializable(package="tuner")
class MaxPoolingFromStart(keras.layers.Layer):
    """`(batch, time, features)`, not negative -> `(batch, ceil(time / pool_size), features)`, windows from step 0.

    Keras' own padding "same" centres its padding, so that the windows would shift with the width.
    Zeros appended past the end leave the maximum of what is not negative (a relu's output)
    unchanged.
    """

    def __init__(self, pool_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self._pooling = keras.layers.MaxPooling1D(
            pool_size, padding="valid", dtype=self.dtype_policy
        )

    def call(self, x: Any) -> Any:
        """Appends `pool_size - 1` zeros, of which the windows that fit use as many as the last one needs."""
        return self._pooling(ops.pad(x, ((0, 0), (0, self.pool_size - 1), (0, 0))))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`(batch, ceil(time / pool_size), features)`."""
        batch, time, features = input_shape
        return (batch, None if time is None else -(-time // self.pool_size), features)

    def get_config(self) -> dict[str, Any]:
        """For `.keras` files."""
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="tuner")
class PooledLengths(keras.layers.Layer):
    """`(batch,)` int32 lengths -> the lengths after `MaxPoolingFromStart(pool_size)`."""

    def __init__(self, pool_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size

    def call(self, lengths: Any) -> Any:
        """Rounds up: a window that holds one real step is real."""
        return (lengths + (self.pool_size - 1)) // self.pool_size

    def compute_output_spec(self, lengths: Any) -> Any:
        """Same shape, int32."""
        return keras.KerasTensor(lengths.shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """For `.keras` files."""
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="tuner")
class ReverseWithinLength(keras.layers.Layer):
    """`(batch, time, features)` and lengths -> each sequence reversed within its length, padding left in place."""

    def call(self, x: Any, lengths: Any) -> Any:
        """Step t becomes step length - 1 - t. Applied twice it is the identity."""
        steps = ops.arange(ops.shape(x)[1], dtype="int32")[None, :]
        sources = ops.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
        return _take_steps(x, sources)

    def compute_output_shape(self, x_shape: Any, lengths_shape: Any = None) -> Any:
        """The shape of `x`."""
        return x_shape


class _OverTime(keras.layers.Layer):
    """`(batch, time, features)` and lengths -> `(batch, features)`."""

    def compute_output_shape(self, x_shape: Any, lengths_shape: Any = None) -> Any:
        """`(batch, features)`."""
        return (x_shape[0], x_shape[2])


@keras.saving.register_keras_serializable(package="tuner")
class LastStep(_OverTime):
    """The features of each sequence's true last step."""

    def call(self, x: Any, lengths: Any) -> Any:
        """Gathers step length - 1."""
        return _take_steps(x, lengths[:, None] - 1)[:, 0, :]


@keras.saving.register_keras_serializable(package="tuner")
class MaxOverTime(_OverTime):
    """The largest value of each feature over a sequence's true steps."""

    def call(self, x: Any, lengths: Any) -> Any:
        """Padding counts as minus infinity."""
        return ops.max(ops.where(_is_real(x, lengths)[:, :, None], x, float("-inf")), axis=1)


@keras.saving.register_keras_serializable(package="tuner")
class MeanOverTime(_OverTime):
    """The mean of each feature over a sequence's true steps."""

    def call(self, x: Any, lengths: Any) -> Any:
        """Padding counts as nothing."""
        weights = ops.cast(_is_real(x, lengths), x.dtype)
        return ops.sum(x * weights[:, :, None], axis=1) / ops.cast(lengths, x.dtype)[:, None]
