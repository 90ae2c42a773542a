"""The time axis has the sessions one after the other; idle time within one stays."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.golden import golden_run
from support.run_files import record

from tuner.report.figures.timeline import timeline
from tuner.report.reading import Reading, read_run
from tuner.report.search_time import SearchTime, unit_for
from tuner.run.records import TrialRecord
from tuner.run.sessions import Session, SessionRecord

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def trial(number: int, begin_s: float, end_s: float) -> TrialRecord:
    """As the study has it, in this machine's time."""
    started, ended = (moment(s).astimezone().replace(tzinfo=None) for s in (begin_s, end_s))
    return record(number, started=started, ended=ended)


def session(begin_s: float, end_s: float) -> Session:
    content = SessionRecord(
        started=moment(begin_s), seconds_before=0, host="h", process=1, versions={}
    )
    return Session(content, moment(end_s))


def at(time: SearchTime, *seconds: float) -> list[float]:
    return [time.at(moment(each)) for each in seconds]


def pauses(time: SearchTime) -> list[tuple[float, float]]:
    return [(pause.at_s, pause.seconds) for pause in time.pauses]


def made(trials: Sequence[TrialRecord], *sessions: Session) -> SearchTime:
    return SearchTime(trials, sessions)


def test_a_night_between_two_sessions_is_cut_out() -> None:
    time = made(
        [trial(0, 10, 100), trial(1, 40_005, 40_100)], session(0, 110), session(40_000, 40_110)
    )
    assert pauses(time) == [(110, 39_890)]
    assert at(time, 50, 20_000, 40_050) == [50, 110, 160]
    assert time.seconds == 220
    assert time.is_recorded


def test_a_gap_within_a_session_is_idle_time() -> None:
    time = made([trial(0, 0, 100), trial(1, 400, 500)], session(0, 505))
    assert pauses(time) == []
    assert at(time, 450) == [450]


def test_a_killed_session_lasts_until_the_last_trial_that_it_saw() -> None:
    time = made([trial(0, 5, 95), trial(1, 305, 400)], session(0, 90), session(300, 410))
    assert pauses(time) == [(95, 205)]


def test_without_sessions_the_trials_give_the_time_searched() -> None:
    time = made([trial(0, 0, 100), trial(1, 400, 500)])
    assert pauses(time) == []
    assert at(time, 450, 500) == [450, 500]
    assert time.seconds == 500
    assert not time.is_recorded


def test_trials_before_the_first_recorded_session_count_as_one_session() -> None:
    time = made([trial(0, 0, 100), trial(1, 50, 200), trial(2, 1005, 1100)], session(1000, 1110))
    assert pauses(time) == [(200, 800)]
    assert time.seconds == 310
    assert not time.is_recorded


def test_without_trials_nothing_was_searched() -> None:
    assert made([]).seconds == 0


@pytest.mark.usefixtures("central_european_time")
def test_a_trial_in_the_repeated_hour_of_the_clock_change_is_in_its_session() -> None:
    change = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    start_s = (change - START).total_seconds()
    first = trial(0, start_s - 1800, start_s - 1700)
    second = trial(1, start_s + 1800, start_s + 1900)
    assert first.started == second.started  # as Optuna returns it
    for run_trial, begin_s in ((first, start_s - 1900), (second, start_s + 1700)):
        time = made([run_trial], session(begin_s, begin_s + 400))
        assert time.is_recorded
        assert run_trial.started is not None
        assert (time.at(run_trial.started), time.seconds) == (100, 400)


def test_a_unit_is_read_at_a_glance() -> None:
    assert [unit_for(s).name for s in (20, 600, 90_000)] == ["seconds", "minutes", "hours"]


def test_the_timeline_cuts_pauses_out_at_dashed_lines(some: Reading) -> None:
    reading = replace(
        some,
        records=(trial(0, 5, 90), trial(1, 8000, 8100)),
        sessions=(session(0, 100), session(7300, 8200)),
    )
    figure = timeline(reading)
    assert figure is not None
    assert figure.caption.endswith(
        "Pauses between sessions, 2h in all, are cut out at the dashed lines."
    )
    (line,) = figure.panels[0].drawing.layout.shapes
    assert line.x0 == 100 / 60  # minutes


def test_a_golden_run_has_one_stretch_of_time_and_its_timeline_explains_that(
    tmp_path: Path,
) -> None:
    reading = read_run(golden_run("small", tmp_path), "small")
    assert reading.sessions == ()
    assert not reading.time.is_recorded
    assert 0.5 * reading.seconds < reading.time.seconds <= reading.seconds
    figure = timeline(reading)
    assert figure is not None
    assert "recorded no sessions, so pauses among them show as idle time" in figure.caption
