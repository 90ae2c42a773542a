"""The time of a search without the pauses between its sittings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tuner.report.reading import end_of
from tuner.run.records import TrialRecord

_SHORTEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class Pause:
    """Nothing ran because nobody searched."""

    at_s: float  # on the clock
    began: datetime
    ended: datetime

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.ended - self.began).total_seconds()


class SearchClock:
    """Seconds since the first trial began, pauses left out.

    A study tells how long was searched, not when; so the longest gaps in which no trial ran are taken for pauses, as
    long as the search would otherwise have been longer than it was. Shorter gaps are idle time, and stay.
    """

    def __init__(self, records: Sequence[TrialRecord], searched_s: float) -> None:
        """Finds the pauses of a search of `searched_s` seconds."""
        spans = sorted((r.started, end) for r in records if r.started and (end := end_of(r)))
        self.start: datetime | None = spans[0][0] if spans else None
        self.pauses: list[Pause] = []
        if self.start is None:
            return
        gaps: list[tuple[datetime, datetime]] = []
        latest = spans[0][1]
        for begin, end in spans[1:]:
            if begin > latest:
                gaps.append((latest, begin))
            latest = max(latest, end)
        left_out = (latest - self.start).total_seconds() - searched_s
        pauses = []
        for begin, end in sorted(gaps, key=lambda gap: gap[0] - gap[1]):
            seconds = (end - begin).total_seconds()
            # A sitting's start and end belong to the time searched, so a pause is a little shorter than its gap.
            if searched_s > 0 and seconds >= _SHORTEST_PAUSE_S and left_out >= seconds / 2:
                pauses.append((begin, end))
                left_out -= seconds
        for begin, end in sorted(pauses):
            self.pauses.append(Pause(self.at(begin), begin, end))

    def at(self, moment: datetime) -> float:
        """Seconds on the clock at `moment`."""
        assert self.start is not None, "no trial has begun"
        passed = (moment - self.start).total_seconds()
        for pause in self.pauses:
            if moment >= pause.ended:
                passed -= pause.seconds
            elif moment > pause.began:
                passed -= (moment - pause.began).total_seconds()
        return passed


@dataclass(frozen=True)
class Unit:
    """What a time axis counts in."""

    name: str
    seconds: float


def unit_for(seconds: float) -> Unit:
    """The unit in which so long a time is read at a glance."""
    if seconds > 3 * 3600:
        return Unit("hours", 3600.0)
    return Unit("minutes", 60.0) if seconds > 180 else Unit("seconds", 1.0)
