"""Translates errors of Keras and its backends into this package's errors; the only place that does."""

from collections.abc import Iterator
from contextlib import contextmanager

from tuner.errors import TrialDiverged, TrialError, TrialFailed, TrialOutOfMemory, TunerError
from tuner.run.trial_status import TrialStatus

LONGEST_REASON = 300  # characters: it becomes a cell of the leaderboard
_OUT_OF_MEMORY_TYPES = frozenset({"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"})
_OUT_OF_MEMORY_PHRASES = (
    "resource_exhausted",
    "out of memory",
    "oom when allocating",
    "failed to allocate memory",
    "dst tensor is not initialized",  # TensorFlow, when a copy to the GPU finds no room
    "std::bad_alloc",
)


@contextmanager
def trial_errors() -> Iterator[None]:
    """Turns every exception raised inside into a TrialError; this package's own errors pass.

    Raises:
        TrialOutOfMemory: memory ran out, on the host or on the device.
        TrialFailed: anything else.
    """
    try:
        yield
    except TunerError:
        raise
    except Exception as error:
        raise _translated(error) from error


def status_of(error: Exception) -> TrialStatus:
    """The status of a trial that raised `error`."""
    if isinstance(error, TrialDiverged):
        return TrialStatus.DIVERGED
    return TrialStatus.OUT_OF_MEMORY if isinstance(error, TrialOutOfMemory) else TrialStatus.FAILED


def _translated(error: Exception) -> TrialError:
    reason = f"{type(error).__name__}: {_first_line(error)}".removesuffix(": ")
    if _is_out_of_memory(error):
        return TrialOutOfMemory(f"{reason}; lower batch_size, max_length or the model's size")
    return TrialFailed(reason)


def _is_out_of_memory(error: Exception) -> bool:
    """By name and by message, so that no backend need be imported."""
    names = {cls.__name__ for cls in type(error).__mro__}
    message = str(error).lower()
    return bool(names & _OUT_OF_MEMORY_TYPES) or any(
        phrase in message for phrase in _OUT_OF_MEMORY_PHRASES
    )


def _first_line(error: Exception) -> str:
    """The first meaningful line, cut to fit a leaderboard's cell."""
    lines = (line.strip() for line in str(error).splitlines())
    telling = (line for line in lines if line and not line.startswith("Graph execution error"))
    return next(telling, "")[:LONGEST_REASON]
