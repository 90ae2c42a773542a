"""NVIDIA's GPUs on this machine, as its driver reports them: names, memory and its holders, and which of them this
process may use.

Asked through NVML, the driver's library, which is there wherever the driver is; `nvidia-smi` is missing in many
containers. NVML makes no context on a GPU, so the caller may still configure it. Must not import Ray, Keras or
TensorFlow.

`ask_driver` is the only function here that needs a driver. Functions that decide by its answer take a `Driver`, which a
test can make up.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

_ANSWER_TIMEOUT_S = 30.0  # without persistence mode each GPU is started first, which takes seconds
_MB = 2**20
_SAME_SIZE = 1.05  # GPUs of one kind report nearly the same memory


class MpsMode(StrEnum):
    """Whether a search starts NVIDIA MPS where trials share a GPU."""

    AUTO = "auto"  # where it can be started
    OFF = "off"


@dataclass(frozen=True)
class GpuProcess:
    """A process that computes on a GPU."""

    pid: int  # the host's: in a container the number of a process is another one
    memory_mb: int | None = None  # MiB that it holds; None where the driver does not tell
    name: str | None = None  # of its program; None where the driver does not tell


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a slice of one: what MIG (Multi-Instance GPU) makes of it."""

    uuid: str  # "GPU-…", of a slice "MIG-…"
    name: str
    total_mb: int | None = None  # MiB; None where it is unknown
    free_mb: int | None = None  # what no process holds
    slices: tuple["Gpu", ...] = ()  # the whole GPU cannot be used where there are any
    processes: tuple[GpuProcess, ...] = ()  # those that the driver shows to this process
    instance: tuple[int, int] | None = None  # of a slice: its GPU instance and compute instance
    capability: tuple[int, int] | None = (
        None  # CUDA's number of the architecture: (9, 0) of an H100
    )
    problem: str = ""  # why the driver tells nothing of it, such as that it has fallen off the bus

    def held_by(self, pid: int) -> int | None:
        """Memory in MiB that a process holds on this GPU; None where the driver does not tell, as in containers."""
        return next((each.memory_mb for each in self.processes if each.pid == pid), None)


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver and the GPUs that it lists, in the order of their slots."""

    version: str
    gpus: tuple[Gpu, ...] = ()
    cuda: tuple[int, int] | None = None  # the newest CUDA that it runs


def ask_driver(timeout_s: float = _ANSWER_TIMEOUT_S) -> Driver | None:
    """The driver's report; None where there is no driver, or it does not answer in time."""
    answers: list[Driver] = []

    def ask() -> None:
        with suppress(Exception):  # no driver, no library
            import pynvml

            answers.append(read_driver(pynvml))

    asking = threading.Thread(
        target=ask, name="NVML", daemon=True
    )  # a broken driver hangs for ever
    asking.start()
    asking.join(timeout_s)
    return answers[0] if answers else None


