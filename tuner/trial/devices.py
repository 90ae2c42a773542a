"""A worker's share of its machine: how many threads, how much of a GPU. TensorFlow is imported inside only."""

import os

from tuner.errors import ConfigError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_configured: tuple[int, int | None] | None = None


def configure_device(*, cpus: float, gpu_memory_mb: int | None) -> None:
    """Sizes the thread pools to `cpus` and limits TensorFlow to `gpu_memory_mb` of the first GPU (None: as it needs).

    Call it once a process, before anything runs on Keras' backend; called again with the same share
    it does nothing.

    Raises:
        ConfigError: this process was configured for another share, or its backend runs already.
    """
    global _configured
    share = (max(1, int(cpus)), gpu_memory_mb)
    if _configured == share:
        return
    if _configured is not None:
        raise ConfigError(
            f"this process is configured for {_configured}, not {share} (threads, GPU MB); use a new process"
        )
    threads = share[0]
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    match os.environ.get("KERAS_BACKEND", "tensorflow"):
        case "tensorflow":
            _configure_tensorflow(threads, gpu_memory_mb)
        case "jax":
            _configure_jax(threads)
        case "torch":
            _configure_torch(threads, gpu_memory_mb)
    _configured = share


def device_name(*, cudnn: bool) -> str:
    """What Keras' backend trains on: "cpu", or the first GPU's name, marked when the model cannot use cuDNN there."""
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
    if name is None:
        return "cpu"
    return name if cudnn else f"{name} (no cuDNN)"


def _configure_tensorflow(threads: int, gpu_memory_mb: int | None) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU")[:1]:
            if gpu_memory_mb is None:
                tf.config.experimental.set_memory_growth(gpu, True)
            else:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=gpu_memory_mb)
                tf.config.set_logical_device_configuration(gpu, [limit])
    except RuntimeError as error:
        raise ConfigError(
            f"TensorFlow runs already; configure the device before it: {error}"
        ) from error


def _configure_jax(threads: int) -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1:
        flags += " --xla_cpu_multi_thread_eigen=false"
    os.environ["XLA_FLAGS"] = flags.strip()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _configure_torch(threads: int, gpu_memory_mb: int | None) -> None:
    import torch

    torch.set_num_threads(threads)
    if gpu_memory_mb is not None and torch.cuda.is_available():
        total_bytes = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpu_memory_mb * 2**20 / total_bytes))


def _tensorflow_gpu() -> str | None:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
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
