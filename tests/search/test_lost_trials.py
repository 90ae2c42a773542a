"""Trials whose processes or nodes die or hang: which run again, and which have failed."""

from pathlib import Path

import pytest
from support.sessions import Search, complete, epoch

from tuner.run.epoch_parts import EpochPart
from tuner.run.records import StudyReader
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialStatus
from tuner.settings.space import SearchSpace
from tuner.training.spec import EpochResult


@pytest.fixture
def search(tmp_path: Path, space: SearchSpace) -> Search:
    return Search(tmp_path, space)


def test_a_trial_whose_process_died_runs_next_with_its_parameters_and_seed(search: Search) -> None:
    session = search.open(trials=3)
    complete(session)
    lost = session.start_trial()
    session.end_epoch(lost.number, epoch(1, 0.6))
    session.lose_trial(lost.number, "its process died")

    again = session.start_trial()

    assert again.number != lost.number
    assert (again.hyperparameters, again.seed) == (lost.hyperparameters, lost.seed)
    record = StudyReader(session._study.study).records()[lost.number]
    assert record.error == "its process died; runs again"
    assert session.state.counts == {TrialStatus.COMPLETE: 1}  # it uses up no budget


def test_a_baseline_that_runs_again_is_a_baseline(search: Search) -> None:
    session = search.open()
    session.lose_trial(session.start_trial().number, "its process died")
    session.start_trial()
    records = StudyReader(session._study.study).records()
    assert [(record.baseline, record.retry_of) for record in records] == [(True, None), (True, 0)]


def test_a_trial_whose_process_dies_too_often_has_failed(search: Search) -> None:
    session = search.open(trials=3, retries=2)
    complete(session)
    for _ in range(3):
        assert TrialStatus.FAILED not in session.state.counts
        session.lose_trial(session.start_trial().number, "its process died")
    assert session.state.counts == {TrialStatus.COMPLETE: 1, TrialStatus.FAILED: 1}
    error = StudyReader(session._study.study).records()[-1].error
    assert error == "its process died (3 times)"
    session.start_trial()
    assert StudyReader(session._study.study).records()[-1].retry_of is None


def test_the_death_of_its_node_is_not_counted_against_a_trial(search: Search) -> None:
    session = search.open(trials=3, retries=0)
    for tries in (1, 2, 3):
        number = session.start_trial().number
        assert StudyReader(session._study.study).records()[-1].tries == tries
        session.lose_trial(number, "its node died", is_charged=False)
    assert session.state.counts == {}


def test_a_trial_whose_nodes_die_again_and_again_has_failed(search: Search) -> None:
    session = search.open(trials=3, retries=0)
    for _ in range(20):
        assert session.state.counts == {}
        session.lose_trial(session.start_trial().number, "its node died", is_charged=False)
    assert session.state.counts == {TrialStatus.FAILED: 1}
    assert StudyReader(session._study.study).records()[-1].error == "its node died (20 times)"


def test_more_trials_run_when_there_is_more_room(search: Search) -> None:
    session = search.open(workers=1)
    session.start_trial()
    assert not session.has_room
    search.workers = 2  # a node has joined
    assert session.has_room
    session.start_trial()
    search.workers = 1
    assert not session.has_room


def test_deaths_are_counted_over_sessions(search: Search) -> None:
    first = search.open(trials=3, retries=1)
    first.lose_trial(first.start_trial().number, "its process died")
    first.start_trial()
    first.close(SessionEnd.INTERRUPTED)  # interrupts it: not a death
    second = search.open(trials=3, retries=1)
    second.lose_trial(second.start_trial().number, "its process died")
    assert second.state.counts == {TrialStatus.FAILED: 1}


def test_the_pruner_forgets_the_rungs_of_a_trial_that_runs_again(search: Search) -> None:
    session = search.open(trials=9)
    complete(session, 0.5)  # the baseline
    lost = session.start_trial().number
    assert not session.end_epoch(lost, epoch(1, 0.9))
    session.lose_trial(lost, "its process died")

    again = session.start_trial().number

    assert not session.end_epoch(again, epoch(1, 0.8))  # ahead of all that count


