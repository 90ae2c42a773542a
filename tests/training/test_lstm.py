"""Our LSTM: Keras' results, gradients, files and fall-backs, whichever loop runs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.training import lstm
from tuner.training.lstm import LSTM

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def pair(units: int, features: int, **arguments: float) -> tuple[LSTM, keras.layers.LSTM]:
    """Ours and Keras' layer with the same weights; biases too, so that a gate in the wrong place shows."""
    weights = [normal(features, 4 * units), normal(units, 4 * units), normal(4 * units)]
    layers = []
    for layer in (LSTM, keras.layers.LSTM):
        made = layer(units, return_sequences=True, **arguments)
        made.build((None, None, features))
        made.set_weights(weights)
        layers.append(made)
    return layers[0], layers[1]


def outputs_and_gradients(run, sequences: np.ndarray, weights: list) -> list[np.ndarray]:
    """The result of `run` on the sequences, and the gradients of its weighted sum."""
    sequences = tf.constant(sequences)
    with tf.GradientTape() as tape:
        tape.watch(sequences)
        outputs = run(sequences)
        total = tf.reduce_sum(
            outputs
            * tf.cos(tf.range(tf.size(outputs), dtype=tf.float32).numpy().reshape(outputs.shape))
        )
    return [outputs.numpy(), *(g.numpy() for g in tape.gradient(total, [sequences, *weights]))]


def assert_alike(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 3), st.integers(1, 5))
def test_gives_keras_results_and_gradients(
    batch: int, time: int, features: int, units: int
) -> None:
    ours, theirs = pair(units, features)
    sequences = normal(batch, time, features)

    assert_alike(
        outputs_and_gradients(ours, sequences, ours.trainable_weights),
        outputs_and_gradients(theirs, sequences, theirs.trainable_weights),
    )


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 3), st.integers(1, 5))
def test_recurrent_dropout_is_one_mask_at_every_step(
    batch: int, time: int, features: int, units: int
) -> None:
    ours, theirs = pair(units, features, recurrent_dropout=0.5)
    mask = tf.constant(2.0 * RNG.integers(0, 2, (batch, units)).astype(np.float32))
    ours.cell._recurrent_dropout_mask = [mask] * 4
    theirs.cell._recurrent_dropout_mask = [mask] * 4
    # Keras forgets its mask after a call; here both are to see the same one.
    ours.cell.reset_recurrent_dropout_mask = theirs.cell.reset_recurrent_dropout_mask = lambda: None
    sequences = normal(batch, time, features)

    assert_alike(
        outputs_and_gradients(lambda x: ours(x, training=True), sequences, ours.trainable_weights),
        outputs_and_gradients(
            lambda x: theirs(x, training=True), sequences, theirs.trainable_weights
        ),
    )


def test_input_dropout_drops_the_same_features_at_every_step() -> None:
    layer = LSTM(3, return_sequences=True, dropout=0.5)
    layer.build((None, None, 4))
    mask = tf.constant([[2.0, 0.0, 2.0, 0.0]])
    layer.cell._dropout_mask = mask
    layer.cell.reset_dropout_mask = lambda: None
    sequences = normal(1, 5, 4)

    dropped = layer(sequences, training=True)

    np.testing.assert_allclose(dropped, layer(sequences * mask[:, None]), rtol=1e-5, atol=1e-6)
    assert not np.allclose(dropped, layer(sequences))


@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.3])
def test_dropout_is_drawn_anew_for_every_batch_and_never_in_prediction(
    recurrent_dropout: float,
) -> None:
    layer = LSTM(4, return_sequences=True, dropout=0.3, recurrent_dropout=recurrent_dropout)
    sequences = normal(3, 6, 5)

    assert not np.allclose(layer(sequences, training=True), layer(sequences, training=True))
    np.testing.assert_array_equal(layer(sequences), layer(sequences))


def test_states_continue_a_sequence() -> None:
    layer = LSTM(3, return_sequences=True, return_state=True)
    sequences = normal(2, 6, 4)

    whole, output, cell = layer(sequences)
    _, *half_way = layer(sequences[:, :2])
    rest, output_again, cell_again = layer(sequences[:, 2:], initial_state=half_way)

    np.testing.assert_allclose(rest, whole[:, 2:], rtol=1e-5)
    np.testing.assert_allclose(output_again, output, rtol=1e-5)
    np.testing.assert_allclose(cell_again, cell, rtol=1e-5)


@pytest.mark.parametrize("arguments", [{"activation": "relu"}, {"use_bias": False}])
def test_uses_keras_where_the_kernels_cannot_serve(arguments: dict[str, object]) -> None:
    ours = LSTM(3, return_sequences=True, **arguments)
    theirs = keras.layers.LSTM(3, return_sequences=True, **arguments)
    sequences = normal(2, 4, 5)
    ours(sequences), theirs(sequences)
    theirs.set_weights(ours.get_weights())

    np.testing.assert_allclose(ours(sequences), theirs(sequences), rtol=1e-5)


def test_a_mask_counts() -> None:
    ours, theirs = pair(3, 4)
    sequences, mask = normal(2, 4, 4), np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)

    np.testing.assert_allclose(
        ours(sequences, mask=mask), theirs(sequences, mask=mask), rtol=1e-5, atol=1e-6
    )


def test_where_a_gpu_is_seen_keras_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pair(3, 4)
    sequences = normal(2, 4, 4)
    monkeypatch.setattr(lstm, "_sees_gpu", lambda: True)
    monkeypatch.setattr("tuner.training.fused_lstm.run_lstm", None)

    np.testing.assert_allclose(ours(sequences), theirs(sequences), rtol=1e-5)


def test_the_second_version_of_the_kernel_still_has_a_wrong_gradient() -> None:
    """Mended upstream, it would spare us the reordering of the gates."""
    units, steps = 2, tf.constant(normal(3, 2, 4))
    state, peepholes = tf.zeros((2, units)), tf.zeros(units)
    weights, bias = tf.constant(normal(4 + units, 4 * units)), tf.constant(normal(4 * units))

    def total(weights: tf.Tensor) -> tf.Tensor:
        run = tf.raw_ops.BlockLSTMV2(
            seq_len_max=3, x=steps, cs_prev=state, h_prev=state, w=weights,
            wci=peepholes, wcf=peepholes, wco=peepholes, b=bias, cell_clip=0.0, use_peephole=False,
        )  # fmt: skip
        return tf.reduce_sum(run.h)

    claimed, measured = tf.test.compute_gradient(total, [weights])

    assert np.abs(claimed[0] - measured[0]).max() > 0.01
