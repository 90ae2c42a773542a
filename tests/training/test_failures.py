"""Every exception of a backend becomes the right TrialError."""

import pytest

from tuner.errors import (
    DeviceFault,
    TrialDiverged,
    TrialFailed,
    TrialOutOfMemory,
)
from tuner.run.trial_status import TrialStatus
from tuner.training.failures import status_of, trial_error, trial_errors


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class InternalError(Exception):
    """Named as TensorFlow's."""


class InvalidArgumentError(Exception):
    """Named as TensorFlow's."""


class XlaRuntimeError(RuntimeError):
    """Named as JAX's."""


_GRAPH = "Graph execution error:\n\nDetected at node sequential/lstm/CudnnRNNV3 defined at (most recent call last):\n"


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


# Texts of full GPUs: of the measurement of 2026-11-26 on an H100, and of reports to TensorFlow, JAX and torch.
@pytest.mark.parametrize(
    "error",
    [
        InternalError("cudaSetDevice() on GPU:0 failed. Status: out of memory"),
        InternalError(
            "'cuLaunchKernel(function, gridX, gridY, gridZ, blockX, blockY, blockZ, 0, stream, params, nullptr)' "
            "failed with 'CUDA_ERROR_OUT_OF_MEMORY'"
        ),
        InternalError(
            f"{_GRAPH}Attempting to perform BLAS operation using StreamExecutor without BLAS support"
        ),
        InternalError("failed to create cublas handle: the resource allocation failed"),
        InternalError("failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED"),
        InternalError("CUBLAS_STATUS_ALLOC_FAILED"),
        InternalError("Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR"),
        InternalError("CUDNN_STATUS_ALLOC_FAILED\nin cuda_dnn.cc(2040): 'cudnnRNNForward'"),
        InvalidArgumentError(f"{_GRAPH}No DNN in stream executor. [[{{{{node CudnnRNNV3}}}}]]"),
        InvalidArgumentError("DNN library initialization failed. Look at the errors above"),
        XlaRuntimeError("INTERNAL: Failed to allocate 1073741824 bytes for new constant"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_a_full_gpu_is_out_of_memory_in_whatever_words(error: Exception) -> None:
    assert isinstance(trial_error(error), TrialOutOfMemory)
    assert status_of(error) is TrialStatus.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("error", "is_gpu_full"),
    [
        (MemoryError(), False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), False),
        (
            ResourceExhaustedError(
                "OOM when allocating tensor with shape[9] on /job:localhost/device:CPU:0 by allocator cpu"
            ),
            False,
        ),
        (
            ResourceExhaustedError(
                "OOM when allocating tensor with shape[9] on /job:localhost/device:GPU:0 by allocator GPU_0_bfc"
            ),
            True,
        ),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
    ],
)
def test_the_machines_memory_is_told_from_the_gpus(error: Exception, is_gpu_full: bool) -> None:
    found = trial_error(error)
    assert isinstance(found, TrialOutOfMemory)
    assert found.is_gpu_full == is_gpu_full


@pytest.mark.parametrize(
    "error",
    [
        InternalError(
            "'cuLaunchKernel(function, gridX, …)' failed with 'CUDA_ERROR_ILLEGAL_ADDRESS'"
        ),
        InternalError(
            "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered\n"
            "Failed to allocate 8 bytes"  # all that follows fails, too
        ),
        InternalError("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
        InternalError("CUDA_ERROR_MPS_CONNECTION_FAILED: MPS client failed to connect to …"),
        RuntimeError("CUDA error: the MPS client has been terminated by the server"),
        RuntimeError("CUDA error: MPS server is not ready to accept new MPS client requests"),
        RuntimeError(
            "CUDA error: the remote procedural call between the MPS server and the MPS client failed"
        ),
    ],
)
def test_a_fault_of_the_gpu_is_not_the_models(error: Exception) -> None:
    assert isinstance(trial_error(error), DeviceFault)


def test_the_reason_is_the_line_that_tells_it() -> None:
    error = trial_error(InvalidArgumentError(f"{_GRAPH}No DNN in stream executor."))

    assert str(error).startswith("InvalidArgumentError: No DNN in stream executor.;")


@pytest.mark.keras
def test_a_real_resource_exhausted_error_of_tensorflow_is_out_of_memory() -> None:
    import tensorflow as tf

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
