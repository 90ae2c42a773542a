"""Reads what a search recorded of itself in its study's user attributes: one model each, or nothing.

Must not import Ray, Keras or Optuna.
"""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tuner.errors import RunFolderError
from tuner.run.attributes import Attribute
from tuner.text import one_line

Record = TypeVar("Record", bound=BaseModel)


def record_in(
    attributes: Mapping[str, object], name: Attribute, kind: type[Record]
) -> Record | None:
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
        raise RunFolderError(
            f"study.journal: damaged (no {name} can be read from {one_line(repr(given))[:80]}); "
            "restore it from a backup, or search again under another --name"
        ) from cause
