"""The time axis of a report: seconds searched, session after session without the pauses between them.

A run made before sessions were recorded shows when its trials ran, but not when its sessions began and ended. So all
its time, from the first trial's start to the last trial's end, counts as one session, and pauses show as idle time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tuner.run.records import TrialRecord
from tuner.run.sessions import Session


@dataclass(frozen=True)
class Pause:
    """The time between two sessions."""

    at_s: float  # seconds searched before it
    seconds: float


class SearchTime:
    """Converts a moment to the seconds that had been searched by then.

    Args:
        records: of all trials.
        sessions: in their order; empty where none was recorded.
    """

    def __init__(self, records: Sequence[TrialRecord], sessions: Sequence[Session]) -> None:
        self._recorded = [(session.started, session.last_seen) for session in sessions]
        trials = sorted(
            (self._utc(record.started), self._utc(end))
            for record in records
            if record.started is not None and (end := end_of(record)) is not None
        )
        spans = [*self._recorded]
        earlier = [trial for trial in trials if not spans or trial[0] < spans[0][0]]
        self.is_recorded = not earlier  # whether every trial began in a recorded session
        if earlier:
            spans.insert(0, earlier[0])
        # A killed session's trials may have gone on after it last recorded its seconds.
        limits = pairwise([*(start for start, _ in spans), _NEVER])
        self._spans = [
            (start, max([end, *(e for s, e in trials if start <= s and e < limit)]))
            for (start, end), (_, limit) in zip(spans, limits, strict=True)
        ]

    @property
    def seconds(self) -> float:
        """Seconds searched in all."""
        return sum((end - start).total_seconds() for start, end in self._spans)

    @property
    def pauses(self) -> list[Pause]:
        """The pauses between two sessions each, in their order."""
        return [
            Pause(self.at(end), (start - end).total_seconds())
            for (_, end), (start, _) in pairwise(self._spans)
        ]

    def at(self, moment: datetime) -> float:
        """Seconds searched by `moment`."""
        moment = self._utc(moment)
        return sum(
            (min(moment, end) - start).total_seconds()
            for start, end in self._spans
            if start < moment
        )

    def _utc(self, moment: datetime) -> datetime:
        """A moment in UTC.

        Optuna returns a trial's moments in this machine's time without its zone. In the hour that the end of summer
        time repeats, that is one of two moments: the one during a session, or else the earlier one.
        """
        moments = [moment.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
        searched = (m for m in moments if any(start <= m <= end for start, end in self._recorded))
        return next(searched, moments[0])


def end_of(record: TrialRecord) -> datetime | None:
    """When a trial ended; for one that runs or was interrupted, the end of its last epoch."""
    if record.started is None:
        return None
    if record.ended is None or record.interrupted:
        return record.started + timedelta(seconds=record.trained_s)
    return record.ended


@dataclass(frozen=True)
class Unit:
    """The unit of a time axis."""

    name: str
    seconds: float


def unit_for(seconds: float) -> Unit:
    """The unit in which a time of this length is easy to read."""
    if seconds > 3 * 3600:
        return Unit("hours", 3600.0)
    return Unit("minutes", 60.0) if seconds > 180 else Unit("seconds", 1.0)


_NEVER = datetime.max.replace(tzinfo=UTC)
