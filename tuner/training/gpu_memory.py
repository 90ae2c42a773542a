"""The GPU memory that configurations need, measured by training each for two steps on sequences of full length.

Runs in a process of its own on the GPU that is asked about: a backend frees GPU memory only when its process ends. A
process takes two parts of a GPU, the backend's, which a limit bounds, and a context beside it, which it does not.
"""

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.data import EncodedSequences
from tuner.data.batches import TOKENS_PER_BATCH
from tuner.errors import ConfigError, TrialDiverged, TrialFailed, TrialOutOfMemory
from tuner.machine import memory, own_memory_mb
from tuner.nvidia import Gpu, first_gpu
from tuner.settings.hyperparameters import Hyperparameters
from tuner.training.spec import TrialSpec

_STEPS = 2
# While it is measured, a backend may take this much of what is free on the GPU; the rest is for the context.
_LIMIT = 0.9
_LEFT_MB = 1500
# Beside the backend's memory every process takes more than this of a GPU: a smaller figure is none.
_LEAST_CONTEXT_MB = 200
_MB = 2**20


@dataclass(frozen=True)
class GpuFigures:
    """A GPU as it was found, and what the largest training took of it and of its machine, in MiB."""

    gpu: str  # its name by NVIDIA's driver
    total_mb: int
    free_mb: int  # before the training: others may hold some of it
    peak_mb: int  # of the backend's own memory
    context_mb: int  # beside the backend's memory: CUDA's context, cuDNN, cuBLAS
    host_mb: int  # memory of the machine that the process held
    host_free_mb: int  # memory of the machine that was available before
    has_mps: bool = False  # NVIDIA's Multi-Process Service runs there, by which several processes compute at once


@dataclass(frozen=True)
class BackendMemory:
    """Memory of a GPU that Keras' backend has, in MiB."""

    peak_mb: int  # the most that was in use
    pool_mb: int  # what it holds, in use or not


def backend_memory(limit_mb: int) -> BackendMemory:
    """What the backend of this process has of its first GPU.

    Raises:
        ConfigError: it sees no GPU.
    """
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            if tf.config.get_visible_devices("GPU"):
                peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
                return BackendMemory(
                    int(peak) // _MB, limit_mb
                )  # it takes all of its limit at once
        case "jax":
            import jax

            figures = jax.devices()[0].memory_stats() or {}
            if "peak_bytes_in_use" in figures:
                peak = figures["peak_bytes_in_use"]
                return BackendMemory(peak // _MB, figures.get("pool_bytes", peak) // _MB)
        case "torch":
            import torch

            if torch.cuda.is_available():
                held = torch.cuda.max_memory_reserved() // _MB
                return BackendMemory(held, torch.cuda.memory_reserved() // _MB)
    raise ConfigError(f"{keras.backend.backend()} sees no GPU (`tuner doctor` shows all GPUs)")


def measure_training(
    configurations: Sequence[Hyperparameters],
    *,
    n_classes: int,
    longest: int,
    cpus: float,
    gpus: float = 1.0,
    has_mps: bool = False,
    gpu: Callable[[], Gpu | None] = lambda: first_gpu(os.environ),
    memory_of_backend: Callable[[int], BackendMemory] = backend_memory,
) -> GpuFigures:
    """Trains each configuration on this process' first GPU; the figures of the largest.

    A configuration that does not fit at all counts as the whole limit.

    Args:
        longest: tokens of the data's longest sequence.
        gpus: the part of the GPU that may be used; others may have the rest.

    Raises:
        ConfigError: there is no GPU here, or its memory is unknown.
        TrialFailed: none of the configurations can be trained.
        DeviceFault: the GPU failed.
    """
    from tuner.training.devices import configure_device

    before, host_free = gpu(), memory().available
    if before is None or before.total_mb is None or before.free_mb is None:
        raise ConfigError("NVIDIA's driver does not report the memory of a GPU here")
    limit_mb = max(1, min(int(before.free_mb * _LIMIT * gpus), before.free_mb - _LEFT_MB))
    configure_device(cpus=cpus, gpus=1, memory_mb=limit_mb)
    has_filled_it, failures = False, []
    for hyperparameters in configurations:
        try:
            _train(hyperparameters, n_classes=n_classes, longest=longest)
        except TrialOutOfMemory:
            has_filled_it = True
        except TrialDiverged:  # after it has taken what it needs
            pass
        except TrialFailed as error:  # as its trials will
            failures.append(error)
        gc.collect()  # the next one must not find this one's model
    if len(failures) == len(configurations):
        raise failures[0]
    backend, after = memory_of_backend(limit_mb), gpu()
    return GpuFigures(
        before.name,
        before.total_mb,
        before.free_mb,
        limit_mb if has_filled_it else backend.peak_mb,
        _context_mb(before, after, backend.pool_mb),
        own_memory_mb(),
        host_free // _MB,
        has_mps,
    )


def _context_mb(before: Gpu, after: Gpu | None, pool_mb: int) -> int:
    """What this process holds of its GPU beside the backend's memory.

    As the driver lists the process or, where a container hides that or MPS holds the memory in its name, by what is
    free on the GPU.
    """
    held = after.held_by(os.getpid()) if after is not None else None
    if held is not None and held - pool_mb >= _LEAST_CONTEXT_MB:
        return held - pool_mb
    taken = 0
    if before.free_mb is not None and after is not None and after.free_mb is not None:
        taken = before.free_mb - after.free_mb - pool_mb
    return max(_LEAST_CONTEXT_MB, taken)


def _train(hyperparameters: Hyperparameters, *, n_classes: int, longest: int) -> None:
    """Trains one epoch of two steps, and measures it on as large a batch as a trial's evaluation takes."""
    from tuner.training.trial import Training

    length = min(hyperparameters.max_length, longest)
    trained = _STEPS * hyperparameters.batch_size
    evaluated = max(1, TOKENS_PER_BATCH // length)
    size = hyperparameters.vocabulary_size
    training = Training(
        TrialSpec(number=0, hyperparameters=hyperparameters, seed=0, max_epochs=1),
        train=_full_length(trained, length, vocabulary_size=size, n_classes=n_classes),
        validation=_full_length(evaluated, length, vocabulary_size=size, n_classes=n_classes),
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
