"""NVIDIA's driver, played by a double of NVML, and what CUDA_VISIBLE_DEVICES leaves of its GPUs."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from tuner import nvidia
from tuner.nvidia import (
    Driver,
    Gpu,
    GpuProcess,
    ask_driver,
    first_gpu,
    read_driver,
    visible_gpus,
)

GB = 2**30
H100 = Gpu("GPU-1a2b-1", "NVIDIA H100", 81920, 80000, capability=(9, 0))
T4 = Gpu("GPU-1a3c-2", "Tesla T4", 15360, 15000)
HALF = Gpu("MIG-77-1", "NVIDIA A100 MIG 3g.20gb", 20096, 20000, instance=(1, 0))
OTHER_HALF = Gpu("MIG-78-2", "NVIDIA A100 MIG 3g.20gb", 20096, 9000, instance=(2, 0))
DIVIDED = Gpu("GPU-9f-3", "NVIDIA A100", 40960, 0, (HALF, OTHER_HALF))
DRIVER = Driver("580.82.07", (H100, T4, DIVIDED), (13, 0))


class Nvml:
    """Stands for the module `pynvml`; its handles are the GPUs."""

    NVML_DEVICE_MIG_ENABLE = 1

    class NVMLError(Exception):
        pass

    def __init__(self, *gpus: Gpu, knows_mig: bool = True) -> None:
        self.gpus = gpus
        self.knows_mig = knows_mig
        self.is_open = False

    def nvmlInit(self) -> None:
        self.is_open = True

    def nvmlShutdown(self) -> None:
        self.is_open = False

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.82.07"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 13000

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        for process in (each for gpu in self.gpus for each in gpu.processes):
            if process.pid == pid and process.name is not None:
                return f"/usr/bin/{process.name}"
        raise self.NVMLError("Not Found")

    def nvmlDeviceGetCudaComputeCapability(self, gpu: Gpu) -> tuple[int, int]:
        if gpu.capability is None:
            raise self.NVMLError("Not Supported")
        return gpu.capability

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, place: int) -> Gpu:
        return self.gpus[place]

    def nvmlDeviceGetUUID(self, gpu: Gpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetName(self, gpu: Gpu) -> str:
        return gpu.name

    def nvmlDeviceGetMemoryInfo(self, gpu: Gpu) -> Any:
        if gpu.total_mb is None or gpu.free_mb is None:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(total=gpu.total_mb * 2**20 + 5, free=gpu.free_mb * 2**20)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: Gpu) -> list[Any]:
        return [
            SimpleNamespace(
                pid=each.pid,
                usedGpuMemory=None if each.memory_mb is None else each.memory_mb * 2**20 + 9,
            )
            for each in gpu.processes
        ]

    def nvmlDeviceGetMPSComputeRunningProcesses(self, gpu: Gpu) -> list[Any]:
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetGpuInstanceId(self, gpu: Gpu) -> int:
        if gpu.instance is None:
            raise self.NVMLError("Invalid Argument")
        return gpu.instance[0]

    def nvmlDeviceGetComputeInstanceId(self, gpu: Gpu) -> int:
        assert gpu.instance is not None
        return gpu.instance[1]

    def nvmlDeviceGetMigMode(self, gpu: Gpu) -> list[int]:
        if not self.knows_mig:
            raise self.NVMLError("Not Supported")
        return [int(bool(gpu.slices)), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: Gpu) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: Gpu, place: int) -> Gpu:
        if place >= len(gpu.slices):
            raise self.NVMLError("Not Found")
        return gpu.slices[place]


def test_gpus_and_their_slices_are_read() -> None:
    nvml = Nvml(*DRIVER.gpus)
    assert read_driver(nvml) == DRIVER
    assert not nvml.is_open


def test_a_driver_that_does_not_know_mig_has_whole_gpus() -> None:
    assert read_driver(Nvml(T4, knows_mig=False)).gpus == (T4,)


def test_memory_that_the_driver_does_not_know_is_none() -> None:
    (gpu,) = read_driver(Nvml(Gpu("GPU-1", "NVIDIA GB10"))).gpus
    assert (gpu.total_mb, gpu.free_mb) == (None, None)


def test_processes_on_a_gpu_are_read_with_the_memory_that_they_hold() -> None:
    busy = Gpu("GPU-1", "T4", 15360, 9, processes=(GpuProcess(7, 600, "python3"), GpuProcess(8)))
    (gpu,) = read_driver(Nvml(busy)).gpus
    assert gpu == busy
    assert (gpu.held_by(7), gpu.held_by(8), gpu.held_by(9)) == (600, None, None)


def test_clients_of_mps_are_listed_apart_and_counted_once() -> None:
    class WithMps(Nvml):
        def nvmlDeviceGetMPSComputeRunningProcesses(self, gpu: Gpu) -> list[Any]:
            return [SimpleNamespace(pid=5, usedGpuMemory=400 * 2**20)]

    listed = (GpuProcess(5), GpuProcess(5, 3), GpuProcess(6, 30))
    (gpu,) = read_driver(WithMps(Gpu("GPU-1", "T4", 15360, 9, processes=listed))).gpus
    assert gpu.processes == (GpuProcess(5, 400), GpuProcess(6, 30))


def test_the_library_is_closed_when_the_driver_fails() -> None:
    class Broken(Nvml):
        def nvmlDeviceGetCount(self) -> int:
            raise self.NVMLError("Unknown Error")

    nvml = Broken(T4)
    with pytest.raises(Nvml.NVMLError, match="Unknown Error"):
        read_driver(nvml)
    assert not nvml.is_open


@pytest.mark.parametrize("fails", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName"])
def test_a_gpu_that_does_not_answer_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    nvml = Nvml(H100, T4)
    works = getattr(nvml, fails)

    def lost(given: Any) -> Any:
        if given in (0, H100):
            raise nvml.NVMLError("GPU is lost")
        return works(given)

    monkeypatch.setattr(nvml, fails, lost)
    driver = read_driver(nvml)
    assert [gpu.problem for gpu in driver.gpus] == ["GPU is lost", ""]
    assert visible_gpus(driver, {"CUDA_VISIBLE_DEVICES": "1"}) == (T4,)
    assert not nvml.is_open


@pytest.mark.parametrize(
    ("variable", "visible"),
    [
        (None, (H100, T4, HALF)),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0", (H100,)),
        ("1,0", (T4, H100)),
        (" 1 , 0 ", (T4, H100)),
        ("1,-1,0", (T4,)),
        ("3", ()),
        ("0,9,1", (H100,)),
        ("2", (HALF,)),
        ("GPU-1a3c-2", (T4,)),
        ("GPU-1a3", (T4,)),
        ("GPU-1a", ()),  # two begin so
        ("MIG-78-2", (OTHER_HALF,)),
        ("MIG-77-1,GPU-1a2b-1", (HALF, H100)),
        ("GPU-9f-3", (HALF,)),
        ("MIG-99", ()),
        ("MIG-GPU-9f-3/2/0", (OTHER_HALF,)),
        ("MIG-GPU-9f-3/1/0,MIG-GPU-9f-3/2/0", (HALF, OTHER_HALF)),
        ("MIG-GPU-9f-3/3/0", ()),
        ("MIG-GPU-1a2b-1/1/0", ()),
    ],
)
def test_visible_gpus_are_those_that_cuda_takes(
    variable: str | None, visible: tuple[Gpu, ...]
) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert visible_gpus(DRIVER, environment) == visible


@pytest.mark.parametrize(
    ("variable", "gpu"), [("1", T4), ("MIG-78-2", OTHER_HALF), ("-1", None), ("7", None)]
)
def test_the_first_gpu_is_that_of_the_visible_ones(variable: str, gpu: Gpu | None) -> None:
    assert first_gpu({"CUDA_VISIBLE_DEVICES": variable}, lambda: DRIVER) == gpu


def test_without_a_driver_there_is_no_gpu() -> None:
    assert first_gpu({}, lambda: None) is None
    assert first_gpu({}, lambda: Driver("580")) is None


def test_a_machine_without_a_driver_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert ask_driver() is None


def test_a_driver_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "read_driver", lambda nvml: time.sleep(60))
    began = time.monotonic()
    assert ask_driver(timeout_s=0.2) is None
    assert time.monotonic() - began < 10


def test_the_library_has_the_functions_that_are_used() -> None:
    import pynvml

    wanted = [name for name in dir(Nvml) if name.startswith(("nvml", "NVML"))]
    assert [name for name in wanted if not hasattr(pynvml, name)] == []
