"""Pauses between sittings are cut out of a search's time, idle time is not."""

from datetime import datetime, timedelta

from support.run_files import record

from tuner.report.clock import SearchClock, unit_for
from tuner.run.records import TrialRecord

START = datetime(2026, 11, 24, 12, 0)


def trial(number: int, begin_s: float, end_s: float) -> TrialRecord:
    return record(
        number,
        started=START + timedelta(seconds=begin_s),
        ended=START + timedelta(seconds=end_s),
    )


def at(clock: SearchClock, seconds: float) -> float:
    return clock.at(START + timedelta(seconds=seconds))


def test_a_night_between_two_sittings_is_cut_out() -> None:
    clock = SearchClock([trial(0, 0, 100), trial(1, 40_000, 40_100)], searched_s=210)
    assert [pause.at_s for pause in clock.pauses] == [100]
    assert at(clock, 50) == 50
    assert at(clock, 20_000) == 100
    assert at(clock, 40_050) == 150


def test_a_gap_within_a_sitting_is_idle_time() -> None:
    clock = SearchClock([trial(0, 0, 100), trial(1, 400, 500)], searched_s=505)
    assert clock.pauses == []
    assert at(clock, 450) == 450


def test_trials_side_by_side_leave_no_gap() -> None:
    clock = SearchClock([trial(0, 0, 900), trial(1, 0, 100), trial(2, 500, 600)], searched_s=300)
    assert clock.pauses == []


def test_without_trials_there_is_no_start() -> None:
    assert SearchClock([], searched_s=3).start is None


def test_a_unit_is_read_at_a_glance() -> None:
    assert [unit_for(s).name for s in (20, 600, 90_000)] == ["seconds", "minutes", "hours"]
