"""Every exception of a backend becomes the right TrialError."""

import pytest

from tuner.errors import TrialDiverged, TrialFailed, TrialOutOfMemory
from tuner.training.failures import trial_errors


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor with shape[64,500,100]"),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4 bytes"),
        RuntimeError("Dst tensor is not initialized."),
    ],
)
def test_out_of_memory_is_known_by_name_and_by_message(error: Exception) -> None:
    with pytest.raises(TrialOutOfMemory, match=type(error).__name__) as caught, trial_errors():
        raise error

    assert caught.value.__cause__ is error


def test_a_real_resource_exhausted_error_of_tensorflow_is_out_of_memory() -> None:
    tf = pytest.importorskip("tensorflow")

    with pytest.raises(TrialOutOfMemory, match="lower batch_size"), trial_errors():
        raise tf.errors.ResourceExhaustedError(None, None, "no room")


def test_reason_is_the_first_meaningful_line() -> None:
    message = "Graph execution error:\n\nshapes do not match\nmore\nand more"

    with pytest.raises(TrialFailed, match=r"^ValueError: shapes do not match$"), trial_errors():
        raise ValueError(message)


def test_reason_is_short() -> None:
    with pytest.raises(TrialFailed) as caught, trial_errors():  # noqa: PT011
        raise ValueError("x" * 10_000)

    assert len(str(caught.value)) < 400


def test_own_errors_and_interrupts_pass() -> None:
    with pytest.raises(TrialDiverged, match=r"^nan$"), trial_errors():
        raise TrialDiverged("nan")
    with pytest.raises(KeyboardInterrupt, match="now"), trial_errors():
        raise KeyboardInterrupt("now")
