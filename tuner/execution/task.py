"""What all trials of a session share: their data, and the settings that a process which trains needs.

It travels to the processes as it is, so it holds nothing of the driver's. Must not import Ray or Keras.
"""

import hashlib
import secrets
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tuner.data import EncodedSequences, WordVectors
from tuner.data.rotation import rows_for
from tuner.nvidia import MpsMode
from tuner.settings.config import TrainerName
from tuner.settings.metric import Metric


@dataclass(frozen=True, eq=False)
class Rotation:
    """The parts of the training split, and its clusters: each `(n_train,)`, see `tuner.data.rotation`."""

    parts: NDArray[np.int32]
    clusters: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Parts, that of the validation split counted."""
        return 1 + int(self.parts.max())

    @property
    def digest(self) -> str:
        """Of the parts, in hex."""
        return hashlib.sha256(self.parts.tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class TrialRows:
    """What one trial learns from, and what validates it; with the latter's clusters where its error needs them."""

    train: EncodedSequences
    validation: EncodedSequences
    clusters: NDArray[np.int64] | None


@dataclass(frozen=True)
class Task:
    """The data and settings of all trials of a search. The arrays lie once per node in Ray's object store."""

    train: EncodedSequences
    validation: EncodedSequences
    n_classes: int
    trainer: TrainerName
    cpus: float
    logs: str
    checkpoints: str | None = None  # a path or URL
    vectors: WordVectors | None = None
    clusters: NDArray[np.int64] | None = None  # of `validation`, where several share one
    rotation: Rotation | None = None  # where trials are validated by different rows
    fingerprint: str = ""  # of the data, and of the vectors
    mps: MpsMode = MpsMode.OFF
    rests_gpus: bool = False  # that failed again and again: others can train in their place
    trials_per_process: int | None = None  # then a new process takes over; None: any number
    # Where given, the models of complete trials are measured on it and sent with the last report.
    held_out: EncodedSequences | None = None
    metric: Metric | None = None  # decides which epoch is the best; with `held_out`
    folders: tuple[
        str, ...
    ] = ()  # of a person's own modules, where the space has an architecture of theirs
    # A trial whose model cannot be measured fails; it sends one at its end only.
    is_model_required: bool = True
    session: str = field(default_factory=lambda: secrets.token_hex(4))  # see `FaultyGpu`

    def without_data(self) -> "Task":
        """The same task for trials that need no data."""
        nothing = EncodedSequences(
            tokens=np.zeros(0, np.int32),
            offsets=np.zeros(1, np.int64),
            labels=np.zeros(0, np.int32),
        )
        return replace(
            self, train=nothing, validation=nothing, vectors=None, clusters=None, rotation=None
        )

    def rows(self, part: int) -> TrialRows:
        """The rows of a trial that this part of them validates; 0 is the validation split."""
        if self.rotation is None or part == 0:
            return TrialRows(self.train, self.validation, self.clusters)
        train, validation = rows_for(self.train, self.validation, self.rotation.parts, part)
        clusters = self.rotation.clusters[self.rotation.parts == part]
        return TrialRows(train, validation, clusters)
