"""The search's decisions, without Ray."""

import os
import platform
import socket
from pathlib import Path

import pytest
from support.sessions import Search, complete, epoch

from tuner.run.epoch_parts import EpochPart
from tuner.run.events import EventKind
from tuner.run.records import StudyReader
from tuner.run.score_errors import ValidationRows
from tuner.run.sessions import SessionEnd, utc
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search import study
from tuner.search.session import SearchSession
from tuner.search.study import SearchStudy
from tuner.settings.space import SearchSpace
from tuner.training.spec import EpochResult


@pytest.fixture
def search(tmp_path: Path, space: SearchSpace) -> Search:
    return Search(tmp_path, space)


def test_running_trials_count_toward_the_budget(search: Search) -> None:
    session = search.open(trials=2)
    session.start_trial()
    assert session.has_budget
    session.start_trial()
    assert not session.has_budget


def test_trials_have_the_patience_that_was_asked_for(search: Search) -> None:
    assert search.open().start_trial().patience == 1
    assert search.open(patience=3).start_trial().patience == 3
    assert search.open(patience="off").start_trial().patience is None


def test_parts_of_the_rows_validate_the_trials_by_turns_and_a_retry_by_its_first_trys(
    search: Search,
) -> None:
    session = search.open(trials=9)
    assert [session.start_trial().part for _ in range(2)] == [0, 0]
    rotating = search.open(trials=9)
    ValidationRows(100, parts=3).record(rotating._study.study)
    again = [rotating.start_trial() for _ in range(2)]  # what ran before, as trials 2 and 3
    assert [each.number for each in again] == [2, 3]
    assert [each.part for each in again] == [0, 1]
    assert [rotating.start_trial().part for _ in range(3)] == [1, 2, 0]


def test_trials_of_two_objectives_have_a_patience_too(search: Search) -> None:
    assert search.open(objectives="val_accuracy,weights").start_trial().patience == 1


def test_nothing_ends_a_trial_whose_number_of_epochs_is_fixed(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SearchStudy, "stop_after", lambda self, trial: 3)
    spec = search.open().start_trial()
    assert (spec.epochs, spec.patience) == (3, None)


def test_a_flat_search_ends_where_that_is_wanted_and_says_what_helps(search: Search) -> None:
    def is_over(session: SearchSession) -> bool:
        for number in range(24):
            if not session.has_budget:
                return True
            complete(session, 0.7 + 0.01 * (number * number % 7))  # whatever the configuration
        return not session.has_budget

    assert is_over(search.open(trials=40, stop_when_flat=True))
    (note,) = (event.error for event in search.recorder.events if event.kind is EventKind.NOTE)
    assert note is not None
    assert note.startswith("ends: configurations ")
    assert "more trials will hardly help; what may help is averaging" in note

    again = search.open(trials=40, stop_when_flat=True)
    assert (again.state.finished, again.has_budget) == (20, False)
    assert search.open(trials=40).has_budget


def test_a_search_by_two_objectives_is_not_ended_by_its_scores_alone(search: Search) -> None:
    both = {"objectives": "val_accuracy,seconds_per_epoch", "stop_when_flat": True}
    session = search.open(trials=40, **both)
    for number in range(24):
        complete(session, 0.7 + 0.01 * (number * number % 7))
    assert session.has_budget
    (note,) = (event.error for event in search.recorder.events if event.kind is EventKind.NOTE)
    assert note == (
        "--stop-when-flat judges by the score alone, so it ends no search by two objectives"
    )


def test_no_more_trials_run_than_may(search: Search) -> None:
    session = search.open(workers=2)
    numbers = [session.start_trial().number for _ in range(2)]
    assert not session.has_room
    session.end_epoch(numbers[0], epoch(1))
    session.end_trial(numbers[0], TrialStatus.COMPLETE)
    assert session.has_room


def test_a_second_session_goes_on_toward_the_same_budget(search: Search) -> None:
    first = search.open(trials=3)
    complete(first, 0.9)
    complete(first, 0.7)
    first.close(SessionEnd.INTERRUPTED)
    second = search.open(trials=3)
    assert second.state.finished == 2
    assert second.state.best is not None
    assert second.state.best.score == 0.9
    complete(second)
    assert not second.has_budget


def test_the_end_of_a_trial_that_hung_shows_all_the_time_since_its_start(search: Search) -> None:
    session = search.open()
    number = session.start_trial().number
    search.clock.now += 1800
    session.lose_trial(number, "no epoch ended for 30m")
    ended = search.recorder.events[-1]
    assert (ended.kind, ended.seconds) == (EventKind.TRIAL_ENDED, 1800)
    (record,) = StudyReader(session._study.study).records()
    assert record.seconds == 0  # of its epochs


