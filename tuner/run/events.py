"""How a running search reports: its state as one immutable value, and events as they happen.

The live table and the plain log are drawn from these alone and need neither Ray nor Optuna. `tuner.run.progress` reads
both from the study.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tuner.run.ensemble import EnsembleRecord
from tuner.run.epoch_parts import EpochPart
from tuner.run.reference_record import ReferenceRecord
from tuner.run.trial_status import TrialStatus
from tuner.settings.objectives import FrontTrial, Objectives


@dataclass(frozen=True)
class LiveTrial:
    """A trial in progress."""

    number: int
    architecture: str
    parameters: Mapping[str, object]  # those that the space varies
    started: float  # seconds, on the listener's clock
    max_epochs: int
    epoch: int = 0  # epochs finished
    score: float | None = None  # best so far
    baseline: bool = False
    starter: str | None = None  # the trial of an earlier run that has the same configuration
    label: str | None = None  # shown in place of its number
    part: EpochPart | None = None  # of the epoch that it trains now, where that is known

    @property
    def name(self) -> str:
        """Its name in tables and messages."""
        return self.label or str(self.number)


@dataclass(frozen=True)
class BestTrial:
    """The best trial so far."""

    number: int
    architecture: str
    score: float


@dataclass(frozen=True)
class SearchState:
    """Everything that a view of a running search shows."""

    name: str
    metric: str
    objectives: Objectives
    seconds: float  # searched over all sessions, as recorded in the study
    seconds_read_at: float  # when they were read, on the listener's clock
    trial_budget: int | None
    time_budget_s: float | None
    running: tuple[LiveTrial, ...] = ()
    counts: Mapping[TrialStatus, int] = field(default_factory=dict)
    best: BestTrial | None = None
    activity: str = "searching"
    front: tuple[FrontTrial, ...] = ()  # of trials that ended, the best by the metric first

    ensemble: EnsembleRecord | None = None  # the best trials averaged; None before there is one
    reference: ReferenceRecord | None = None  # the linear one; None before it is measured

    @property
    def finished(self) -> int:
        """Trials that count toward the budget."""
        return sum(self.counts.values())

    @property
    def leader(self) -> BestTrial | None:
        """The best trial of a search; None of a confirmation, whose result is measured on another split."""
        return self.best if self.activity == "searching" else None

    def seconds_at(self, now: float) -> float:
        """Seconds searched by `now`, on the listener's clock."""
        return self.seconds + now - self.seconds_read_at


class EventKind(StrEnum):
    """The kinds of events."""

    SEARCH_STARTED = "search started"
    TRIAL_STARTED = "trial started"
    EPOCH_CONTINUES = "epoch continues"  # how far it is, every few seconds
    EPOCH_ENDED = "epoch ended"
    TRIAL_ENDED = "trial ended"
    REFERENCE_MEASURED = "reference measured"  # the linear one, beside the trials
    NOTE = "note"  # a warning, in `error`; the search continues


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
    """Follows a search."""

    def on_event(self, event: Event, state: SearchState) -> None:
        """Called after every event, in the search's own thread; must be quick."""


class SilentListener:
    """Ignores every event."""

    def on_event(self, event: Event, state: SearchState) -> None:
        """Does nothing."""
