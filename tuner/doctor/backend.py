"""Asks TensorFlow for its GPUs and trains on one, in a process of its own: a broken one must not end the caller."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

TENSORFLOW_TIMEOUT_S = 180.0  # importing it takes 6 s, on a cold network disk a minute and more
_END_S = 5.0  # of a process that was killed

_PROGRAM = """
import json, time
import tensorflow as tf

gpus = tf.config.list_physical_devices("GPU")
details = tf.config.experimental.get_device_details
build = tf.sysconfig.get_build_info()
print("GPUS " + json.dumps({
    "names": [details(gpu).get("device_name", gpu.name) for gpu in gpus],
    "cuda": build.get("cuda_version"),
    "kernels": build.get("cuda_compute_capabilities", []),
}), flush=True)
if gpus:
    tf.config.set_visible_devices(gpus[:1], "GPU")
    tf.config.experimental.set_memory_growth(gpus[0], True)
    import keras
    layers = keras.layers
    model = keras.Sequential([keras.Input((None,), dtype="int32"), layers.Embedding(100, 32), layers.LSTM(64),
                              layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", jit_compile=False)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        float(model.train_on_batch(tf.ones((64, 200), tf.int32), tf.ones((64, 1))))
        seconds.append(time.perf_counter() - began)
    print("STEPS " + json.dumps(seconds), flush=True)
"""


class TensorFlowState(StrEnum):
    """The result of asking TensorFlow for its GPUs."""

    WORKS = "works"
    BROKEN = "broken"
    SLOW = "slow"


@dataclass(frozen=True)
class TensorFlowAnswer:
    """The GPUs that TensorFlow lists, how it was built and how it trains; or the last line of its error."""

    state: TensorFlowState
    names: tuple[str, ...] = ()
    message: str = ""
    cuda: str | None = None  # the version that it was built for
    kernels: tuple[str, ...] = ()  # the architectures that it has kernels for: sm_89, compute_90
    step_s: tuple[float, ...] = ()  # of the first training steps on the first GPU
    step_error: str = ""  # why there was none


def ask_tensorflow(
    timeout_s: float = TENSORFLOW_TIMEOUT_S, program: str = _PROGRAM
) -> TensorFlowAnswer:
    """TensorFlow's GPUs, and two training steps on the first of them, in a process of its own."""
    # Its kernels may write to the terminal, and a person may have chosen another backend.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
    asked = subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
    )
    try:
        output, errors = asked.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        asked.kill()
        output = ""
        with suppress(subprocess.TimeoutExpired):  # a driver that hangs keeps it from ending
            output, _ = asked.communicate(timeout=_END_S)
        problem = TensorFlowState.SLOW, f"no answer in {timeout_s:.0f} s"
    else:
        lines = errors.strip().splitlines() or [f"ended with exit code {asked.returncode}"]
        problem = TensorFlowState.BROKEN, lines[-1].strip()
    return _read(output.splitlines(), problem)


def _read(lines: list[str], problem: tuple[TensorFlowState, str]) -> TensorFlowAnswer:
    """The answer in the lines that the program printed; where one is missing, the problem."""
    found = {
        name: json.loads(rest)
        for name, _, rest in (x.partition(" ") for x in lines)
        if name in {"GPUS", "STEPS"}
    }
    if "GPUS" not in found:
        return TensorFlowAnswer(problem[0], message=problem[1])
    gpus = found["GPUS"]
    answer = TensorFlowAnswer(
        TensorFlowState.WORKS,
        tuple(gpus["names"]),
        cuda=gpus["cuda"],
        kernels=tuple(gpus["kernels"]),
    )
    if "STEPS" in found:
        return replace(answer, step_s=tuple(found["STEPS"]))
    return replace(answer, step_error=problem[1]) if answer.names else answer