@pytest.mark.parametrize("how", [status for status in TrialStatus if status.is_broken])
def test_the_pruner_forgets_the_rungs_of_a_trial_that_broke(
    search: Search, how: TrialStatus
) -> None:
    session = search.open(trials=9)
    complete(session, 0.5)  # the baseline
    broken = session.start_trial().number
    assert not session.end_epoch(broken, epoch(1, 0.9))
    session.end_trial(broken, how, "its loss is NaN")
    assert not session.end_epoch(session.start_trial().number, epoch(1, 0.8))
    session.close(SessionEnd.INTERRUPTED)
    again = search.open(trials=9)  # reads the rungs from the study
    assert not again.end_epoch(again.start_trial().number, epoch(1, 0.85))


def test_a_search_is_not_done_while_a_running_trial_may_have_to_run_again(search: Search) -> None:
    session = search.open(trials=1)
    number = session.start_trial().number
    assert not session.has_budget
    assert not session.is_done
    session.lose_trial(number, "its process died")
    assert session.has_budget
    complete(session)
    assert session.is_done


def test_a_trial_that_hung_gives_that_reason_and_runs_again(search: Search) -> None:
    session = search.open(trials=3, epoch_timeout=60)
    number = session.start_trial().number
    session.begin_trial(number)
    assert search.watch(session, 59) == []
    assert not session.is_ended_for_hanging(number)
    assert search.watch(session, 2) == [number]
    assert session.is_ended_for_hanging(number)
    session.lose_trial(number, "its process died")  # as it does when it is ended
    error = StudyReader(session._study.study).records()[0].error or ""
    assert error.startswith("no epoch within 1m, so its process was ended")
    assert error.endswith("; runs again")
    assert session.start_trial().hyperparameters.lstm_units == 32  # the baseline's


def test_a_hang_is_measured_by_epochs_of_earlier_sessions_too(search: Search) -> None:
    first = search.open(trials=9)
    number = first.start_trial().number
    first.end_epoch(number, EpochResult(1, 0.5, 0.8, 0.5, 0.8, 0.8, seconds=100.0))
    first.end_trial(number, TrialStatus.COMPLETE)
    second = search.open(trials=9)
    number = second.start_trial().number
    second.begin_trial(number)
    assert search.watch(second, 999) == []
    second.continue_epoch(number, EpochPart(1, 0.25, 0.7, 0.5))
    assert search.watch(second, 999) == []
    second.continue_epoch(number, EpochPart(1, 0.25, 0.7, 0.5))  # is no further
    assert search.watch(second, 2) == [number]


def test_a_trial_that_got_the_process_of_a_hanging_one_is_not_charged(search: Search) -> None:
    session = search.open(trials=5, retries=0, epoch_timeout=5)
    hanging = session.start_trial().number
    session.begin_trial(hanging)
    assert search.watch(session, 7) == [hanging]
    session.end_epoch(hanging, epoch(1))  # its end was on the way
    session.end_trial(hanging, TrialStatus.COMPLETE)
    session.lose_trial(session.start_trial().number, "its process died")
    assert session.state.counts == {TrialStatus.COMPLETE: 1}
    session.lose_trial(session.start_trial().number, "its process died")
    assert session.state.counts[TrialStatus.FAILED] == 1


def test_a_trial_that_runs_again_is_not_pruned_where_its_first_try_went_on(search: Search) -> None:
    session = search.open(trials=9)
    lost = session.start_trial().number  # the baseline, which is never pruned, was asked first
    session.end_trial(lost, TrialStatus.FAILED, "x")
    lost = session.start_trial().number
    assert not session.end_epoch(lost, epoch(1, 0.6))
    for _ in range(3):
        complete(session, 0.9)
    session.lose_trial(lost, "its process died")
    again = session.start_trial().number
    assert not session.end_epoch(again, epoch(1, 0.6))
    other = session.start_trial().number
    assert session.end_epoch(other, epoch(1, 0.6))  # anyone else is
