"""What becomes of a trial, in the words of leaderboards. Workers import this, so it imports nothing heavy."""

from dataclasses import dataclass
from enum import StrEnum


class TrialStatus(StrEnum):
    """What became of a trial."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    RUNNING = "running"
    FAILED = "failed"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"

    @property
    def is_ranked(self) -> bool:
        """Whether the trial's score says something about its configuration."""
        return self in {TrialStatus.COMPLETE, TrialStatus.PRUNED, TrialStatus.RUNNING}


@dataclass(frozen=True)
class TrialFacts:
    """What a worker says of a trial that it has begun."""

    seed: int
    host: str
    device: str
    weights: int
