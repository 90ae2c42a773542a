"""The sessions of a search as its study records them: when each began and ended, and why it ended.

A session is one process that searches, from opening the study to closing it. Its start is written before its first
trial, its end after its last one. A killed session leaves no end, but the seconds that it had searched, which are its
last sign of life. A run made before sessions were recorded has none. Must not import Ray, Keras or Optuna.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tuner.run.study_records import damaged, record_in

_KEY = "session:"  # a study's user attribute, followed by the session's number


class SessionEnd(StrEnum):
    """The reason why a session ended."""

    BUDGET_USED = "budget used"
    INTERRUPTED = "interrupted"  # by a signal
    STOPPED = "stopped"  # by `tuner stop`
    FAILED = "failed"  # by an error
    BUDGET_WAS_USED = "budget was used before"  # so there was no session; never recorded


class SessionRecord(BaseModel):
    """A session as the study has it."""

    model_config = ConfigDict(frozen=True)

    started: AwareDatetime  # UTC
    seconds_before: float  # searched in earlier sessions
    host: str
    process: int
    versions: Mapping[str, str]  # of Python and packages
    ended: AwareDatetime | None = None
    reason: SessionEnd | None = None


@dataclass(frozen=True)
class Session:
    """A session, from its start to its end or to its last sign of life."""

    record: SessionRecord
    last_seen: datetime  # UTC

    @property
    def started(self) -> datetime:
        """When it opened the study, UTC."""
        return self.record.started


def key_of(number: int) -> str:
    """The user attribute that records a session; the first one's number is 0."""
    return f"{_KEY}{number}"


def utc(wall_clock_s: float) -> datetime:
    """The moment that is so many seconds after 1970 began."""
    return datetime.fromtimestamp(wall_clock_s, UTC)


def sessions_in(attributes: Mapping[str, object], seconds: float) -> list[Session]:
    """The sessions that a study's user attributes record, in their order.

    Args:
        attributes: of the study.
        seconds: searched so far, over all sessions.

    Raises:
        RunFolderError: one of the records is damaged.
    """
    count = sum(name.startswith(_KEY) for name in attributes)
    records = [_record(attributes, key_of(number)) for number in range(count)]
    sessions: list[Session] = []
    for record in reversed(records):
        sessions.insert(0, Session(record, record.ended or _last_sign(record, seconds)))
        seconds = record.seconds_before
    return sessions


def versions_at(sessions: Sequence[Session], moment: datetime | None) -> Mapping[str, str]:
    """The versions of the session that ran at a local time; none where that is not recorded."""
    if moment is None:
        return {}
    began = [each for each in sessions if each.started <= moment.astimezone(UTC)]
    return began[-1].record.versions if began else {}


def note_on_versions(sessions: Sequence[Session]) -> str | None:
    """A line for the person where the last session has other versions than the one before."""
    if len(sessions) < 2:
        return None
    before, now = (each.record.versions for each in sessions[-2:])
    changed = [f"{name} {was} is {other} now" for name, was, other in differing(before, now)]
    if not changed:
        return None
    return f"this session has other versions than the one before, so its trials may differ: {', '.join(changed)}"


def differing(versions: Mapping[str, str], others: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The names whose versions differ, each with its version and the other one."""
    return [
        (name, version, others.get(name, "not installed"))
        for name, version in versions.items()
        if version != others.get(name)
    ]


def _record(attributes: Mapping[str, object], key: str) -> SessionRecord:
    record = record_in(attributes, key, SessionRecord)
    if record is None:
        raise damaged(f"no {key} can be read from None")
    return record


def _last_sign(record: SessionRecord, seconds: float) -> datetime:
    """When a session without an end had recorded so many seconds."""
    return record.started + timedelta(seconds=max(0.0, seconds - record.seconds_before))


def seconds_between(start: datetime, end: datetime, *, at_least: float) -> float:
    """The seconds between two times of this machine's clock, as Optuna returns them, which clock changes shift.

    A time in an hour that is repeated means two moments; then the shortest duration of `at_least` seconds is taken.
    """
    starts, ends = (
        [each.replace(fold=fold).timestamp() for fold in (0, 1)] for each in (start, end)
    )
    durations = [ended - started for ended in ends for started in starts]
    return min((each for each in durations if each >= at_least), default=max(durations))
