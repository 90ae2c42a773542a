"""Asks TensorFlow for its GPUs, in a process of its own: one that is broken must not end the caller."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum

TENSORFLOW_TIMEOUT_S = 180.0  # importing it takes 6 s, on a cold network disk a minute and more

_LIST_GPUS = """
import json, tensorflow
config = tensorflow.config
gpus = config.list_physical_devices("GPU")
names = [config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
print("GPUS " + json.dumps(names))
"""


class TensorFlowState(StrEnum):
    """The result of asking TensorFlow for its GPUs."""

    WORKS = "works"
    BROKEN = "broken"
    SLOW = "slow"


@dataclass(frozen=True)
class TensorFlowGPUs:
    """The GPUs that TensorFlow lists, or the last line of its error."""

    state: TensorFlowState
    names: tuple[str, ...] = ()
    message: str = ""


def gpus_of_tensorflow(
    timeout_s: float = TENSORFLOW_TIMEOUT_S, program: str = _LIST_GPUS
) -> TensorFlowGPUs:
    """The GPUs that TensorFlow sees, found in a process of its own."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        asked = subprocess.run(
            [sys.executable, "-P", "-c", program],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            env=quiet,
        )
    except subprocess.TimeoutExpired:
        return TensorFlowGPUs(TensorFlowState.SLOW, message=f"no answer in {timeout_s:.0f} s")
    answer = [line for line in asked.stdout.splitlines() if line.startswith("GPUS ")]
    if asked.returncode == 0 and answer:
        names = json.loads(answer[-1].removeprefix("GPUS "))
        return TensorFlowGPUs(TensorFlowState.WORKS, tuple(names))
    printed = asked.stderr.strip().splitlines() or [f"ended with exit code {asked.returncode}"]
    return TensorFlowGPUs(TensorFlowState.BROKEN, message=printed[-1].strip())
