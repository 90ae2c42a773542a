"""NVIDIA's driver, played by a double of NVML, and what CUDA_VISIBLE_DEVICES leaves of its cards."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from tuner import nvidia
from tuner.nvidia import (
    Card,
    CardProcess,
    Driver,
    ask_driver,
    first_card,
    read_driver,
    visible_cards,
)

GB = 2**30
H100 = Card("GPU-1a2b-1", "NVIDIA H100", 81920, 80000, capability=(9, 0))
T4 = Card("GPU-1a3c-2", "Tesla T4", 15360, 15000)
HALF = Card("MIG-77-1", "NVIDIA A100 MIG 3g.20gb", 20096, 20000, instance=(1, 0))
OTHER_HALF = Card("MIG-78-2", "NVIDIA A100 MIG 3g.20gb", 20096, 9000, instance=(2, 0))
DIVIDED = Card("GPU-9f-3", "NVIDIA A100", 40960, 0, (HALF, OTHER_HALF))
DRIVER = Driver("580.82.07", (H100, T4, DIVIDED), (13, 0))


class Nvml:
    """Stands for the module `pynvml`; its handles are the cards."""

    NVML_DEVICE_MIG_ENABLE = 1

    class NVMLError(Exception):
        pass

    def __init__(self, *cards: Card, knows_mig: bool = True) -> None:
        self.cards = cards
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
        for process in (each for card in self.cards for each in card.processes):
            if process.pid == pid and process.name is not None:
                return f"/usr/bin/{process.name}"
        raise self.NVMLError("Not Found")

    def nvmlDeviceGetCudaComputeCapability(self, card: Card) -> tuple[int, int]:
        if card.capability is None:
            raise self.NVMLError("Not Supported")
        return card.capability

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, place: int) -> Card:
        return self.cards[place]

    def nvmlDeviceGetUUID(self, card: Card) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: Card) -> str:
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> Any:
        if card.total_mb is None or card.free_mb is None:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(total=card.total_mb * 2**20 + 5, free=card.free_mb * 2**20)

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[Any]:
        return [
            SimpleNamespace(
                pid=each.pid,
                usedGpuMemory=None if each.memory_mb is None else each.memory_mb * 2**20 + 9,
            )
            for each in card.processes
        ]

    def nvmlDeviceGetMPSComputeRunningProcesses(self, card: Card) -> list[Any]:
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetGpuInstanceId(self, card: Card) -> int:
        if card.instance is None:
            raise self.NVMLError("Invalid Argument")
        return card.instance[0]

    def nvmlDeviceGetComputeInstanceId(self, card: Card) -> int:
        assert card.instance is not None
        return card.instance[1]

    def nvmlDeviceGetMigMode(self, card: Card) -> list[int]:
        if not self.knows_mig:
            raise self.NVMLError("Not Supported")
        return [int(bool(card.slices)), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, place: int) -> Card:
        if place >= len(card.slices):
            raise self.NVMLError("Not Found")
        return card.slices[place]


def test_cards_and_their_slices_are_read() -> None:
    nvml = Nvml(*DRIVER.cards)
    assert read_driver(nvml) == DRIVER
    assert not nvml.is_open


def test_a_driver_that_does_not_know_mig_has_whole_cards() -> None:
    assert read_driver(Nvml(T4, knows_mig=False)).cards == (T4,)


def test_memory_that_the_driver_does_not_know_is_none() -> None:
    (card,) = read_driver(Nvml(Card("GPU-1", "NVIDIA GB10"))).cards
    assert (card.total_mb, card.free_mb) == (None, None)


def test_processes_on_a_card_are_read_with_the_memory_that_they_hold() -> None:
    busy = Card("GPU-1", "T4", 15360, 9, processes=(CardProcess(7, 600, "python3"), CardProcess(8)))
    (card,) = read_driver(Nvml(busy)).cards
    assert card == busy
    assert (card.held_by(7), card.held_by(8), card.held_by(9)) == (600, None, None)


def test_clients_of_mps_are_listed_apart_and_counted_once() -> None:
    class WithMps(Nvml):
        def nvmlDeviceGetMPSComputeRunningProcesses(self, card: Card) -> list[Any]:
            return [SimpleNamespace(pid=5, usedGpuMemory=400 * 2**20)]

    listed = (CardProcess(5), CardProcess(5, 3), CardProcess(6, 30))
    (card,) = read_driver(WithMps(Card("GPU-1", "T4", 15360, 9, processes=listed))).cards
    assert card.processes == (CardProcess(5, 400), CardProcess(6, 30))


def test_the_library_is_closed_when_the_driver_fails() -> None:
    class Broken(Nvml):
        def nvmlDeviceGetCount(self) -> int:
            raise self.NVMLError("Unknown Error")

    nvml = Broken(T4)
    with pytest.raises(Nvml.NVMLError, match="Unknown Error"):
        read_driver(nvml)
    assert not nvml.is_open


@pytest.mark.parametrize("fails", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName"])
def test_a_card_that_does_not_answer_keeps_its_place(
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
    assert [card.problem for card in driver.cards] == ["GPU is lost", ""]
    assert visible_cards(driver, {"CUDA_VISIBLE_DEVICES": "1"}) == (T4,)
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
def test_visible_cards_are_those_that_cuda_takes(
    variable: str | None, visible: tuple[Card, ...]
) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert visible_cards(DRIVER, environment) == visible


@pytest.mark.parametrize(
    ("variable", "card"), [("1", T4), ("MIG-78-2", OTHER_HALF), ("-1", None), ("7", None)]
)
def test_the_first_card_is_that_of_the_visible_ones(variable: str, card: Card | None) -> None:
    assert first_card({"CUDA_VISIBLE_DEVICES": variable}, lambda: DRIVER) == card


def test_without_a_driver_there_is_no_card() -> None:
    assert first_card({}, lambda: None) is None
    assert first_card({}, lambda: Driver("580")) is None


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