def test_a_trial_interrupted_by_the_first_session_runs_again_in_the_second(search: Search) -> None:
    first = search.open(trials=2)
    interrupted = first.start_trial()
    second = search.open(trials=2)
    again = second.start_trial()
    assert again.hyperparameters == interrupted.hyperparameters
    assert again.number != interrupted.number
    second.end_epoch(again.number, epoch(1))
    second.end_trial(again.number, TrialStatus.COMPLETE)
    assert second.has_budget


def test_the_time_of_a_search_that_is_killed_inside_a_long_epoch_counts(search: Search) -> None:
    killed = search.open(trials=None, time_budget=3600)
    killed.start_trial()
    lines = search.journal_lines
    for _ in range(100):
        search.clock.now += 1
        killed.pass_time()
    assert search.open(trials=None, time_budget=3600).seconds == 90
    assert search.journal_lines < lines + 10  # not every second


def test_time_counts_over_all_sessions(search: Search) -> None:
    first = search.open(trials=None, time_budget=60)
    search.clock.now += 40
    complete(first)
    first.close(SessionEnd.INTERRUPTED)
    search.clock.now += 1000  # no session ran
    second = search.open(trials=None, time_budget=60)
    assert second.seconds == 40
    assert second.has_budget
    search.clock.now += 21
    assert not second.has_budget


def test_every_session_records_its_start_and_end_and_why_it_ended(search: Search) -> None:
    for seconds, reason in ((60, SessionEnd.STOPPED), (90, SessionEnd.BUDGET_USED)):
        session = search.open()
        complete(session)
        search.clock.now += seconds
        session.close(reason)
        search.clock.now += 1000  # no session ran

    first, second = StudyReader(session._study.study).sessions

    assert (first.started, first.record.seconds_before) == (utc(1e9 + 100), 0)
    assert (first.last_seen, first.record.reason) == (utc(1e9 + 160), SessionEnd.STOPPED)
    assert (second.started, second.record.seconds_before) == (utc(1e9 + 1160), 60)
    assert (second.last_seen, second.record.reason) == (utc(1e9 + 1250), SessionEnd.BUDGET_USED)
    assert (second.record.host, second.record.process) == (socket.gethostname(), os.getpid())
    assert second.record.versions["python"] == platform.python_version()


