"""On JAX every shape of a batch is a compilation: a trial has few, and so has a model that predicts."""

import pytest
from support.on_jax import printed_on_jax

from tuner.training import shapes

pytestmark = pytest.mark.keras

PROGRAM = """
import json
from collections import Counter
from tuner.training.devices import configure_device
configure_device(cpus=1, gpus=0)
import jax, keras, numpy as np
from tuner.data import EncodedSequences
from tuner.settings.hyperparameters import resolve
from tuner.settings.metric import Metric
from tuner.training import shapes
from tuner.training.evaluation import predict
from tuner.training.spec import TrialSpec
from tuner.training.trial import Training

compiled = Counter()
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **more: compiled.update([more.get("fun_name")] * event.endswith("backend_compile_duration"))
)

def sequences(n):
    lengths = np.random.default_rng(n).integers(1, 260, n)
    tokens = np.ones(lengths.sum(), np.int32) * 5
    return EncodedSequences(tokens, np.append(0, np.cumsum(lengths)), np.arange(n, dtype=np.int32) % 2)

shapes._WORTH = 1  # as in a long trial
hyperparameters = resolve(
    "lstm", {"lstm_units": 2, "embedding_size": 2, "max_length": 250, "batch_size": 4, "ngrams": 2}
)
training = Training(
    TrialSpec(0, hyperparameters, 0, max_epochs=2),
    train=sequences(122), validation=sequences(90), n_classes=2, keep_best=Metric(name="val_accuracy"),
)
assert len(list(training.epochs())) == 2
training.finish(sequences(70))
trial = dict(compiled)
compiled.clear()
for n in (1, 2, 30, 31):
    view = sequences(n).view(vocabulary_size=9, max_length=60)
    predict(training.model, view, n_classes=2, widths=shapes.prediction_widths(60))
print(json.dumps([keras.backend.backend(), trial, compiled["jit(predict_step)"]]))
"""


@pytest.mark.slow
def test_on_jax_a_trial_compiles_for_at_most_six_shapes() -> None:
    backend, compiled, predicting = printed_on_jax(PROGRAM)
    assert backend == "jax"
    assert (compiled["jit(train_step)"], compiled["jit(predict_step)"]) == (3, 3)
    assert predicting <= 3  # 16, 32 and 64


def test_on_tensorflow_shapes_differ_freely(make_sequences) -> None:
    data = make_sequences(9, n_classes=2, seed=1)
    widths = shapes.trial_widths(data, data, epochs=1, short_sequences=0, short_length=4)
    assert (widths, shapes.prediction_widths(500)) == (None, None)


def test_a_short_trial_has_one_width_a_long_one_three(
    make_sequences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes.keras.backend, "backend", lambda: "jax")
    data = make_sequences(5000, n_classes=2, seed=1)

    def widths(epochs: int) -> tuple[int, ...] | None:
        return shapes.trial_widths(data, data, epochs=epochs, short_sequences=64, short_length=4)

    assert widths(epochs=1) == (12,)
    assert widths(epochs=1000) == (8, 12)
    assert shapes.prediction_widths(100) == (16, 32, 64, 128)
