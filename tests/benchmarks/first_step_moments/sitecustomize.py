"""Python imports this at its start where it is on the path: notes the moments of `first_step.py` in any process.

A line per moment: seconds since 1970, the function's name, and whether it begins or ends.
"""

import functools
import os
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

FUNCTIONS = {
    "tuner.data": "load_dataset",
    "ray._private.worker": "init",
    "tuner.training.trial": "Training.__init__",
    "tuner.training.steps": "make_train_step",
}
MODULE = "tuner.execution.search"  # the end of its import is a moment
STEP = "first_step"  # the first call of what `make_train_step` gives


def note(name: str, edge: str) -> None:
    with open(os.environ["FIRST_STEP_LOG"], "a", encoding="ascii") as log:
        log.write(f"{time.time()} {name} {edge}\n")


def noted(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        note(name, "begin")
        result = function(*arguments, **options)
        note(name, "end")
        return noted(result, STEP) if name == "make_train_step" else result

    return call


class Finder:
    """Changes a function of a module right after its import."""

    @staticmethod
    def find_spec(name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name not in FUNCTIONS and name != MODULE:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            if name == MODULE:
                note("search", "end")
                return
            *owners, last = FUNCTIONS[name].split(".")
            owner = functools.reduce(getattr, owners, module)
            setattr(owner, last, noted(getattr(owner, last), FUNCTIONS[name]))

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


if "FIRST_STEP_LOG" in os.environ:
    sys.meta_path.insert(0, Finder)
