"""The LSTM layer: Keras' own, with a faster loop over time where TensorFlow or JAX runs on a CPU.

Keras makes some forty TensorFlow operations of one time step, and each costs as much as its
arithmetic. TensorFlow still has the kernels of its first version, which do a whole sequence
(`BlockLSTM`) or a whole step (`LSTMBlockCell`) in one operation. With them a training step of an
LSTM(100) on 64 x 200 tokens takes two thirds of Keras' time, with recurrent dropout less than half.

Not `BlockLSTMV2`: its registered gradient is wrong. Its predecessor's is right, and
`tests/training/test_lstm.py` compares both paths here with Keras. On JAX see `tuner.training.dynamic_lstm`.
"""

# mypy: disallow-subclassing-any=False
# Keras has no stubs, so its classes are Any.

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from tuner.training.keras_internals import input_mask, recurrent_mask


@keras.saving.register_keras_serializable(package="tuner")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` with its default activations and bias: same weights, same results up to rounding.

    But for recurrent dropout: Keras draws a mask for each of the four gates, here they share one, as
    in Gal & Ghahramani, 2016, section 4.2 ("tied weights").
    """

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> Any:
        """`(batch, time, features)` -> the last output, all outputs, and the states after the last step."""
        run_lstm = self._loop(mask)
        if run_lstm is None:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        cell = self.cell
        state_mask = None
        if training and cell.dropout:
            sequences = sequences * input_mask(cell, sequences[:, 0, :])[:, None, :]
        if training and cell.recurrent_dropout:
            state_mask = recurrent_mask(cell, initial_state[0])
        outputs, states = run_lstm(
            sequences,
            initial_state,
            kernel=cell.kernel,
            recurrent_kernel=cell.recurrent_kernel,
            bias=cell.bias,
            recurrent_mask=state_mask,
        )
        return outputs[:, -1], outputs, states

    def compute_mask(self, sequences: Any, mask: Any) -> None:
        """None: the layers after this one know lengths, not masks."""

    def _loop(self, mask: Any) -> Callable[..., Any] | None:
        """The faster loop; None where there is none for this layer."""
        if not self._is_plain() or _sees_gpu():
            return None
        match keras.backend.backend():
            case "tensorflow" if mask is None:
                from tuner.training.fused_lstm import run_lstm

                return run_lstm
            case "jax":
                from tuner.training import dynamic_lstm

                return partial(dynamic_lstm.run_lstm, is_real=mask)
            case _:
                return None

    def _is_plain(self) -> bool:
        return (
            self.compute_dtype == "float32"
            and self.use_bias
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and not (self.go_backwards or self.unroll)
        )


def spares_padding() -> bool:
    """Whether an LSTM layer takes no time for steps past the end of a batch's sequences, where it gets a mask."""
    return keras.backend.backend() == "jax" and not _sees_gpu()


def _sees_gpu() -> bool:
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return bool(tf.config.get_visible_devices("GPU"))
        case "jax":
            import jax

            return bool(jax.default_backend() != "cpu")
        case _:
            return False
