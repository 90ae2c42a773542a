"""Whether trials can train on the GPUs that are there: memory, driver, kernels, NVIDIA MPS, and a training step."""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence

from tuner.doctor.backend import TensorFlowAnswer, TensorFlowState
from tuner.doctor.check import DISTRIBUTION, Check, Status, gigabytes, pip_install
from tuner.execution.mps import MpsState
from tuner.nvidia import Card, CardProcess, Driver
from tuner.text import count_text

# An LSTM of usual size with its CUDA context, cuDNN and cuBLAS. `--gpus-per-trial auto` measures a space's largest.
MEMORY_PER_TRIAL_MB = 2000

_MOST_PROCESSES = 5  # that are named
_MB = 2**20
_KERNEL = re.compile(r"(?P<kind>sm|compute)_(?P<major>\d+)(?P<minor>\d)(?P<exact>[af]?)")


def check_gpus(
    tensorflow: TensorFlowAnswer, driver: Driver | None, environment: Mapping[str, str]
) -> Check:
    """Whether TensorFlow starts and sees the GPUs that are there."""
    name = "gpus"
    if tensorflow.state is TensorFlowState.BROKEN:
        advice = pip_install("--force-reinstall", "tensorflow")
        return Check(name, Status.PROBLEM, f"TensorFlow fails: {tensorflow.message}", advice)
    if tensorflow.state is TensorFlowState.SLOW:
        found = f"TensorFlow did not start: {tensorflow.message}"
        advice = f'{shlex.quote(sys.executable)} -c "import tensorflow", to see what it waits for'
        return Check(name, Status.WARNING, found, advice)
    seen = len(tensorflow.names)
    found = ", ".join(tensorflow.names) or "none: trials run on CPUs"
    cards = [card for card in driver.cards if not card.problem] if driver is not None else []
    # Of divided cards CUDA shows a process one slice, whatever else there is.
    most = 1 if any(card.slices for card in cards) else len(cards)
    if seen >= most:
        return Check(name, Status.OK, found)
    names = ", ".join(card.name for card in cards)
    found = f"TensorFlow sees {seen} of {most}: the machine has {names}"
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        found = f"{found}; CUDA_VISIBLE_DEVICES is {hidden!r}"
        status = Status.OK if seen else Status.WARNING
        return Check(name, status, found, "unset CUDA_VISIBLE_DEVICES, to use them all")
    return Check(name, Status.WARNING, found, pip_install(f"{DISTRIBUTION}[gpu]"))


def check_cards(driver: Driver) -> Iterator[Check]:
    """Each card or slice of one: its memory, who holds it, and how many trials that leaves room for."""
    for number, card in enumerate(driver.cards):
        if not card.slices:
            yield _check_card(f"gpu {number}", card)
        for place, part in enumerate(card.slices):
            yield _check_card(f"gpu {number}, slice {place}", part)


def check_driver(driver: Driver, tensorflow: TensorFlowAnswer) -> Check:
    """Whether NVIDIA's driver is new enough for TensorFlow."""
    name = "gpu driver"
    runs = "an unknown CUDA" if driver.cuda is None else f"CUDA {driver.cuda[0]}.{driver.cuda[1]}"
    built = _version(tensorflow.cuda)
    found = f"{driver.version}, for {runs} and older"
    if built is None:
        return Check(name, Status.OK, found)
    found = f"{found}; TensorFlow was built for CUDA {tensorflow.cuda}"
    if driver.cuda is None or driver.cuda >= built:
        return Check(name, Status.OK, found)
    advice = f"install a newer driver of NVIDIA, for CUDA {built[0]}.{built[1]} or newer"
    if driver.cuda[0] < built[0]:
        return Check(name, Status.PROBLEM, found, advice)
    # It runs what was compiled for this major version, but compiles nothing that is newer than itself.
    needs_compiling = [card for card in driver.cards if not _is_native(card, tensorflow.kernels)]
    if needs_compiling:
        found = f"{found}, and it cannot compile that for {needs_compiling[0].name}"
        return Check(name, Status.PROBLEM, found, advice)
    return Check(name, Status.OK, found)


def check_kernels(driver: Driver, tensorflow: TensorFlowAnswer) -> Check | None:
    """Whether TensorFlow has kernels for each card, or the driver must compile them; None where that is unknown."""
    name = "gpu kernels"
    found, missing = [], []
    for card in dict.fromkeys(driver.cards):
        if card.capability is None or not tensorflow.kernels:
            continue
        which = f"{card.name} ({card.capability[0]}.{card.capability[1]})"
        if _is_native(card, tensorflow.kernels):
            found.append(f"{which}: native")
        elif _can_be_compiled(card, tensorflow.kernels):
            found.append(f"{which}: compiled by the driver on first use, kept in ~/.nv")
        else:
            missing.append(which)
    if missing:
        has = ", ".join(tensorflow.kernels)
        text = f"TensorFlow has none for {', '.join(missing)}: it has {has}"
        advice = "hide such a card: export CUDA_VISIBLE_DEVICES=the numbers of the others"
        return Check(name, Status.PROBLEM, text, advice)
    return Check(name, Status.OK, "; ".join(dict.fromkeys(found))) if found else None


