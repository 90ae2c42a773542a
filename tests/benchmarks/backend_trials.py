"""CPU seconds of whole trials on Keras' backend of this process, `KERAS_BACKEND`: compilation, training, evaluation.

Four trials in one process, one after the other, as a worker trains them: sentences of up to 49 tokens, with `--full`
also reviews of up to 500. `first_s`, `second_s` and `third_s` are the trial's epochs, of which the first holds the
compilation; `building_s` of a process' first trial holds what its backend prepares once.
"""

import os

import numpy as np
from benchmark_io import options, show

from tuner.data import EncodedSequences
from tuner.settings.hyperparameters import resolve
from tuner.training.devices import configure_device
from tuner.training.spec import TrialSpec

ARCHITECTURES = ("lstm", "cnn_lstm", "lstm_dropout", "lstm_recurrent_dropout")
SIZES = {"embedding_size": 32, "lstm_units": 100, "max_length": 500, "batch_size": 64}
VOCABULARY = 5_000


def main() -> None:
    """Prints one row per trial."""
    asked = options(__doc__)
    configure_device(cpus=1, gpus=0)
    import keras

    backend = keras.backend.backend()
    # Training texts, their mean length, their greatest length.
    kinds = [(2800, 21, 49), (1400, 240, 1500)] if asked.full else [(2800, 21, 49)]
    rows = [
        {"backend": backend, "tokens": longest, "architecture": architecture}
        | _seconds(architecture, count, mean, longest)
        for count, mean, longest in kinds
        for architecture in ARCHITECTURES
    ]
    show(f"backend_trials, {backend}", rows, asked.out)


def _seconds(architecture: str, count: int, mean: int, longest: int) -> dict[str, float]:
    from tuner.training.trial import Training

    began = _cpu_s()
    training = Training(
        TrialSpec(0, resolve(architecture, SIZES), 0, max_epochs=3),
        train=_texts(count, mean, longest, seed=1),
        validation=_texts(count // 7, mean, longest, seed=2),
        n_classes=2,
    )
    ends = [_cpu_s()]
    ends += [_cpu_s() for _ in training.epochs()]
    epochs = np.diff(ends)
    names = ("first_s", "second_s", "third_s")
    return {
        "building_s": ends[0] - began,
        **dict(zip(names, map(float, epochs), strict=True)),
        "all_s": ends[-1] - began,
    }


def _texts(count: int, mean: int, longest: int, *, seed: int) -> EncodedSequences:
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.gamma(3, mean / 3, count).astype(int), 2, longest)
    tokens = rng.integers(2, VOCABULARY, lengths.sum()).astype(np.int32)
    labels = rng.integers(0, 2, count).astype(np.int32)
    return EncodedSequences(tokens, np.append(0, np.cumsum(lengths)), labels)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system


if __name__ == "__main__":
    main()
