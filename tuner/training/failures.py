"""Translates errors of Keras and its backends into this package's errors; the only place that does.

A full GPU has many faces: an allocator is capped, but a CUDA context, cuBLAS and cuDNN take memory beside it and
report its lack in their own words. A fault of the GPU is not the model's: the process that met it can use the GPU
no more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tuner.errors import (
    DeviceFault,
    TrialBroke,
    TrialDiverged,
    TrialOutOfMemory,
    TunerError,
)
from tuner.run.trial_status import TrialStatus

LONGEST_REASON = 300  # characters: it becomes a cell of the leaderboard
_OUT_OF_MEMORY_TYPES = frozenset({"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"})
_OUT_OF_MEMORY_PHRASES = (
    "resource_exhausted",
    "out of memory",
    "out_of_memory",
    "oom when allocating",
    "failed to allocate",
    "can't allocate memory",
    "dst tensor is not initialized",  # TensorFlow, when a copy to the GPU finds no room
    "std::bad_alloc",
    "bfc_allocator.cc",  # where TensorFlow ends its process, because it found no room before
    # No room for a kernel's code or stack, for cuBLAS or for cuDNN.
    "culaunchkernel",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",
    "failed to create cublas handle",
    "without blas support",  # TensorFlow, after it has failed to create cuBLAS' handle
    "cudnn_status_alloc_failed",
    "cudnn_status_not_initialized",
    "cudnn_status_internal_error",
    "could not create cudnn handle",
    "dnn library initialization failed",
    "no dnn in stream executor",  # TensorFlow, after it has failed to create cuDNN's handle
    "unable to find a valid cudnn algorithm",
)
# Which of them are the machine's memory, not a GPU's.
_MACHINE_TYPES = frozenset({"MemoryError"})
_MACHINE_PHRASES = (
    "std::bad_alloc",
    "can't allocate memory",
    "device:cpu",
    "by allocator cpu",
    "by allocator gpu_host",
)
# By CUDA's names and, as some backends print only those, by its descriptions.
_DEVICE_FAULT_PHRASES = (
    "cuda_error_illegal_address",
    "illegal memory access",
    "cuda_error_illegal_instruction",
    "illegal instruction was encountered",
    "cuda_error_misaligned_address",
    "misaligned address",
    "cuda_error_launch_failed",
    "unspecified launch failure",
    "cuda_error_launch_timeout",
    "the launch timed out",
    "cuda_error_assert",
    "device-side assert",
    "cuda_error_ecc_uncorrectable",
    "uncorrectable ecc error",
    "cuda_error_device_unavailable",
    "fallen off the bus",
    "gpu is lost",
    "nvrm: xid",
    # What TensorFlow says after a fault, mostly when it ends its process; the line before has CUDA's name for it.
    "unexpected event status",
    "gpu sync failed",
    "gpu->cpu memcpy failed",
    "cpu->gpu memcpy failed",
    # MPS (805 to 810): a fault of one client takes all of them down.
    "cuda_error_mps_",
    "mps client has been terminated",
    "mps client failed to connect",
    "mps server is not ready",
    "between the mps server and the mps client failed",
    "required to create mps client have been exhausted",
    "required to support device connections have been exhausted",
)


@contextmanager
def trial_errors() -> Iterator[None]:
    """Turns every exception raised inside into a TrialError; this package's own errors pass.

    Raises:
        TrialOutOfMemory: memory ran out, on the host or on the device.
        DeviceFault: the device failed.
        TrialBroke: anything else.
    """
    try:
        yield
    except TunerError:
        raise
    except Exception as error:
        raise trial_error(error) from error


def trial_error(error: Exception) -> TunerError:
    """The error that `error` is for a trial; this package's own are as they are."""
    if isinstance(error, TunerError):
        return error
    fault = _line_with(_DEVICE_FAULT_PHRASES, error)
    if fault is not None:
        return DeviceFault(_reason(error, fault))
    no_room = _line_with(_OUT_OF_MEMORY_PHRASES, error)
    if no_room is not None or _has_type(error, _OUT_OF_MEMORY_TYPES):
        reason = _reason(error, no_room or _first_line(error))
        is_the_machine = _has_type(error, _MACHINE_TYPES) or any(
            phrase in (no_room or "").lower() for phrase in _MACHINE_PHRASES
        )
        return TrialOutOfMemory(
            f"{reason}; lower batch_size, max_length or the model's size",
            is_gpu_full=not is_the_machine,
        )
    return TrialBroke(_reason(error, _first_line(error)))


def status_of(error: Exception) -> TrialStatus:
    """The status of a trial that raised `error`."""
    if isinstance(error, TrialDiverged):
        return TrialStatus.DIVERGED
    is_out_of_memory = isinstance(trial_error(error), TrialOutOfMemory)
    return TrialStatus.OUT_OF_MEMORY if is_out_of_memory else TrialStatus.FAILED


def _reason(error: Exception, line: str) -> str:
    """Type and line, cut to fit a leaderboard's cell."""
    return f"{type(error).__name__}: {line[:LONGEST_REASON]}".removesuffix(": ")


def _has_type(error: Exception, names: frozenset[str]) -> bool:
    """By name, so that no backend need be imported."""
    return any(cls.__name__ in names for cls in type(error).__mro__)


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]


def _line_with(phrases: tuple[str, ...], error: Exception) -> str | None:
    """The first line that has one of the phrases in it."""
    for line in _lines(error):
        lower = line.lower()
        if any(phrase in lower for phrase in phrases):
            return line
    return None


def _first_line(error: Exception) -> str:
    """The first meaningful line."""
    telling = (line for line in _lines(error) if not line.startswith("Graph execution error"))
    return next(telling, "")
