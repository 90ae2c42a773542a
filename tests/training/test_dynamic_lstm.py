"""On JAX on a CPU our LSTM gives Keras' results and gradients, with and without masks."""

import pytest
from support.on_jax import printed_on_jax

pytestmark = [pytest.mark.keras, pytest.mark.slow]

PROGRAM = """
import json, os
os.environ["JAX_PLATFORMS"] = "cpu"
import jax, keras, numpy as np
from jax import numpy as jnp
from tuner.settings.hyperparameters import resolve
from tuner.training.builder import build_model
from tuner.training.lstm import LSTM

rng = np.random.default_rng(5)
normal = lambda *shape: rng.normal(0, 0.5, shape).astype(np.float32)
batch, time, features, units = 4, 7, 3, 5
lengths = np.array([1, 5, 3, 4])  # the last two steps are nobody's
right_padded = np.arange(time) < lengths[:, None]
weights = [normal(features, 4 * units), normal(units, 4 * units), normal(4 * units)]
sequences, cotangent, state = normal(batch, time, features), normal(batch, time, units), [normal(batch, units)] * 2
dropped = 2 * jnp.array(rng.integers(0, 2, (batch, units)), "float32")

def results(kind, mask, dropout):
    layer = kind(units, return_sequences=True, return_state=True, recurrent_dropout=dropout)
    layer.build((None, None, features))
    layer.set_weights(weights)
    if dropout:  # one mask for both
        layer.cell._recurrent_dropout_mask = [dropped] * 4
        layer.cell.reset_recurrent_dropout_mask = lambda: None

    def total(variables, x, state):
        (outputs, output, cell), _ = layer.stateless_call(
            variables, [v.value for v in layer.non_trainable_variables], x, initial_state=state, mask=mask,
            training=bool(dropout),
        )
        return (outputs * cotangent).sum() + (output * cell).sum(), outputs

    (_, outputs), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(
        [v.value for v in layer.trainable_variables], sequences, state
    )
    return jax.tree.leaves((outputs, gradients))

differences = {}
for name, mask, dropout in [
    ("plain", None, 0.0), ("padded", right_padded, 0.0), ("left", right_padded[:, ::-1].copy(), 0.0),
    ("dropout", right_padded, 0.5),
]:
    ours, theirs = results(LSTM, mask, dropout), results(keras.layers.LSTM, mask, dropout)
    differences[name] = max(float(jnp.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))

def outputs_of(model, width):
    ids = np.zeros((2, width), np.int32)
    ids[:, :5] = [[3, 4, 5, 6, 7], [3, 4, 0, 0, 0]]
    return model.predict_on_batch(ids)

model = build_model(resolve("bilstm", {"lstm_units": 3, "lstm_layers": 2, "vocabulary_size": 9}), n_classes=2)
layer = model.get_layer("lstm_1")
differences["width"] = float(np.abs(outputs_of(model, 5) - outputs_of(model, 40)).max())
program = str(jax.make_jaxpr(lambda ids: model(ids))(np.ones((2, 8), np.int32)))
print(json.dumps([differences, program.count("while["), program.count("scan[")]))
"""


def test_gives_keras_results_and_gradients_and_stops_early() -> None:
    differences, loops, scans = printed_on_jax(PROGRAM, "-W", "error::UserWarning")
    assert differences == pytest.approx(dict.fromkeys(differences, 0), abs=1e-5)
    assert (loops, scans) == (4, 0)  # two layers, two directions
