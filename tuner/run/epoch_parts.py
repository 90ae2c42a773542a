"""How far running trials are in their epochs: shown while a search runs, and kept nowhere else.

The study records what must survive, and this need not: a worker reports it every few seconds, the searching process
writes it to `logs/epochs.json` for `tuner watch` and `tuner status`. It decides only which trials hang. Must not
import Ray, Keras or Optuna.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field, FiniteFloat, TypeAdapter

from tuner.files import write_atomically
from tuner.run.folder import RunFolder


@dataclass(frozen=True)
class EpochPart:
    """The part of an epoch that a trial has trained, with its figures so far."""

    epoch: Annotated[int, Field(ge=1)]  # counted from 1; it has not ended
    share: Annotated[FiniteFloat, Field(ge=0, le=1)]  # of its steps
    # Means over the batches of these steps, with dropout, while the weights moved.
    loss: FiniteFloat
    accuracy: FiniteFloat


_FILE = TypeAdapter(dict[str, dict[int, EpochPart]])  # by study, by trial


def write_epoch_parts(folder: RunFolder, study: str, parts: Mapping[int, EpochPart]) -> None:
    """Replaces the file; where it cannot be written, nothing.

    Args:
        study: the name of the study that the trials are of.
        parts: by trial.
    """
    content = {study: {number: asdict(part) for number, part in parts.items()}}
    with suppress(OSError):
        write_atomically(folder.epoch_parts, json.dumps(content))


def read_epoch_parts(folder: RunFolder, study: str) -> Mapping[int, EpochPart]:
    """How far the trials of a study are, by trial; nothing where the file is not there or damaged.

    A search that was killed leaves the file, so a trial in it need not run.
    """
    with suppress(OSError, ValueError, RecursionError):
        return _FILE.validate_json(folder.epoch_parts.read_bytes()).get(study, {})
    return {}
