"""Reads the sessions that a study records."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.run_files import record

from tuner.errors import RunFolderError
from tuner.run.sessions import (
    Session,
    SessionEnd,
    SessionRecord,
    key_of,
    note_on_versions,
    sessions_in,
    utc,
    versions_at,
)

START = 1_800_000_000.0


def content(begin_s: float, seconds_before: float, **more: object) -> dict[str, Any]:
    """As the journal has it."""
    return {
        "started": utc(START + begin_s).isoformat(),
        "seconds_before": seconds_before,
        "host": "h",
        "process": 7,
        "versions": {"python": "3.11"},
        **more,
    }


def test_a_session_lasts_until_its_end() -> None:
    ended = utc(START + 50)
    attributes = {key_of(0): content(0, 0, ended=ended.isoformat(), reason="stopped")}
    (session,) = sessions_in(attributes, seconds=48)
    assert (session.started, session.last_seen) == (utc(START), ended)
    assert session.record.reason is SessionEnd.STOPPED


def test_a_killed_session_lasts_as_long_as_it_had_searched() -> None:
    attributes = {key_of(0): content(0, 0), key_of(1): content(500, 40), "seconds": 100}
    assert [each.last_seen for each in sessions_in(attributes, seconds=100)] == [
        utc(START + 40),
        utc(START + 560),
    ]


def test_the_tenth_session_comes_after_the_second() -> None:
    attributes = {key_of(number): content(number, number) for number in range(12)}
    starts = [each.started for each in sessions_in(attributes, seconds=12)]
    assert starts == sorted(starts)


def test_a_run_made_before_sessions_were_recorded_has_none() -> None:
    assert sessions_in({"seconds": 48.0, "space": {}}, seconds=48) == []


@pytest.mark.parametrize(
    "damage", [None, "no", {"started": "yesterday"}, {**content(0, 0), "host": 3}]
)
def test_a_damaged_session_is_refused_in_one_line(damage: object) -> None:
    with pytest.raises(RunFolderError, match="no session:0 can be read from"):
        sessions_in({key_of(0): damage}, seconds=1)


def test_a_session_that_a_later_version_wrote_is_read() -> None:
    (session,) = sessions_in({key_of(0): content(0, 0, weather="fine")}, seconds=1)
    assert session.started == utc(START)


def session_of(hour: int, **versions: str) -> Session:
    started = datetime(2026, 5, 4, hour, tzinfo=UTC)
    record = SessionRecord(
        started=started, seconds_before=0, host="h", process=1, versions=versions
    )
    return Session(record, started)


def test_a_trial_has_the_versions_of_the_session_that_it_began_in() -> None:
    sessions = [session_of(10, keras="3.14"), session_of(12, keras="3.15")]
    for hour, expected in ((9, {}), (11, {"keras": "3.14"}), (13, {"keras": "3.15"})):
        local = datetime(2026, 5, 4, hour, tzinfo=UTC).astimezone().replace(tzinfo=None)
        assert versions_at(sessions, local) == expected
    assert versions_at(sessions, None) == {}


def test_a_session_with_other_versions_is_told() -> None:
    first, same = (
        session_of(1, keras="3.14", backend="jax"),
        session_of(2, keras="3.14", backend="jax"),
    )
    assert note_on_versions([first]) is None
    assert note_on_versions([first, same]) is None
    more = session_of(3, keras="3.14", backend="jax", torch="2")  # which was not recorded before
    assert note_on_versions([first, more]) is None
    note = note_on_versions([first, session_of(4, keras="3.15")])
    assert note is not None
    assert note.endswith("keras 3.14 is 3.15 now, backend jax is not installed now")


@pytest.mark.usefixtures("central_european_time")
@pytest.mark.parametrize(
    ("begin", "end", "trained_s", "seconds"),
    [
        ("2026-10-24T23:30", "2026-10-25T02:30", 9000, 3 * 3600),  # from 1:30 to 3:30 by the clock
        ("2026-10-25T00:30", "2026-10-25T01:10", 2000, 40 * 60),  # from 2:30 to 2:10
        ("2026-10-25T00:10", "2026-10-25T00:40", 1500, 30 * 60),
        ("2026-03-29T00:30", "2026-03-29T01:30", 3000, 3600),  # from 1:30 to 3:30
        ("2026-06-01T10:00", "2026-06-01T10:01", 61, 60),  # its epochs by another clock
    ],
)
def test_a_trial_lasts_as_long_as_it_does_when_the_clock_changes(
    begin: str, end: str, trained_s: float, seconds: float
) -> None:
    started, ended = (  # as Optuna returns them
        datetime.fromisoformat(each).replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
        for each in (begin, end)
    )
    curve = {1: {"seconds": trained_s}}
    assert record(started=started, ended=ended, curve=curve).seconds == seconds
