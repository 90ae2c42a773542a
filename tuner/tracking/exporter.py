"""The interface of exporters, which copy every trial to another tool."""

import math
from collections.abc import Iterator, Mapping
from typing import Protocol

from tuner.run.records import TrialRecord


class Exporter(Protocol):
    """Copies trials to another tool. Every exception of its methods counts as a failure of the tool."""

    @property
    def name(self) -> str:
        """The tool, as messages name it."""

    def open(self) -> None:
        """Finds out which trials are there already; called again after a failure."""

    def write(self, record: TrialRecord) -> None:
        """Brings the copy of one trial up to `record`; called again as the trial continues."""

    def close(self) -> None:
        """Closes files and connections."""


def timed_epochs(record: TrialRecord) -> Iterator[tuple[int, float, Mapping[str, float]]]:
    """Each epoch, the time when it ended in seconds since 1970, and its metrics; times follow from durations."""
    assert record.started is not None
    now = record.started.timestamp()
    for epoch, metrics in record.curve.items():
        seconds = metrics.get("seconds", 0.0)
        now += seconds if math.isfinite(seconds) else 0.0
        yield epoch, now, metrics
