"""From hyperparameters to a Keras model: one builder for every architecture, and the way it is trained.

The names below are loaded on first use, because the driver asks `tuner.model.custom` whether a
user's architecture exists and must not load Keras for it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.model.builder import build_model, uses_cudnn
    from tuner.model.compilation import compile_model
    from tuner.model.custom import build_custom_model, check_importable
    from tuner.model.loading import load_model

__all__ = [
    "build_custom_model",
    "build_model",
    "check_importable",
    "compile_model",
    "load_model",
    "uses_cudnn",
]

_HOMES = {
    "build_custom_model": "tuner.model.custom",
    "build_model": "tuner.model.builder",
    "check_importable": "tuner.model.custom",
    "compile_model": "tuner.model.compilation",
    "load_model": "tuner.model.loading",
    "uses_cudnn": "tuner.model.builder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