def test_a_session_that_continues_with_other_versions_is_told(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    search.open().close(SessionEnd.STOPPED)
    monkeypatch.setattr(study, "installed_versions", lambda: {"keras": "99"})
    session = search.open()
    assert any("is 99 now" in text for text in session._notes)


def test_a_killed_session_leaves_its_start_and_a_last_sign_of_life(search: Search) -> None:
    killed = search.open()
    search.clock.now += 70
    complete(killed)
    search.clock.now += 1000
    assert [each.last_seen for each in StudyReader(killed._study.study).sessions] == [
        utc(1e9 + 170)
    ]

    second = search.open()
    search.clock.now += 10
    complete(second)

    first, running = StudyReader(second._study.study).sessions
    assert (first.last_seen, first.record.ended, first.record.reason) == (
        utc(1e9 + 170),
        None,
        None,
    )
    assert (running.started, running.last_seen) == (utc(1e9 + 1170), utc(1e9 + 1180))


def test_a_session_writes_two_entries_about_itself(search: Search) -> None:
    search.open().close(SessionEnd.STOPPED)
    before = search.journal_lines
    search.open().close(SessionEnd.STOPPED)
    assert search.journal_lines - before == 3  # its start, the seconds searched, its end


def test_a_trial_that_runs_at_the_end_of_the_time_keeps_its_score_and_goes_on_later(
    search: Search,
) -> None:
    session = search.open(trials=None, time_budget=60)
    begun, barely_begun = session.start_trial(), session.start_trial()
    session.end_epoch(begun.number, epoch(1, 0.8))
    search.clock.now += 61
    assert session.is_out_of_time
    session.close(SessionEnd.BUDGET_USED)
    records = StudyReader(session._study.study).records()
    assert [record.status for record in records] == [TrialStatus.PRUNED, TrialStatus.FAILED]
    assert records[0].score == 0.8
    assert "runs again when it is continued" in (records[0].error or "")
    second = search.open(trials=None, time_budget=600)
    assert second.state.finished == 0
    again = [second.start_trial().hyperparameters for _ in range(2)]
    assert again == [begun.hyperparameters, barely_begun.hyperparameters]
    records = StudyReader(second._study.study).records()
    assert [record.error for record in records[:2]] == [
        f"interrupted by the end of the search; runs again as trial {number}" for number in (2, 3)
    ]


def test_trials_get_their_own_seeds_and_the_same_ones_again(
    search: Search, tmp_path: Path, space: SearchSpace
) -> None:
    session = search.open()
    seeds = [session.start_trial().seed for _ in range(2)]
    other = tmp_path / "other"
    other.mkdir()
    again = Search(other, space).open()
    assert [again.start_trial().seed for _ in range(2)] == seeds
    assert len(set(seeds)) == 2


def test_the_state_has_the_running_trials_and_the_best_one(search: Search) -> None:
    session = search.open()
    complete(session, 0.7)
    number = session.start_trial().number
    session.end_epoch(number, epoch(1, 0.6))
    state = search.recorder.state
    assert state is not None
    assert [(trial.number, trial.epoch, trial.score) for trial in state.running] == [(1, 1, 0.6)]
    assert state.best is not None
    assert (state.best.number, state.best.score) == (0, 0.7)
    assert state.counts == {TrialStatus.COMPLETE: 1}


def test_every_event_is_published_in_order(search: Search) -> None:
    complete(search.open())
    assert search.recorder.kinds == [
        EventKind.SEARCH_STARTED,
        EventKind.TRIAL_STARTED,
        EventKind.EPOCH_ENDED,
        EventKind.TRIAL_ENDED,
    ]
    assert search.recorder.events[1].trial is not None
    assert search.recorder.events[1].trial.baseline


def test_the_same_failure_again_and_again_ends_the_search(search: Search) -> None:
    session = search.open(trials=10)
    for _ in range(3):
        assert session.repeated_failure is None
        session.end_trial(session.start_trial().number, TrialStatus.FAILED, "no module named x")
    assert session.repeated_failure == "no module named x"
    assert not session.has_budget


def test_what_worked_in_an_earlier_session_does_not_hide_that_nothing_works_any_more(
    search: Search,
) -> None:
    earlier = search.open(trials=10)
    complete(earlier)
    earlier.close(SessionEnd.INTERRUPTED)
    session = search.open(trials=10)
    for _ in range(3):
        assert session.repeated_failure is None
        session.end_trial(session.start_trial().number, TrialStatus.FAILED, "no module named x")
    assert session.repeated_failure == "no module named x"
    assert session.last_failure is None  # the run has results


@pytest.mark.parametrize("other", [None, "something else"])
def test_different_failures_or_one_success_do_not_end_it(search: Search, other: str | None) -> None:
    session = search.open(trials=10)
    for error in ("a", other, "a", "a"):
        if error is None:
            complete(session)
        else:
            session.end_trial(session.start_trial().number, TrialStatus.FAILED, error)
    assert session.repeated_failure is None


def test_the_last_failure_is_known_where_no_trial_worked(search: Search) -> None:
    session = search.open(trials=1)
    assert session.last_failure is None
    session.end_trial(session.start_trial().number, TrialStatus.FAILED, "no such keyword")
    assert session.repeated_failure is None
    assert session.last_failure == "no such keyword"


def test_of_equal_scores_the_earlier_trial_is_the_best(search: Search) -> None:
    session = search.open()
    first, second = (session.start_trial().number for _ in range(2))
    for number in (second, first):
        session.end_epoch(number, epoch(1, 0.8))
        session.end_trial(number, TrialStatus.COMPLETE)
    assert session.state.best is not None
    assert session.state.best.number == first


def test_nothing_but_diverging_ends_it_too_though_the_figures_differ(search: Search) -> None:
    session = search.open(trials=20)
    for number in range(8):
        assert session.repeated_failure is None
        trial = session.start_trial().number
        session.end_trial(trial, TrialStatus.DIVERGED, f"loss became nan in epoch {number}")
    assert session.repeated_failure is not None


def test_the_best_of_a_minimized_metric_is_the_smallest(tmp_path: Path, space: SearchSpace) -> None:
    content = {**space.to_mapping(), "metric": {"name": "val_loss", "mode": "min"}}
    search = Search(tmp_path, SearchSpace.from_mapping(content, "min.yaml"))
    session = search.open()
    for loss in (0.5, 0.3, 0.4):
        number = session.start_trial().number
        result = EpochResult(1, 0.5, 0.8, loss, 0.8, 0.8, 1.0)
        session.end_epoch(number, result)
        session.end_trial(number, TrialStatus.COMPLETE)
    assert session.state.best is not None
    assert session.state.best.score == 0.3
    records = StudyReader(session._study.study).records()
    assert [record.score for record in records] == [0.5, 0.3, 0.4]


# -- two objectives -------------------------------------------------------------------------------


def complete_with(session: SearchSession, accuracy: float, weights: int) -> int:
    number = session.start_trial().number
    session.record_facts(number, TrialFacts(seed=1, host="h", device="cpu", weights=weights))
    session.end_epoch(number, epoch(1, accuracy))
    session.end_trial(number, TrialStatus.COMPLETE)
    return number


def test_the_state_shows_the_front_over_all_sessions(search: Search) -> None:
    by_two = {"trials": 9, "objectives": "val_accuracy,weights"}
    first = search.open(**by_two)
    complete_with(first, 0.7, 50)
    complete_with(first, 0.8, 60)
    complete_with(first, 0.6, 55)
    assert [each.number for each in first.state.front] == [1, 0]
    interrupted = first.start_trial()
    first.end_epoch(interrupted.number, epoch(1, 0.9))  # and the process is killed

    second = search.open(**by_two)

    assert second.state.front == first.state.front
    assert second.state.objectives == first.state.objectives
    again = second.start_trial()
    assert again.hyperparameters == interrupted.hyperparameters
    second.record_facts(again.number, TrialFacts(seed=1, host="h", device="cpu", weights=45))
    assert not second.end_epoch(again.number, epoch(1, 0.75))
    second.end_trial(again.number, TrialStatus.COMPLETE)
    assert [(each.number, each.cost) for each in second.state.front] == [(1, 60), (4, 45)]
    assert search.recorder.state is not None
    assert search.recorder.state.front == second.state.front


def test_a_broken_trial_is_not_on_the_front(search: Search) -> None:
    session = search.open(objectives="val_accuracy,seconds_per_epoch")
    number = session.start_trial().number
    session.end_epoch(number, epoch(1, 0.9))
    session.end_trial(number, TrialStatus.DIVERGED, "its loss is nan")
    assert session.state.front == ()
    assert session.state.best is None


def test_the_progress_of_an_epoch_is_shown_but_not_recorded(search: Search) -> None:
    session = search.open()
    number = session.start_trial().number
    before = search.journal_lines
    session.continue_epoch(number, EpochPart(1, 0.25, 0.7, 0.5))
    session.continue_epoch(number, EpochPart(1, 0.5, 0.6, 0.6))
    assert search.journal_lines == before
    assert search.recorder.kinds[-2:] == [EventKind.EPOCH_CONTINUES] * 2
    assert session.state.running[0].part == EpochPart(1, 0.5, 0.6, 0.6)
    session.end_epoch(number, epoch(1))
    assert session.state.running[0].part is None


def test_progress_that_comes_late_is_not_shown(search: Search) -> None:
    session = search.open()
    number = session.start_trial().number
    session.end_epoch(number, epoch(1))
    session.continue_epoch(number, EpochPart(1, 0.9, 0.7, 0.5))
    session.end_trial(number, TrialStatus.COMPLETE)
    session.continue_epoch(number, EpochPart(2, 0.1, 0.7, 0.5))
    assert EventKind.EPOCH_CONTINUES not in search.recorder.kinds


@pytest.mark.parametrize(("workers", "every_s"), [(1, 4.0), (40, 4.0), (1000, 100.0)])
def test_many_trials_report_their_progress_more_rarely(
    search: Search, workers: int, every_s: float
) -> None:
    assert search.open(workers).progress_every_s == every_s


def test_the_person_is_told_once(search: Search) -> None:
    session = search.open()
    for text in ("no MPS", "no MPS", "another"):
        session.note(text)
    assert search.recorder.notes == ["no MPS", "another"]


def test_a_process_with_other_code_than_the_search_began_with_is_told_once(
    search: Search,
) -> None:
    session = search.open()
    trial = session.start_trial()
    architecture = trial.hyperparameters.architecture
    session._code = {architecture: "ab12"}
    for code in ("ab12", "cd34", "cd34", None):
        session.record_facts(trial.number, TrialFacts(1, "anna", "cpu", 45, code))
    (note,) = session._notes
    assert note.startswith(f"anna trains other code of {architecture} than this search began with")
    assert "(cd34, not ab12)" in note


def test_a_process_with_other_versions_than_this_one_is_told_once(search: Search) -> None:
    session = search.open()
    here = study.installed_versions()
    session.note_versions("anna", {**here, "more": "1"})
    for _ in range(2):
        session.note_versions("bert", {**here, "keras": "2.9"})
    (note,) = session._notes
    assert note == (
        "bert has other versions than this machine, so its trials may differ: keras 2.9 (here "
        f"{here['keras']})"
    )
