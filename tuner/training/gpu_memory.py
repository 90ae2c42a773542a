"""The GPU memory that a configuration needs, measured by training it for two steps on sequences of full length."""

import os
from collections.abc import Callable

import numpy as np

from tuner.data import EncodedSequences
from tuner.errors import TrialOutOfMemory
from tuner.nvidia import first_gpu_memory_mb
from tuner.settings.hyperparameters import Hyperparameters
from tuner.training.spec import TrialSpec

_STEPS = 2
_EVALUATED = 128  # sequences; enough to fill a batch of evaluation where they are long


def peak_memory_mb() -> float | None:
    """The largest memory that Keras' backend has held so far on this process's first GPU; None without one."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            if not tf.config.get_visible_devices("GPU"):
                return None
            return float(tf.config.experimental.get_memory_info("GPU:0")["peak"]) / 2**20
        case "jax":
            import jax

            figures = jax.devices()[0].memory_stats() or {}
            peak = figures.get("peak_bytes_in_use")
            return None if peak is None else float(peak) / 2**20
        case "torch":
            import torch

            return torch.cuda.max_memory_reserved() / 2**20 if torch.cuda.is_available() else None
    return None


def measure_training(
    hyperparameters: Hyperparameters,
    *,
    n_classes: int,
    longest: int,
    cpus: float,
    gpus: float = 1.0,
    peak: Callable[[], float | None] = peak_memory_mb,
    total: Callable[[], float | None] = lambda: first_gpu_memory_mb(os.environ),
) -> tuple[float, float] | None:
    """Peak and total memory of the first GPU in MB; None where it cannot be measured.

    A configuration that does not fit at all counts as the whole GPU.

    Args:
        longest: tokens of the data's longest sequence.
    """
    from tuner.training.devices import configure_device

    configure_device(cpus=cpus, gpus=gpus)
    total_mb = total()
    if total_mb is None:
        return None
    try:
        _train(hyperparameters, n_classes=n_classes, longest=longest)
    except TrialOutOfMemory:
        return total_mb, total_mb
    peak_mb = peak()
    return None if peak_mb is None else (peak_mb, total_mb)


def _train(hyperparameters: Hyperparameters, *, n_classes: int, longest: int) -> None:
    from tuner.training.trial import Training

    length = min(hyperparameters.max_length, longest)
    trained = _STEPS * hyperparameters.batch_size
    size = hyperparameters.vocabulary_size
    training = Training(
        TrialSpec(number=0, hyperparameters=hyperparameters, seed=0, max_epochs=1),
        train=_full_length(trained, length, vocabulary_size=size, n_classes=n_classes),
        validation=_full_length(_EVALUATED, length, vocabulary_size=size, n_classes=n_classes),
        n_classes=n_classes,
    )
    for _ in training.epochs():
        pass


def _full_length(n: int, length: int, *, vocabulary_size: int, n_classes: int) -> EncodedSequences:
    """`n` sequences of `length` tokens that name every id, the last one too: the embedding is as large as it can be."""
    tokens = np.arange(n * length, dtype=np.int64) % (vocabulary_size - 1) + 1
    tokens[-1] = vocabulary_size - 1
    return EncodedSequences(
        tokens=tokens.astype(np.int32),
        offsets=np.arange(n + 1, dtype=np.int64) * length,
        labels=(np.arange(n) % n_classes).astype(np.int32),
    )
