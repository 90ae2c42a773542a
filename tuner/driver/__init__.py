"""Runs a search: Optuna decides, Ray Tune executes. The only package that imports Ray."""

from tuner.driver.progress import (
    Event,
    EventKind,
    LiveTrial,
    SearchListener,
    SearchState,
    SilentListener,
)
from tuner.driver.search import EndReason, SearchOutcome, run_search

__all__ = [
    "EndReason",
    "Event",
    "EventKind",
    "LiveTrial",
    "SearchListener",
    "SearchOutcome",
    "SearchState",
    "SilentListener",
    "run_search",
]
