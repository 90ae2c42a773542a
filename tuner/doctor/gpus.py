"""Whether TensorFlow uses the GPUs that are there."""

import shlex
import sys
from collections.abc import Mapping

from tuner.doctor.backend import TensorFlowGPUs, TensorFlowState
from tuner.doctor.check import DISTRIBUTION, Check, Status, pip_install
from tuner.nvidia import Driver


def check_gpus(
    tensorflow: TensorFlowGPUs, driver: Driver | None, environment: Mapping[str, str]
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
    cards = driver.cards if driver is not None else ()
    if seen >= len(cards):
        return Check(name, Status.OK, found)
    names = ", ".join(card.name for card in cards)
    found = f"TensorFlow sees {seen} of {len(cards)}: the machine has {names}"
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        found = f"{found}; CUDA_VISIBLE_DEVICES is {hidden!r}"
        status = Status.OK if seen else Status.WARNING
        return Check(name, status, found, "unset CUDA_VISIBLE_DEVICES, to use them all")
    return Check(name, Status.WARNING, found, pip_install(f"{DISTRIBUTION}[gpu]"))
