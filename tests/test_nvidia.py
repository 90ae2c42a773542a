"""NVIDIA's driver, played by a double of NVML, and what CUDA_VISIBLE_DEVICES leaves of its cards."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from tuner import nvidia
from tuner.nvidia import Card, Driver, ask_driver, first_gpu_memory_mb, read_driver, visible_cards

GB = 2**30
H100 = Card("GPU-1a2b-1", "NVIDIA H100", 81920, 80000)
T4 = Card("GPU-1a3c-2", "Tesla T4", 15360, 15000)
HALF = Card("MIG-77-1", "NVIDIA A100 MIG 3g.20gb", 20096, 20000)
OTHER_HALF = Card("MIG-78-2", "NVIDIA A100 MIG 3g.20gb", 20096, 9000)
DIVIDED = Card("GPU-9f-3", "NVIDIA A100", 40960, 0, (HALF, OTHER_HALF))
DRIVER = Driver("580.82.07", (H100, T4, DIVIDED))


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


def test_the_library_is_closed_when_a_card_fails() -> None:
    class Broken(Nvml):
        def nvmlDeviceGetName(self, card: Card) -> str:
            raise self.NVMLError("GPU is lost")

    nvml = Broken(T4)
    with pytest.raises(Nvml.NVMLError, match="GPU is lost"):
        read_driver(nvml)
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
    ],
)
def test_visible_cards_are_those_that_cuda_takes(
    variable: str | None, visible: tuple[Card, ...]
) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert visible_cards(DRIVER, environment) == visible


@pytest.mark.parametrize(
    ("variable", "memory_mb"), [("1", 15360), ("MIG-78-2", 20096), ("-1", None), ("7", None)]
)
def test_memory_is_that_of_the_first_visible_card(variable: str, memory_mb: int | None) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": variable}
    assert first_gpu_memory_mb(environment, lambda: DRIVER) == memory_mb


def test_without_a_driver_the_memory_is_unknown() -> None:
    assert first_gpu_memory_mb({}, lambda: None) is None
    assert first_gpu_memory_mb({}, lambda: Driver("580")) is None


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
