"""The configurations of earlier runs that a search tries first.

A person names runs; a search reads them once and records what it found in its `run.yaml`, by value, so that it goes on
without them. Must not import Ray, Keras or Optuna.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from tuner.settings.declarations import Group, Setting
from tuner.settings.hyperparameters import Scalar
from tuner.settings.places import PathText
from tuner.settings.validation import Strict


class Starter(Strict):
    """One configuration of an earlier run."""

    trial: str  # its run's name and its number: `seed-imdb:17`
    configuration: dict[str, Scalar]  # the architecture, and every parameter that the space varies


def _as_list(given: object) -> object:
    return [given] if isinstance(given, str | Path) else given


class Starters(Strict):
    """The runs to learn from, and what was found in them."""

    learn_from: Annotated[
        tuple[PathText, ...],
        BeforeValidator(_as_list, json_schema_input_type=str | Path | Sequence[str | Path]),
        Setting(
            Group.SEARCH,
            "An earlier run, on any data: its best configurations that lie in the space are tried first; may be given "
            "several times",
            "RUN",
            unset="none",
        ),
    ] = ()
    found: tuple[Starter, ...] = ()  # recorded, not asked for
