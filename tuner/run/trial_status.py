"""How a trial ended, in the words of leaderboards, and what follows from it. Imports nothing heavy: workers load it."""

from dataclasses import dataclass
from enum import StrEnum


class TrialStatus(StrEnum):
    """How a trial ended, or that it runs."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    RUNNING = "running"
    FAILED = "failed"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"

    @property
    def is_broken(self) -> bool:
        """Whether the trial ended by an error; its score is no evidence of its configuration."""
        return self in {TrialStatus.FAILED, TrialStatus.DIVERGED, TrialStatus.OUT_OF_MEMORY}

    @property
    def is_ranked(self) -> bool:
        """Whether the trial's score counts, of a running one the score so far."""
        return not self.is_broken

    @property
    def has_worked(self) -> bool:
        """Whether the trial ended in order: trained to its end, or stopped because others were better."""
        return not self.is_broken and self is not TrialStatus.RUNNING


@dataclass(frozen=True)
class TrialFacts:
    """The facts that a worker reports when its trial begins."""

    seed: int
    host: str
    device: str
    weights: int
    code: str | None = None  # a digest of the architecture's code, where it is a person's own
    part: int | None = None  # of the rows, which validates it, where such parts take turns
