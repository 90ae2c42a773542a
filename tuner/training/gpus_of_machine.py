"""A trial's share of a GPU where `--gpus-per-trial` is not given: of this machine's, where TensorFlow can use them.

Whoever asked for no GPU must not lose by one, so every doubt is decided for the CPUs. The driver is asked and files are
looked for; TensorFlow, whose import takes seconds, is not asked.
"""

import ctypes.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tuner.machine import keras_backend
from tuner.nvidia import Driver, are_alike, ask_driver, visible_gpus

LEAST_FREE_MB = 4000  # of every GPU: two trials of usual size, at least
# TensorFlow's `python/platform/build_info.py` lists them: ('cudnn_version', '9').
_BUILT_FOR = re.compile(r"\('(cuda|cudnn)_version', '(\d+)[^']*'\)")


def default_gpus(
    environment: Mapping[str, str] = os.environ, ask: Callable[[], Driver | None] = ask_driver
) -> float | Literal["auto"]:
    """What `--gpus-per-trial` is where it is not given: `auto`, or 0.

    `auto` where Keras' backend is TensorFlow and finds its libraries, and all GPUs of this machine answer, are alike
    and have memory free.
    """
    if keras_backend(environment)[0] != "tensorflow":
        return 0.0
    driver = ask()
    gpus = visible_gpus(driver, environment) if driver is not None else ()
    have_room = all((gpu.free_mb or 0) >= LEAST_FREE_MB for gpu in gpus)
    # Libraries last: without a driver the rest takes milliseconds.
    if not gpus or not have_room or not are_alike(gpus) or not finds_cuda(environment):
        return 0.0
    return "auto"


def finds_cuda(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether TensorFlow was built for CUDA, and cuDNN and cuBLAS of its versions are where its loader looks."""
    found = find_spec("tensorflow")
    if found is None or found.origin is None:
        return False
    package = Path(found.origin).parent
    try:
        built_for = dict(
            _BUILT_FOR.findall((package / "python/platform/build_info.py").read_text())
        )
    except OSError:
        return False
    if not {"cuda", "cudnn"} <= set(built_for):
        return False
    folders = list(_library_folders(package.parent, environment))
    libraries = {"cudnn": built_for["cudnn"], "cublas": built_for["cuda"]}
    return all(_is_there(name, version, folders) for name, version in libraries.items())


def _is_there(name: str, version: str, folders: list[Path]) -> bool:
    file = f"lib{name}.so.{version}"
    return any((each / file).exists() for each in folders) or (
        ctypes.util.find_library(name) == file
    )


def _library_folders(site: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Where a person has said that libraries are, and where `tensorflow[and-cuda]` and conda bring them."""
    for folder in environment.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder)
    yield from site.glob("nvidia/*/lib")
    yield Path(sys.prefix) / "lib"
