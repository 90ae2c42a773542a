"""A trial's device in words, as leaderboards and reports show it: `cpu`, or `NVIDIA H100, 1/14 (no cuDNN)`.

The one place that writes and reads these words. Workers import it: it must not import anything heavy.
"""

from collections.abc import Iterable
from fractions import Fraction

CPU = "cpu"
_NO_CUDNN = " (no cuDNN)"
_MOST_PER_GPU = 64  # Ray keeps four decimals of a share: 0.0714 is 1/14


def device_text(gpu: str | None, *, cudnn: bool) -> str:
    """The device of a model.

    Args:
        gpu: a GPU's name; None without one.
        cudnn: whether the model can use cuDNN there.
    """
    if gpu is None:
        return CPU
    return gpu if cudnn else f"{gpu}{_NO_CUDNN}"


def with_share(device: str, gpus: float) -> str:
    """The device with the share of the GPU that the trial has; whole GPUs and CPUs stay as they are."""
    if device == CPU or not 0 < gpus < 1:
        return device
    share = Fraction(gpus).limit_denominator(_MOST_PER_GPU)
    gpu, remark = _split(device)
    return f"{gpu}, {share}{remark}"


def without_share(device: str) -> str:
    """The inverse of `with_share`."""
    gpu, remark = _split(device)
    name, _, share = gpu.rpartition(", ")
    return f"{name}{remark}" if name and share.replace("/", "").isdecimal() else device


def place_of(device: str) -> str:
    """The GPU and the share of it, whatever the model could use there."""
    return _split(device)[0]


def lacks_cudnn(device: str) -> bool:
    """Whether the model could not use cuDNN on its GPU."""
    return device.endswith(_NO_CUDNN)


def packings(devices: Iterable[str | None]) -> list[str]:
    """The different GPUs and shares of them; of these, times per epoch are comparable only within one."""
    return sorted({place_of(device) for device in devices if device and device != CPU})


def _split(device: str) -> tuple[str, str]:
    gpu = device.removesuffix(_NO_CUDNN)
    return gpu, device[len(gpu) :]
