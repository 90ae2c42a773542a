"""What a sink is."""

import math
from collections.abc import Iterator, Mapping
from typing import Protocol

from tuner.run.records import TrialRecord


class Sink(Protocol):
    """A place that trials are copied to. Whatever its methods raise is taken as its failure."""

    @property
    def name(self) -> str:
        """How a person knows it."""

    def open(self) -> None:
        """Finds out what is there already; called again after a failure."""

    def write(self, record: TrialRecord) -> None:
        """Brings one trial up to `record`, whatever of it is there; called again as the trial goes on."""

    def close(self) -> None:
        """Lets go of what is open."""


def timed_epochs(record: TrialRecord) -> Iterator[tuple[int, float, Mapping[str, float]]]:
    """Epochs with the second, since 1970, in which they ended, as far as their own durations tell."""
    assert record.started is not None
    now = record.started.timestamp()
    for epoch, metrics in record.curve.items():
        seconds = metrics.get("seconds", 0.0)
        now += seconds if math.isfinite(seconds) else 0.0
        yield epoch, now, metrics
