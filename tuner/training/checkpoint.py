"""A trial's state after its last epoch, in storage that every node can reach, so that it can continue elsewhere.

One file per trial, named by the hash of all that decides its figures, so that no other trial continues from it. Nothing
is unpickled.
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

from tuner.run.run_file import installed_versions
from tuner.settings.metric import Metric
from tuner.storage import Storage
from tuner.text import one_line
from tuner.training.spec import EpochResult, TrialSpec

_FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """The epochs and the state of a trial so far."""

    epochs: tuple[EpochResult, ...]
    arrays: tuple[NDArray[Any], ...]  # the rest of its state, in an order that the trial knows


class Checkpoint:
    """One trial's checkpoint in storage.

    Args:
        storage: the folder of the run's checkpoints.
        spec: the trial.
        data: the fingerprint of what it learns from.
        code: the digest of its architecture's code, where that is a person's own.
        metric: by which the weights of the best epoch are kept beside the last ones; None: they are not.
    """

    def __init__(
        self,
        storage: Storage,
        spec: TrialSpec,
        data: str,
        code: str | None = None,
        metric: Metric | None = None,
    ) -> None:
        decides = {
            "format": _FORMAT,
            "data": data,
            "hyperparameters": spec.hyperparameters.model_dump(mode="json"),
            "seed": spec.seed,
            "max_epochs": spec.max_epochs,
            "stop_after": spec.stop_after,
            **({"part": spec.part} if spec.part else {}),
            **({"code": code} if code else {}),
            "kept": None if metric is None else metric.name,
            "versions": installed_versions(),
        }
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        # Why the last one could not be written, "" where it could; None: none was tried, or it was told.
        self.trouble: str | None = None
        self._storage = storage
        self._name = f"{digest[:32]}.npz"

    def load(self) -> Progress | None:
        """The progress saved last; None where there is none, or none that can be read."""
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
            self._log_failure("read", error)
            return None

    def save(self, epochs: Sequence[EpochResult], arrays: Sequence[NDArray[Any]]) -> None:
        """Replaces the saved progress. If that fails, the trial continues without a checkpoint."""
        content = io.BytesIO()
        texts = json.dumps([dataclasses.asdict(epoch) for epoch in epochs])
        named: dict[str, Any] = {f"array{number}": array for number, array in enumerate(arrays)}
        np.savez(content, epochs=np.array(texts), **named)
        try:
            self._storage.write(self._name, content.getvalue())
            self.trouble = ""
        except OSError as error:
            self._log_failure("written", error)
            self.trouble = one_line(str(error))

    def remove(self) -> None:
        """Removes the checkpoint of a trial that has ended."""
        with suppress(OSError):
            self._storage.remove(self._name)

    def _log_failure(self, action: str, error: Exception) -> None:
        """Writes to the worker's log."""
        text = f"checkpoint cannot be {action}: {one_line(str(error))}"
        print(text, file=sys.stderr)  # noqa: T201
