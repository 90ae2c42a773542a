"""What a running search tells whoever watches it: its state as one immutable picture, and events as they happen.

The live table and the plain log both draw from this; neither knows Ray or Optuna.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tuner.run.status import TrialStatus
from tuner.settings.objectives import FrontTrial, Objectives


@dataclass(frozen=True)
class LiveTrial:
    """A trial in progress."""

    number: int
    architecture: str
    parameters: Mapping[str, object]
    started: float  # on the search's clock, seconds
    max_epochs: int
    epoch: int = 0  # epochs finished
    score: float | None = None  # best so far
    baseline: bool = False
    label: str | None = None  # what it is called in the place of its number

    @property
    def called(self) -> str:
        """What a person knows it by."""
        return self.label or str(self.number)


@dataclass(frozen=True)
class BestTrial:
    """The best trial so far."""

    number: int
    architecture: str
    score: float


@dataclass(frozen=True)
class SearchState:
    """All that a person wants to see of a running search."""

    name: str
    metric: str
    seconds_before: float  # searched in earlier sittings
    started: float  # of this sitting, on the search's clock
    trial_budget: int | None
    time_budget_s: float | None
    running: tuple[LiveTrial, ...] = ()
    counts: Mapping[TrialStatus, int] = field(default_factory=dict)
    best: BestTrial | None = None
    doing: str = "searching"
    objectives: Objectives | None = None  # where there are two
    front: tuple[FrontTrial, ...] = ()  # of trials that ended, the best by the metric first

    @property
    def finished(self) -> int:
        """Trials that count toward the budget."""
        return sum(self.counts.values())

    @property
    def leader(self) -> BestTrial | None:
        """The best trial of a search; of a confirmation none is told before it is measured where it counts."""
        return self.best if self.doing == "searching" else None


class EventKind(StrEnum):
    """What happened."""

    SEARCH_STARTED = "search started"
    TRIAL_STARTED = "trial started"
    EPOCH_ENDED = "epoch ended"
    TRIAL_ENDED = "trial ended"
    NOTE = "note"  # something a person should know, in `error`; the search goes on


@dataclass(frozen=True)
class Event:
    """Something that happened to a search or to one of its trials."""

    kind: EventKind
    trial: LiveTrial | None = None
    status: TrialStatus | None = None
    error: str | None = None
    score: float | None = None
    seconds: float = 0.0


class SearchListener(Protocol):
    """Watches a search."""

    def on_event(self, event: Event, state: SearchState) -> None:
        """Called in the search's own thread after every event; must be quick."""


class SilentListener:
    """Watches and says nothing."""

    def on_event(self, event: Event, state: SearchState) -> None:
        """Ignores the event."""
