"""From hyperparameters to a Keras model: one builder for every architecture, and the way it is trained.

The names below are loaded on first use, because the driver asks `tuner.model.custom` whether a
user's architecture exists and must not load Keras for it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.model.builder import build_model, uses_cudnn
    from tuner.model.compilation import compile_model
    from tuner.model.loading import check_loads_again, load_model, why_not_loaded

__all__ = [
    "build_model",
    "check_loads_again",
    "compile_model",
    "load_model",
    "uses_cudnn",
    "why_not_loaded",
]

_HOMES = {
    "build_model": "tuner.model.builder",
    "check_loads_again": "tuner.model.loading",
    "compile_model": "tuner.model.compilation",
    "load_model": "tuner.model.loading",
    "uses_cudnn": "tuner.model.builder",
    "why_not_loaded": "tuner.model.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