def read_driver(nvml: Any) -> Driver:
    """The driver's answer.

    Args:
        nvml: the module `pynvml`, or a double.

    Raises:
        nvml.NVMLError: there is no driver, or it does not work.
    """
    nvml.nvmlInit()
    try:
        gpus = tuple(_gpu_at(nvml, place) for place in range(nvml.nvmlDeviceGetCount()))
        cuda = None
        with suppress(nvml.NVMLError):
            cuda = divmod(nvml.nvmlSystemGetCudaDriverVersion_v2() // 10, 100)  # 12080
        return Driver(nvml.nvmlSystemGetDriverVersion(), gpus, cuda)
    finally:
        nvml.nvmlShutdown()


def visible_gpus(driver: Driver, environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs and slices that CUDA_VISIBLE_DEVICES leaves to a process, in its order.

    It holds places in the list of GPUs, or UUIDs or beginnings of them, or slices in their old form
    `MIG-GPU-…/GPU instance/compute instance`. As CUDA does, this stops at the first one that names nothing, such as -1.
    Of a GPU with slices it takes the first. Places are those of the slots, as CUDA counts with
    CUDA_DEVICE_ORDER=PCI_BUS_ID, which `tuner.training.devices` sets.
    """
    wanted = environment.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return tuple(_usable(gpu) for gpu in driver.gpus)
    found = []
    for name in wanted.split(","):
        gpu = _find(driver, name.strip())
        if gpu is None:
            break
        found.append(gpu)
    return tuple(found)


def are_alike(gpus: Sequence[Gpu]) -> bool:
    """Whether these GPUs are of one kind and size, so that one share is right on all."""
    sizes = [gpu.total_mb or 0 for gpu in gpus]
    is_one_size = max(sizes, default=0) <= _SAME_SIZE * min(sizes, default=0)
    return is_one_size and len({gpu.name for gpu in gpus}) <= 1


def first_gpu(
    environment: Mapping[str, str], ask: Callable[[], Driver | None] = ask_driver
) -> Gpu | None:
    """The first GPU or slice that CUDA_VISIBLE_DEVICES leaves, which Keras' backends compute on; None without one."""
    driver = ask()
    visible = visible_gpus(driver, environment) if driver is not None else ()
    return visible[0] if visible else None


def _gpu_at(nvml: Any, place: int) -> Gpu:
    """The GPU in a slot; one that does not answer keeps its place, and the others theirs."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(place)
        slices = tuple(_gpu(nvml, each) for each in _slices(nvml, handle))
        return _gpu(nvml, handle, slices)
    except nvml.NVMLError as error:
        return Gpu("", "a GPU that does not answer", problem=str(error))


def _slices(nvml: Any, gpu: Any) -> Iterator[Any]:
    """The slices of a GPU, where MIG divides it."""
    try:
        is_divided = nvml.nvmlDeviceGetMigMode(gpu)[0] == nvml.NVML_DEVICE_MIG_ENABLE
        places = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) if is_divided else 0
    except nvml.NVMLError:  # a GPU or driver that does not know MIG
        return
    for place in range(places):
        with suppress(nvml.NVMLError):  # an empty place
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place)


def _gpu(nvml: Any, handle: Any, slices: tuple[Gpu, ...] = ()) -> Gpu:
    total_mb = free_mb = instance = capability = None
    with suppress(nvml.NVMLError):  # unified memory, or a divided GPU seen from a container
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total_mb, free_mb = memory.total // _MB, memory.free // _MB
    with suppress(nvml.NVMLError):  # a whole GPU
        instance = (
            nvml.nvmlDeviceGetGpuInstanceId(handle),
            nvml.nvmlDeviceGetComputeInstanceId(handle),
        )
    with suppress(nvml.NVMLError):
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        capability = (int(major), int(minor))
    return Gpu(
        nvml.nvmlDeviceGetUUID(handle),
        nvml.nvmlDeviceGetName(handle),
        total_mb or None,
        free_mb,
        slices,
        tuple(_processes(nvml, handle)),
        instance,
        capability,
    )


def _processes(nvml: Any, handle: Any) -> Iterator[GpuProcess]:
    """Those that compute on a GPU; the driver lists the clients of MPS (Multi-Process Service) separately."""
    held: dict[int, int | None] = {}
    for ask in (
        nvml.nvmlDeviceGetMPSComputeRunningProcesses,
        nvml.nvmlDeviceGetComputeRunningProcesses,
    ):
        with suppress(nvml.NVMLError):
            for process in ask(handle):
                known = (held.get(process.pid), process.usedGpuMemory)
                held[process.pid] = max((each for each in known if each is not None), default=None)
    for pid, size in held.items():
        yield GpuProcess(pid, None if size is None else size // _MB, _name_of(nvml, pid))


def _name_of(nvml: Any, pid: int) -> str | None:
    with suppress(nvml.NVMLError):  # such as a process outside of this container
        path = nvml.nvmlSystemGetProcessName(pid)
        return PurePosixPath(path).name or None
    return None


def _usable(gpu: Gpu) -> Gpu:
    return gpu.slices[0] if gpu.slices else gpu


def _find(driver: Driver, name: str) -> Gpu | None:
    """The GPU or slice that an entry of CUDA_VISIBLE_DEVICES names."""
    if name.isdecimal():
        place = int(name)
        return _usable(driver.gpus[place]) if place < len(driver.gpus) else None
    if name.startswith("MIG-GPU-") and name.count("/") == 2:
        return _find_instance(driver, *name.removeprefix("MIG-").split("/"))
    if not name.startswith(("GPU-", "MIG-")):
        return None
    every = [each for gpu in driver.gpus for each in (gpu, *gpu.slices)]
    matching = [gpu for gpu in every if gpu.uuid.startswith(name)]
    return _usable(matching[0]) if len(matching) == 1 else None


def _find_instance(driver: Driver, uuid: str, instance: str, compute: str) -> Gpu | None:
    """The slice that drivers before version 470 named by its GPU and two numbers."""
    wanted = (int(instance), int(compute)) if instance.isdecimal() and compute.isdecimal() else None
    slices = [each for gpu in driver.gpus if gpu.uuid == uuid for each in gpu.slices]
    return next((each for each in slices if each.instance and each.instance == wanted), None)
