"""Programs that run on JAX, each in a process of its own, for Keras has one backend per process.

`make test` puts JAX into a folder of its own, because TensorFlow imports it where it finds it, which takes two seconds
in every process.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_JAX = Path(sys.prefix) / "jax"
# What is compiled here runs once or twice: without optimization a test takes 15 to 30 % less.
_FAST = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def printed_on_jax(program: str, *options: str) -> Any:
    """What `program` printed as JSON in its last line; Python gets `options`. Skips the test where there is no JAX."""
    if find_spec("jax") is None and not _JAX.is_dir():
        pytest.skip("JAX is not installed; `make test` installs it")
    own = {
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(_JAX)])),
        "XLA_FLAGS": _FAST,
    }
    ended = subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **own},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])