def check_mps(state: MpsState) -> Check:
    """Whether trials that share a card compute at once, or take turns."""
    name = "gpu sharing"
    if state.is_running:
        return Check(name, Status.OK, "NVIDIA MPS runs")
    if not state.reason:
        return Check(name, Status.OK, "NVIDIA MPS is started where trials share a card")
    found = f"trials that share a card take turns, without NVIDIA MPS: {state.reason}"
    advice = (
        "docs/guides/gpus.md has what MPS needs; it comes with NVIDIA's driver, "
        "into a container with NVIDIA_DRIVER_CAPABILITIES=compute,utility"
    )
    return Check(name, Status.WARNING, found, advice)


def check_step(tensorflow: TensorFlowAnswer) -> Check | None:
    """Whether an LSTM trains on the first GPU; None where TensorFlow sees none."""
    name = "gpu training"
    if not tensorflow.names:
        return None
    if tensorflow.step_error:
        found = f"an LSTM's step on {tensorflow.names[0]} failed: {tensorflow.step_error}"
        advice = f"free its memory if that is full; else {pip_install('--upgrade', f'{DISTRIBUTION}[gpu]')}"
        return Check(name, Status.PROBLEM, found, advice)
    first, *others = tensorflow.step_s
    found = f"an LSTM's first step on {tensorflow.names[0]} took {first:.1f} s, the next {others[-1]:.3f} s"
    return Check(name, Status.OK, found)


def _check_card(name: str, card: Card) -> Check:
    if card.problem:
        advice = "restart the machine, or leave it out: export CUDA_VISIBLE_DEVICES=the numbers of others"
        return Check(name, Status.WARNING, f"does not answer: {card.problem}", advice)
    if card.total_mb is None or card.free_mb is None:
        found = f"{card.name}, its memory is unknown"
        return Check(
            name, Status.WARNING, found, "tuner search SPACE --gpus-per-trial 1, or a number"
        )
    fit = card.free_mb // MEMORY_PER_TRIAL_MB
    free = (
        f"{card.name}, {_gb(card.free_mb)} of {_gb(card.total_mb)} free{_holders(card.processes)}"
    )
    each = f"at {_gb(MEMORY_PER_TRIAL_MB)} per trial"
    if fit:
        room = f"room for {count_text(fit, 'trial')} {each}"
        return Check(
            name, Status.OK, f"{free}: {room}; --gpus-per-trial auto measures your space's"
        )
    advice = (
        "end what holds it, or hide the card: export CUDA_VISIBLE_DEVICES=the numbers of others"
    )
    return Check(name, Status.WARNING, f"{free}: no room {each}", advice)


def _holders(processes: Sequence[CardProcess]) -> str:
    if not processes:
        return ""
    largest = sorted(processes, key=lambda each: -(each.memory_mb or 0))
    named = [
        f"{each.name or 'process'} {each.pid}"
        + (f" ({_gb(each.memory_mb)})" if each.memory_mb else "")
        for each in largest[:_MOST_PROCESSES]
    ]
    others = len(processes) - len(named)
    return f", held by {', '.join(named)}{f' and {others} more' if others else ''}"


def _is_native(card: Card, kernels: Sequence[str]) -> bool:
    """Whether machine code for this card is there: that of its major version, of its minor or a lower one."""
    if card.capability is None:
        return True  # as far as is known
    major, minor = card.capability
    return any(
        kind == "sm" and of[0] == major and (of[1] == minor if exact else of[1] <= minor)
        for kind, of, exact in _parsed(kernels)
    )


def _can_be_compiled(card: Card, kernels: Sequence[str]) -> bool:
    """Whether the driver can compile code for this card: from PTX for it or an older one."""
    assert card.capability is not None
    return any(
        kind == "compute" and (of == card.capability if exact else of <= card.capability)
        for kind, of, exact in _parsed(kernels)
    )


def _parsed(kernels: Sequence[str]) -> Iterator[tuple[str, tuple[int, int], bool]]:
    """`sm_89`: machine code for (8, 9) to 8.x; `compute_90`: PTX for (9, 0) and later; with `a`: for no other."""
    for kernel in kernels:
        if found := _KERNEL.fullmatch(kernel):
            yield found["kind"], (int(found["major"]), int(found["minor"])), bool(found["exact"])


def _version(text: str | None) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None


def _gb(memory_mb: int) -> str:
    return gigabytes(memory_mb * _MB)
