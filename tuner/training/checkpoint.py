"""A trial's state after its last epoch, in storage that every node can reach, so that it goes on elsewhere from there.

A file a trial, by the hash of all that decides its figures: another trial never takes it up. Nothing is unpickled.
"""

import dataclasses
import hashlib
import io
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.storage import Storage
from tuner.text import one_line
from tuner.training.spec import EpochResult, TrialSpec

_FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """How far a trial has come."""

    epochs: tuple[EpochResult, ...]
    arrays: tuple[NDArray[Any], ...]  # whatever else it needs to go on, in an order of its own


class Checkpoint:
    """The place of one trial's checkpoint.

    Args:
        storage: the folder of the run's checkpoints.
        spec: the trial.
        data: the fingerprint of what it learns from.
    """

    def __init__(self, storage: Storage, spec: TrialSpec, data: str) -> None:
        decides = {
            "format": _FORMAT,
            "data": data,
            "hyperparameters": spec.hyperparameters.model_dump(mode="json"),
            "seed": spec.seed,
            "max_epochs": spec.max_epochs,
            "stop_after": spec.stop_after,
        }
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        self._storage = storage
        self._name = f"{digest[:32]}.npz"

    def load(self) -> Progress | None:
        """What was saved last; None where nothing was, or nothing that can be read."""
        try:
            content = self._storage.read(self._name)
            if content is None:
                return None
            with np.load(io.BytesIO(content), allow_pickle=False) as saved:
                epochs = json.loads(str(saved["epochs"]))
                count = sum(name.startswith("array") for name in saved.files)
                arrays = tuple(saved[f"array{number}"] for number in range(count))
            return Progress(tuple(EpochResult(**epoch) for epoch in epochs), arrays)
        except Exception as error:  # a damaged archive raises many kinds
            self._complain("read", error)
            return None

    def save(self, epochs: Sequence[EpochResult], arrays: Sequence[NDArray[Any]]) -> None:
        """Replaces what was saved. Where that fails, the trial goes on without."""
        content = io.BytesIO()
        texts = json.dumps([dataclasses.asdict(epoch) for epoch in epochs])
        named: dict[str, Any] = {f"array{number}": array for number, array in enumerate(arrays)}
        np.savez(content, epochs=np.array(texts), **named)
        try:
            self._storage.write(self._name, content.getvalue())
        except OSError as error:
            self._complain("written", error)

    def remove(self) -> None:
        """Removes it: the trial has ended."""
        with suppress(OSError):
            self._storage.remove(self._name)

    def _complain(self, what: str, error: Exception) -> None:
        """To the worker's log."""
        text = f"checkpoint cannot be {what}: {one_line(str(error))}"
        print(text, file=sys.stderr)  # noqa: T201
