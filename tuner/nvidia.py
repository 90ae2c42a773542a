"""NVIDIA's cards on this machine, as its driver reports them: names, memory and its holders, and which of them this
process may use.

Asked through NVML, the driver's library, which is there wherever the driver is; `nvidia-smi` is missing in many
containers. NVML makes no context on a card, so the caller may still configure it. Must not import Ray, Keras or
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

_ANSWER_TIMEOUT_S = 30.0  # without persistence mode each card is started first, which takes seconds
_MB = 2**20
_SAME_SIZE = 1.05  # cards of one kind report nearly the same memory


class MpsMode(StrEnum):
    """Whether a search starts NVIDIA MPS where trials share a card."""

    AUTO = "auto"  # where it can be started
    OFF = "off"


@dataclass(frozen=True)
class CardProcess:
    """A process that computes on a card."""

    pid: int  # the host's: in a container the number of a process is another one
    memory_mb: int | None = None  # MiB that it holds; None where the driver does not tell
    name: str | None = None  # of its program; None where the driver does not tell


@dataclass(frozen=True)
class Card:
    """A card, or a slice of one: what MIG (Multi-Instance GPU) makes of it."""

    uuid: str  # "GPU-…", of a slice "MIG-…"
    name: str
    total_mb: int | None = None  # MiB; None where it is unknown
    free_mb: int | None = None  # what no process holds
    slices: tuple["Card", ...] = ()  # the whole card cannot be used where there are any
    processes: tuple[CardProcess, ...] = ()  # those that the driver shows to this process
    instance: tuple[int, int] | None = None  # of a slice: its GPU instance and compute instance
    capability: tuple[int, int] | None = (
        None  # CUDA's number of the architecture: (9, 0) of an H100
    )
    problem: str = ""  # why the driver tells nothing of it, such as that it has fallen off the bus

    def held_by(self, pid: int) -> int | None:
        """Memory in MiB that a process holds on this card; None where the driver does not tell, as in containers."""
        return next((each.memory_mb for each in self.processes if each.pid == pid), None)


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver and the cards that it lists, in the order of their slots."""

    version: str
    cards: tuple[Card, ...] = ()
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
        cards = tuple(_card_at(nvml, place) for place in range(nvml.nvmlDeviceGetCount()))
        cuda = None
        with suppress(nvml.NVMLError):
            cuda = divmod(nvml.nvmlSystemGetCudaDriverVersion_v2() // 10, 100)  # 12080
        return Driver(nvml.nvmlSystemGetDriverVersion(), cards, cuda)
    finally:
        nvml.nvmlShutdown()


def visible_cards(driver: Driver, environment: Mapping[str, str]) -> tuple[Card, ...]:
    """The cards and slices that CUDA_VISIBLE_DEVICES leaves to a process, in its order.

    It holds places in the list of cards, or UUIDs or beginnings of them, or slices in their old form
    `MIG-GPU-…/GPU instance/compute instance`. As CUDA does, this stops at the first one that names nothing, such as -1.
    Of a card with slices it takes the first. Places are those of the slots, as CUDA counts with
    CUDA_DEVICE_ORDER=PCI_BUS_ID, which `tuner.training.devices` sets.
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


def are_alike(cards: Sequence[Card]) -> bool:
    """Whether these cards are of one kind and size, so that one share is right on all."""
    sizes = [card.total_mb or 0 for card in cards]
    is_one_size = max(sizes, default=0) <= _SAME_SIZE * min(sizes, default=0)
    return is_one_size and len({card.name for card in cards}) <= 1


def first_card(
    environment: Mapping[str, str], ask: Callable[[], Driver | None] = ask_driver
) -> Card | None:
    """The first card or slice that CUDA_VISIBLE_DEVICES leaves, which Keras' backends compute on; None without one."""
    driver = ask()
    visible = visible_cards(driver, environment) if driver is not None else ()
    return visible[0] if visible else None


def _card_at(nvml: Any, place: int) -> Card:
    """The card in a slot; one that does not answer keeps its place, and the others theirs."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(place)
        slices = tuple(_card(nvml, each) for each in _slices(nvml, handle))
        return _card(nvml, handle, slices)
    except nvml.NVMLError as error:
        return Card("", "a GPU that does not answer", problem=str(error))


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
    total_mb = free_mb = instance = capability = None
    with suppress(nvml.NVMLError):  # unified memory, or a divided card seen from a container
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total_mb, free_mb = memory.total // _MB, memory.free // _MB
    with suppress(nvml.NVMLError):  # a whole card
        instance = (
            nvml.nvmlDeviceGetGpuInstanceId(handle),
            nvml.nvmlDeviceGetComputeInstanceId(handle),
        )
    with suppress(nvml.NVMLError):
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        capability = (int(major), int(minor))
    return Card(
        nvml.nvmlDeviceGetUUID(handle),
        nvml.nvmlDeviceGetName(handle),
        total_mb or None,
        free_mb,
        slices,
        tuple(_processes(nvml, handle)),
        instance,
        capability,
    )


def _processes(nvml: Any, handle: Any) -> Iterator[CardProcess]:
    """Those that compute on a card; the driver lists the clients of MPS (Multi-Process Service) separately."""
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
        yield CardProcess(pid, None if size is None else size // _MB, _name_of(nvml, pid))


def _name_of(nvml: Any, pid: int) -> str | None:
    with suppress(nvml.NVMLError):  # such as a process outside of this container
        path = nvml.nvmlSystemGetProcessName(pid)
        return PurePosixPath(path).name or None
    return None


def _usable(card: Card) -> Card:
    return card.slices[0] if card.slices else card


def _find(driver: Driver, name: str) -> Card | None:
    """The card or slice that an entry of CUDA_VISIBLE_DEVICES names."""
    if name.isdecimal():
        place = int(name)
        return _usable(driver.cards[place]) if place < len(driver.cards) else None
    if name.startswith("MIG-GPU-") and name.count("/") == 2:
        return _find_instance(driver, *name.removeprefix("MIG-").split("/"))
    if not name.startswith(("GPU-", "MIG-")):
        return None
    every = [each for card in driver.cards for each in (card, *card.slices)]
    matching = [card for card in every if card.uuid.startswith(name)]
    return _usable(matching[0]) if len(matching) == 1 else None


def _find_instance(driver: Driver, uuid: str, gpu: str, compute: str) -> Card | None:
    """The slice that drivers before version 470 named by its card and two numbers."""
    wanted = (int(gpu), int(compute)) if gpu.isdecimal() and compute.isdecimal() else None
    slices = [each for card in driver.cards if card.uuid == uuid for each in card.slices]
    return next((each for each in slices if each.instance and each.instance == wanted), None)
