"""Milliseconds per training step on the first GPU, and what could make it shorter.

One step of 64 sequences of 240 tokens, the mean width of a search on reviews, for each recurrent architecture:

- `waiting_ms`: the loss is read after every step, so the GPU waits for Python and Python for the GPU.
- `deferred_ms`: the losses are read once, after all steps.
- `eight_ms`: one call of the graph makes eight steps.
- `float16_ms`: as `waiting_ms`, under Keras' policy `mixed_float16`.

And texts per second of evaluation, by the tokens of a batch.

Needs a GPU that TensorFlow sees; exits with 3 without one.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from benchmark_io import options, show

from tuner.data import EncodedSequences
from tuner.settings.hyperparameters import Hyperparameters
from tuner.training.devices import configure_device

BATCH, WIDTH, VOCABULARY = 64, 240, 20_000
UNITS = {"embedding_size": 128, "lstm_units": 128, "vocabulary_size": VOCABULARY}
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "lstm": {},
    "bilstm": {},
    "cnn_lstm": {},
    "lstm with recurrent dropout": {"recurrent_dropout": 0.2},
}
TOKENS_PER_BATCH = (32_768, 131_072, 524_288)
TEXTS = 8_192


def main() -> int:
    """Measures and prints both tables."""
    given = options(__doc__)
    configure_device(cpus=1, gpus=1)
    import tensorflow as tf

    if not tf.config.get_visible_devices("GPU"):
        sys.stderr.write("gpu_step: TensorFlow sees no GPU here\n")
        return 3
    steps = 200 if given.full else 40
    show("gpu_step", [_step_row(name, steps) for name in ARCHITECTURES], given.out)
    show("gpu_evaluation", [_evaluation_row(tokens) for tokens in TOKENS_PER_BATCH], given.out)
    return 0


def _step_row(name: str, steps: int) -> dict[str, object]:
    if "recurrent_dropout" in ARCHITECTURES[name]:
        steps = 8  # hundreds of milliseconds each
    row: dict[str, object] = {"architecture": name}
    for column, measure in (
        ("waiting_ms", _waiting),
        ("deferred_ms", _deferred),
        ("eight_ms", _eight),
    ):
        row[column] = measure(_compiled(name), steps)
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    try:
        row["float16_ms"] = _waiting(_compiled(name), steps)
    finally:
        keras.config.set_dtype_policy("float32")
    return row


def _compiled(name: str) -> Any:
    """The model, its variables made, and one step as a function of a batch."""
    import keras

    from tuner.training.builder import build_model
    from tuner.training.compilation import compile_model
    from tuner.training.keras_internals import make_variables

    keras.backend.clear_session()
    architecture = name.partition(" ")[0]
    hyperparameters = Hyperparameters(architecture=architecture, **{**UNITS, **ARCHITECTURES[name]})
    model = build_model(hyperparameters, n_classes=2)
    compile_model(model, hyperparameters, n_classes=2, total_steps=1000)
    make_variables(model, BATCH)
    return model


def _batch(seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    return (
        random.integers(3, VOCABULARY, (BATCH, WIDTH)).astype(np.int32),
        random.integers(0, 2, (BATCH, 1)).astype(np.int32),
        np.ones(BATCH, np.float32),
    )


def _step_function(model: Any) -> Any:
    import tensorflow as tf

    def learn(ids: Any, labels: Any, weights: Any) -> Any:
        model.reset_metrics()
        logs = model.train_step((ids, labels, weights))
        return tf.stack([logs["loss"], logs["accuracy"]])

    signature = (
        tf.TensorSpec((BATCH, None), tf.int32),
        tf.TensorSpec((BATCH, 1), tf.int32),
        tf.TensorSpec((BATCH,), tf.float32),
    )
    compiled = tf.function(learn, input_signature=signature, autograph=False)
    compiled.get_concrete_function()
    return compiled


def _waiting(model: Any, steps: int) -> float:
    step = _step_function(model)
    return _median_ms(lambda: step(*_batch()).numpy(), steps)


def _deferred(model: Any, steps: int) -> float:
    step = _step_function(model)
    step(*_batch()).numpy()
    batch = _batch()
    started = time.perf_counter()
    results = [step(*batch) for _ in range(steps)]
    for result in results:
        result.numpy()
    return (time.perf_counter() - started) / steps * 1000


def _eight(model: Any, steps: int) -> float:
    import tensorflow as tf

    def learn(ids: Any, labels: Any, weights: Any) -> Any:
        def one(i: Any, sums: Any) -> Any:
            model.reset_metrics()
            logs = model.train_step((ids[i], labels[i], weights[i]))
            return i + 1, sums + tf.stack([logs["loss"], logs["accuracy"]])

        return tf.while_loop(
            lambda i, sums: i < 8, one, (tf.constant(0), tf.zeros(2)), parallel_iterations=1
        )[1]

    compiled = tf.function(learn, autograph=False)
    ids, labels, weights = _batch()
    stacked = tuple(tf.constant(np.stack([each] * 8)) for each in (ids, labels, weights))
    return _median_ms(lambda: compiled(*stacked).numpy(), max(3, steps // 8)) / 8


def _median_ms(run: Callable[[], object], times: int) -> float:
    run()
    run()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1000


def _evaluation_row(tokens: int) -> dict[str, object]:
    from tuner.data import evaluation_batches, pad
    from tuner.training.keras_internals import trace_prediction

    model = _compiled("lstm")
    trace_prediction(model)
    lengths = np.random.default_rng(0).integers(40, 501, TEXTS)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    texts = EncodedSequences(
        tokens=np.random.default_rng(1).integers(3, VOCABULARY, offsets[-1]).astype(np.int32),
        offsets=offsets,
        labels=np.zeros(TEXTS, np.int32),
    )

    def evaluate() -> None:
        for indices in evaluation_batches(texts.lengths, tokens_per_batch=tokens):
            np.asarray(model.predict_on_batch(pad(texts, indices)))

    return {"tokens_per_batch": tokens, "texts_per_s": TEXTS / (_median_ms(evaluate, 3) / 1000)}


if __name__ == "__main__":
    sys.exit(main())
