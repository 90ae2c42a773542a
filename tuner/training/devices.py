"""A worker's share of its machine: how many threads, how much of a GPU. TensorFlow is imported inside only."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tuner.errors import ConfigError
from tuner.machine import keras_backend
from tuner.nvidia import first_gpu
from tuner.output import output_to
from tuner.run.device import device_text
from tuner.training.keras_internals import import_keras_without_scikit_learn

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_configured: tuple[int, bool, int | None] | None = None


def configure_device(*, cpus: float, gpus: float, memory_mb: int | None = None) -> None:
    """Sizes the thread pools to `cpus` and gives Keras' backend its share of the first visible GPU.

    Call it once per process, before anything runs on Keras' backend; called again with the same share it does nothing.

    Args:
        gpus: no GPU is touched for 0.
        memory_mb: the most that the backend may take of the GPU's memory, beside which the process has a context of
            some hundred MB. TensorFlow takes it at once. None: it takes what it needs.

    Raises:
        ConfigError: this process was configured for another share, its backend runs already, or the GPU's memory is
            unknown and the backend counts in parts of it.
    """
    global _configured
    share = (thread_count(cpus), gpus > 0, memory_mb)
    if _configured == share:
        return
    if _configured is not None:
        raise ConfigError(
            f"this process is configured for {_configured}, not {share} (threads, GPU, its MB); use a new process"
        )
    import_keras_without_scikit_learn()
    # NVIDIA's driver and Ray number GPUs by their slot, CUDA by their speed unless it is set otherwise.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    threads = share[0]
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    match keras_backend()[0]:
        case "tensorflow" | None:  # None: Keras falls back on it when its settings cannot be read
            _configure_tensorflow(threads, gpus, memory_mb)
        case "jax":
            _configure_jax(threads, gpus, memory_mb)
        case "torch":
            _configure_torch(threads, gpus, memory_mb)
    _configured = share


def thread_count(cpus: float) -> int:
    """The threads of a worker with a share of `cpus`."""
    return max(1, int(cpus))


def import_keras_quietly() -> None:
    """Loads Keras and its backend without their messages about this machine.

    A process that was not configured takes memory of one GPU only, and no more than it needs: a search may run beside
    it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with output_to(Path(os.devnull)):  # some are written before TensorFlow knows its level
        if _configured is None:
            _leave_gpus_to_others()
        import tuner.training.steps  # noqa: F401


def device_name(*, cudnn: bool) -> str:
    """The device of Keras' backend in words, see `tuner.run.device`."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            name = _tensorflow_gpu()
        case "jax":
            name = _jax_gpu()
        case "torch":
            name = _torch_gpu()
        case _:
            name = None
    return device_text(name, cudnn=cudnn)


def _configure_tensorflow(threads: int, gpus: float, memory_mb: int | None) -> None:
    if memory_mb is not None:
        os.environ.pop("TF_FORCE_GPU_ALLOW_GROWTH", None)  # it excludes a limit
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        _share_tensorflow_gpu(tf.config, gpus, memory_mb)
    except RuntimeError as error:
        raise ConfigError(
            f"TensorFlow runs already; configure the device before it: {error}"
        ) from error


def _share_tensorflow_gpu(config: Any, gpus: float, memory_mb: int | None) -> None:
    devices = config.list_physical_devices("GPU")[:1] if gpus else []
    config.set_visible_devices(devices, "GPU")
    for device in devices:
        if memory_mb is None:
            config.experimental.set_memory_growth(device, True)
        else:
            limit = config.LogicalDeviceConfiguration(memory_limit=memory_mb)
            config.set_logical_device_configuration(device, [limit])


def _part_of_gpu(memory_mb: int) -> float:
    """A limit as JAX and torch want it: a part of the whole GPU."""
    gpu = first_gpu(os.environ)
    if gpu is None or gpu.total_mb is None:
        raise ConfigError(
            f"a limit of {memory_mb} MB cannot be set: NVIDIA's driver does not report the GPU's memory; "
            "use --gpus-per-trial 1"
        )
    return min(1.0, memory_mb / gpu.total_mb)


def _leave_gpus_to_others() -> None:
    """Has Keras' backend take memory as it needs it, where by itself it would take whole GPUs.

    What a person's own program has decided about GPUs before stays so.
    """
    match keras_backend()[0]:
        case "tensorflow" | None:
            is_ours = "tensorflow" not in sys.modules
            import tensorflow as tf

            gpus = tf.config.get_visible_devices("GPU")
            # It runs already, or has memory limits.
            with suppress(RuntimeError, ValueError):
                if is_ours:  # Keras uses the first; TensorFlow takes memory of all that it sees
                    gpus = gpus[:1]
                    tf.config.set_visible_devices(gpus, "GPU")
                for gpu in gpus:
                    tf.config.experimental.set_memory_growth(gpu, True)
        case "jax":
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _configure_jax(threads: int, gpus: float, memory_mb: int | None) -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    if gpus == 0:  # compiles in three fifths of the time; a step of an LSTM is as fast
        quick = "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true"
        flags = f"{quick} {flags}"
    if threads == 1:
        flags += " --xla_cpu_multi_thread_eigen=false"
    os.environ["XLA_FLAGS"] = flags.strip()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if gpus == 0:
        os.environ["JAX_PLATFORMS"] = "cpu"
    elif memory_mb is not None:
        # An upper limit where nothing is allocated in advance. Its newer name excludes this one, which all know.
        os.environ.pop("XLA_CLIENT_MEM_FRACTION", None)
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{_part_of_gpu(memory_mb):.4f}"


def _configure_torch(threads: int, gpus: float, memory_mb: int | None) -> None:
    if gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"  # Keras would take Apple's GPU
    import torch

    torch.set_num_threads(threads)
    if gpus and memory_mb is not None and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(_part_of_gpu(memory_mb))


def _tensorflow_gpu() -> str | None:
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return None
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def _jax_gpu() -> str | None:
    import jax

    device = jax.devices()[0]
    return None if device.platform == "cpu" else str(device.device_kind)


def _torch_gpu() -> str | None:
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None
