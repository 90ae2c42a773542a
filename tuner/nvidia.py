"""NVIDIA's cards on this machine, as its driver reports them: names, memory, and which of them this process may use.

Asked through NVML, the driver's library, which is there wherever the driver is; `nvidia-smi` is missing in many
containers. NVML makes no context on a card, so the caller may still configure it. Must not import Ray, Keras or
TensorFlow.

`ask_driver` is the only function here that needs a driver. Functions that decide by its answer take a `Driver`, which a
test can make up.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_ANSWER_TIMEOUT_S = 30.0  # without persistence mode each card is started first, which takes seconds
_MB = 2**20


class MpsMode(StrEnum):
    """Whether a search starts NVIDIA MPS where trials share a card."""

    AUTO = "auto"  # where it can be started
    OFF = "off"


@dataclass(frozen=True)
class Card:
    """A card, or a slice of one: what MIG (Multi-Instance GPU) makes of it."""

    uuid: str  # "GPU-…", of a slice "MIG-…"
    name: str
    total_mb: int | None = None  # MiB; None where it is unknown
    free_mb: int | None = None  # what no process holds
    slices: tuple["Card", ...] = ()  # the whole card cannot be used where there are any


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver and the cards that it lists, in the order of their slots."""

    version: str
    cards: tuple[Card, ...] = ()


def ask_driver(timeout_s: float = _ANSWER_TIMEOUT_S) -> Driver | None:
    """The driver's report; None where there is no driver, or it does not answer in time."""
    answers: list[Driver] = []

    def ask() -> None:
        with suppress(Exception):  # no driver, no library, a card that has fallen off the bus
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
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        cards = tuple(
            _card(nvml, handle, tuple(_card(nvml, each) for each in _slices(nvml, handle)))
            for handle in handles
        )
        return Driver(nvml.nvmlSystemGetDriverVersion(), cards)
    finally:
        nvml.nvmlShutdown()


def visible_cards(driver: Driver, environment: Mapping[str, str]) -> tuple[Card, ...]:
    """The cards and slices that CUDA_VISIBLE_DEVICES leaves to a process, in its order.

    It holds places in the list of cards, or UUIDs or beginnings of them. As CUDA does, this stops at the first one that
    names nothing, such as -1. Of a card with slices it takes the first. Places are those of the slots, as CUDA counts
    with CUDA_DEVICE_ORDER=PCI_BUS_ID, which `tuner.training.devices` sets.
    """
    wanted = environment.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return tuple(_usable(card) for card in driver.cards)
    found = []
    for name in wanted.split(","):
        card = _find(driver, name.strip())
        if card is None:
            break
        found.append(card)
    return tuple(found)


def first_gpu_memory_mb(
    environment: Mapping[str, str], ask: Callable[[], Driver | None] = ask_driver
) -> int | None:
    """Memory in MiB of the first card that CUDA_VISIBLE_DEVICES leaves; None where it is unknown."""
    driver = ask()
    visible = visible_cards(driver, environment) if driver is not None else ()
    return visible[0].total_mb if visible else None


def _slices(nvml: Any, card: Any) -> Iterator[Any]:
    """The slices of a card, where MIG divides it."""
    try:
        is_divided = nvml.nvmlDeviceGetMigMode(card)[0] == nvml.NVML_DEVICE_MIG_ENABLE
        places = nvml.nvmlDeviceGetMaxMigDeviceCount(card) if is_divided else 0
    except nvml.NVMLError:  # a card or driver that does not know MIG
        return
    for place in range(places):
        with suppress(nvml.NVMLError):  # an empty place
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, place)


def _card(nvml: Any, handle: Any, slices: tuple[Card, ...] = ()) -> Card:
    total_mb = free_mb = None
    with suppress(nvml.NVMLError):  # unified memory, or a divided card seen from a container
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total_mb, free_mb = memory.total // _MB, memory.free // _MB
    name = nvml.nvmlDeviceGetName(handle)
    return Card(nvml.nvmlDeviceGetUUID(handle), name, total_mb or None, free_mb, slices)


def _usable(card: Card) -> Card:
    return card.slices[0] if card.slices else card


def _find(driver: Driver, name: str) -> Card | None:
    """The card or slice that an entry of CUDA_VISIBLE_DEVICES names."""
    if name.isdecimal():
        place = int(name)
        return _usable(driver.cards[place]) if place < len(driver.cards) else None
    if not name.startswith(("GPU-", "MIG-")):
        return None
    every = [each for card in driver.cards for each in (card, *card.slices)]
    matching = [card for card in every if card.uuid.startswith(name)]
    return _usable(matching[0]) if len(matching) == 1 else None
