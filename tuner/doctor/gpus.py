"""Whether trials can train on the GPUs that are there: memory, driver, kernels, NVIDIA MPS, and a training step."""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence

from tuner.doctor.backend import TensorFlowAnswer, TensorFlowState
from tuner.doctor.check import DISTRIBUTION, Check, Status, gigabytes, pip_install
from tuner.execution.mps import MpsState
from tuner.nvidia import Driver, Gpu, GpuProcess
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
    gpus = [gpu for gpu in driver.gpus if not gpu.problem] if driver is not None else []
    # Of divided GPUs CUDA shows a process one slice, whatever else there is.
    most = 1 if any(gpu.slices for gpu in gpus) else len(gpus)
    if seen >= most:
        return Check(name, Status.OK, found)
    names = ", ".join(gpu.name for gpu in gpus)
    found = f"TensorFlow sees {seen} of {most}: the machine has {names}"
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        found = f"{found}; CUDA_VISIBLE_DEVICES is {hidden!r}"
        status = Status.OK if seen else Status.WARNING
        return Check(name, status, found, "unset CUDA_VISIBLE_DEVICES, to use them all")
    return Check(name, Status.WARNING, found, pip_install(f"{DISTRIBUTION}[gpu]"))


def check_each_gpu(driver: Driver) -> Iterator[Check]:
    """Each GPU or slice of one: its memory, who holds it, and how many trials that leaves room for."""
    for number, gpu in enumerate(driver.gpus):
        if not gpu.slices:
            yield _check_gpu(f"gpu {number}", gpu)
        for place, part in enumerate(gpu.slices):
            yield _check_gpu(f"gpu {number}, slice {place}", part)


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
    needs_compiling = [gpu for gpu in driver.gpus if not _is_native(gpu, tensorflow.kernels)]
    if needs_compiling:
        found = f"{found}, and it cannot compile that for {needs_compiling[0].name}"
        return Check(name, Status.PROBLEM, found, advice)
    return Check(name, Status.OK, found)


def check_kernels(driver: Driver, tensorflow: TensorFlowAnswer) -> Check | None:
    """Whether TensorFlow has kernels for each GPU, or the driver must compile them; None where that is unknown."""
    name = "gpu kernels"
    found, missing = [], []
    for gpu in dict.fromkeys(driver.gpus):
        if gpu.capability is None or not tensorflow.kernels:
            continue
        which = f"{gpu.name} ({gpu.capability[0]}.{gpu.capability[1]})"
        if _is_native(gpu, tensorflow.kernels):
            found.append(f"{which}: native")
        elif _can_be_compiled(gpu, tensorflow.kernels):
            found.append(f"{which}: compiled by the driver on first use, kept in ~/.nv")
        else:
            missing.append(which)
    if missing:
        has = ", ".join(tensorflow.kernels)
        text = f"TensorFlow has none for {', '.join(missing)}: it has {has}"
        advice = "hide such a GPU: export CUDA_VISIBLE_DEVICES=the numbers of the others"
        return Check(name, Status.PROBLEM, text, advice)
    return Check(name, Status.OK, "; ".join(dict.fromkeys(found))) if found else None


def check_mps(state: MpsState) -> Check:
    """Whether trials that share a GPU compute at once, or take turns."""
    name = "gpu sharing"
    if state.is_running:
        return Check(name, Status.OK, "NVIDIA MPS runs")
    if not state.reason:
        return Check(name, Status.OK, "NVIDIA MPS is started where trials share a GPU")
    found = f"trials that share a GPU take turns, without NVIDIA MPS: {state.reason}"
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


def _check_gpu(name: str, gpu: Gpu) -> Check:
    if gpu.problem:
        advice = "restart the machine, or leave it out: export CUDA_VISIBLE_DEVICES=the numbers of others"
        return Check(name, Status.WARNING, f"does not answer: {gpu.problem}", advice)
    if gpu.total_mb is None or gpu.free_mb is None:
        found = f"{gpu.name}, its memory is unknown"
        return Check(
            name, Status.WARNING, found, "tuner search SPACE --gpus-per-trial 1, or a number"
        )
    fit = gpu.free_mb // MEMORY_PER_TRIAL_MB
    free = f"{gpu.name}, {_gb(gpu.free_mb)} of {_gb(gpu.total_mb)} free{_holders(gpu.processes)}"
    each = f"at {_gb(MEMORY_PER_TRIAL_MB)} per trial"
    if fit:
        room = f"room for {count_text(fit, 'trial')} {each}"
        return Check(
            name, Status.OK, f"{free}: {room}; --gpus-per-trial auto measures your space's"
        )
    advice = "end what holds it, or hide the GPU: export CUDA_VISIBLE_DEVICES=the numbers of others"
    return Check(name, Status.WARNING, f"{free}: no room {each}", advice)


def _holders(processes: Sequence[GpuProcess]) -> str:
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


def _is_native(gpu: Gpu, kernels: Sequence[str]) -> bool:
    """Whether machine code for this GPU is there: that of its major version, of its minor or a lower one."""
    if gpu.capability is None:
        return True  # as far as is known
    major, minor = gpu.capability
    return any(
        kind == "sm" and of[0] == major and (of[1] == minor if exact else of[1] <= minor)
        for kind, of, exact in _parsed(kernels)
    )


def _can_be_compiled(gpu: Gpu, kernels: Sequence[str]) -> bool:
    """Whether the driver can compile code for this GPU: from PTX for it or an older one."""
    assert gpu.capability is not None
    return any(
        kind == "compute" and (of == gpu.capability if exact else of <= gpu.capability)
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
