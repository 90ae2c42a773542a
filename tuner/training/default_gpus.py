"""The share of a GPU that a trial has where nobody has said: of the GPUs of this machine that TensorFlow can use.

Asks the driver and looks for a file; TensorFlow, whose import takes seconds, is not asked.
"""

import ctypes.util
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tuner.machine import keras_backend
from tuner.nvidia import Driver, are_alike, ask_driver, visible_cards

_CUDNN = "libcudnn.so.*"


def default_gpus(
    environment: Mapping[str, str] = os.environ, ask: Callable[[], Driver | None] = ask_driver
) -> float | Literal["auto"]:
    """What `--gpus-per-trial` is where nobody has said: `auto` where this machine has GPUs that TensorFlow can use.

    0 without one, and on other backends. 1 where GPUs cannot be shared alike, because they differ or do not tell their
    memory.
    """
    if keras_backend(environment)[0] != "tensorflow":
        return 0.0
    driver = ask()
    cards = visible_cards(driver, environment) if driver is not None else ()
    if not cards or not has_cudnn(environment):  # the first one takes milliseconds without a driver
        return 0.0
    is_known = all(card.total_mb is not None and card.free_mb is not None for card in cards)
    return "auto" if is_known and are_alike(cards) else 1.0


def has_cudnn(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether cuDNN, without which TensorFlow uses no GPU, is where TensorFlow's loader looks for it."""
    is_there = any(any(folder.glob(_CUDNN)) for folder in _library_folders(environment))
    return is_there or ctypes.util.find_library("cudnn") is not None


def _library_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where a person has said that libraries are, and where `tensorflow[and-cuda]` brings them."""
    for folder in environment.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder)
    tensorflow = find_spec("tensorflow")
    if tensorflow is not None and tensorflow.origin is not None:
        yield Path(tensorflow.origin).parents[1] / "nvidia" / "cudnn" / "lib"
