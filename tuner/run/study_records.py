"""Reads what was recorded in a study's user attributes: one model each, a number, or nothing.

Must not import Ray, Keras or Optuna.
"""

import math
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tuner.errors import RunFolderError
from tuner.text import one_line

Record = TypeVar("Record", bound=BaseModel)

REMEDY = "restore it from a backup, or search again under another --name"


def damaged(problem: str) -> RunFolderError:
    """The error for a study that can be read but not understood."""
    return RunFolderError(f"study.journal: damaged ({problem}); {REMEDY}")


def number_in(attributes: Mapping[str, object], name: str) -> float:
    """An attribute that is a number; 0 where there is none.

    Raises:
        RunFolderError: it is something else.
    """
    value = attributes.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise damaged(f"{name} must be a number, got {_shown(value)}")
    return value


def record_in(attributes: Mapping[str, object], name: str, kind: type[Record]) -> Record | None:
    """The record under `name`; None before there is one.

    Raises:
        RunFolderError: it is damaged.
    """
    given = attributes.get(name)
    if given is None:
        return None
    try:
        return kind.model_validate(given)
    except ValidationError as cause:
        raise damaged(f"no {name} can be read from {_shown(given)}") from cause


def _shown(value: object) -> str:
    return one_line(repr(value))[:80]
