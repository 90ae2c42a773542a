"""What a study remembers of trials that ran out of memory while they shared a GPU."""

from pathlib import Path

import optuna
import pytest
from support.studies import metrics, open_study, run_trial
from support.watching import Clock, Recorder

from tuner.run.attributes import Attribute
from tuner.run.records import StudyReader, counts_as_finished
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialStatus
from tuner.search.session import SearchSession
from tuner.search.shares import (
    is_too_tight,
    measured_memory,
    needs_larger_share,
    record_memory,
    times_to_lower,
)
from tuner.search.study import SearchStudy
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace


@pytest.fixture
def study(tmp_path: Path, space: SearchSpace) -> SearchStudy:
    return open_study(tmp_path / "study.journal", space)


def run_out(study: SearchStudy, lowered: int = 0, asked: object = "auto") -> optuna.Trial:
    trial = study.ask()
    study.space.suggest(trial)
    study.report(trial, 1, metrics(0.7))
    study.requeue_with_larger_share(trial, "no room", asked=asked, lowered=lowered)
    return trial


def need_more(study: SearchStudy, lowered: int = 0, asked: object = "auto") -> None:
    """Has a trial run out, and work with a larger share."""
    run_out(study, lowered, asked)
    run_trial(study, 0.8)


def test_it_runs_again_with_the_same_parameters_and_a_larger_share(study: SearchStudy) -> None:
    lost = run_out(study)
    again = study.ask()
    study.space.suggest(again)
    assert again.params == lost.params
    assert needs_larger_share(again)
    assert study.seed_of(again) == study.seed_of(lost)
    assert study.deaths_before(again) == 0


def test_the_first_try_is_out_of_memory_but_no_result(study: SearchStudy) -> None:
    lost = run_out(study)
    (record, *_) = StudyReader(study.study).records()
    assert record.status is TrialStatus.OUT_OF_MEMORY
    assert record.error == "no room; runs again with a larger share of the GPU"
    assert record.ranked_score is None
    assert not counts_as_finished(study.read(lost))
    assert (
        study.read(lost).state is optuna.trial.TrialState.FAIL
    )  # which samplers do not learn from


def test_the_larger_share_survives_interruptions(study: SearchStudy) -> None:
    run_out(study)
    for _ in range(2):
        again = study.ask()
        study.space.suggest(again)
        study.requeue_interrupted_trials()
    assert needs_larger_share(study.ask())


def test_killed_before_it_was_enqueued_it_gets_the_larger_share_too(study: SearchStudy) -> None:
    trial = study.ask()
    study.space.suggest(trial)
    trial.set_user_attr(Attribute.RAN_OUT, {"asked": "auto", "lowered": 0})
    study.requeue_interrupted_trials()
    assert needs_larger_share(study.ask())


def test_two_at_one_packing_lower_it_once(study: SearchStudy) -> None:
    seen = []
    for lowered in (0, 0, 0, 1, 1):
        need_more(study, lowered)
        seen.append(
            (times_to_lower([study.study], "auto"), is_too_tight(study.study, "auto", lowered))
        )
    assert seen == [(0, False), (1, True), (1, True), (1, False), (2, True)]


def test_what_happened_with_another_number_of_gpus_does_not_count(study: SearchStudy) -> None:
    for asked in ("auto", 0.25, 0.25):
        need_more(study, asked=asked)
    assert times_to_lower([study.study], "auto") == 0
    assert times_to_lower([study.study], 0.25) == 1


@pytest.mark.parametrize(
    ("status", "times"),
    [(TrialStatus.PRUNED, 1), (TrialStatus.OUT_OF_MEMORY, 0), (TrialStatus.FAILED, 0)],
)
def test_models_that_fit_nowhere_do_not_lower_the_packing(
    study: SearchStudy, status: TrialStatus, times: int
) -> None:
    for _ in range(2):
        run_out(study)
        run_trial(study, 0.8, status=status)
    assert times_to_lower([study.study], "auto") == times


def test_a_larger_share_that_was_interrupted_counts_when_it_works(study: SearchStudy) -> None:
    need_more(study)
    run_out(study)
    study.space.suggest(study.ask())
    study.requeue_interrupted_trials()
    assert times_to_lower([study.study], "auto") == 0
    run_trial(study, 0.8)
    assert times_to_lower([study.study], "auto") == 1


def test_several_studies_of_a_run_count_together(study: SearchStudy) -> None:
    need_more(study)
    assert times_to_lower([study.study, study.study], "auto") == 1


def test_measured_memory_is_recorded_once(study: SearchStudy, tmp_path: Path) -> None:
    assert measured_memory(study.study) == {}
    content = {"of": "abc", "kinds": {"T4": {"peak_mb": 3}}}
    record_memory(study.study, content)
    lines = (tmp_path / "study.journal").read_bytes().count(b"\n")
    record_memory(study.study, content)
    assert measured_memory(study.study) == content
    assert (tmp_path / "study.journal").read_bytes().count(b"\n") == lines


# -- in a session ---------------------------------------------------------------------------------


def test_while_one_waits_for_its_larger_share_no_other_trial_starts(
    study: SearchStudy, space: SearchSpace
) -> None:
    clock = Clock()
    config = SearchConfig(space=space, trials=9, gpus_per_trial="auto", retries=0)
    session = SearchSession(study, config, workers=lambda: 4, listener=Recorder(), clock=clock)
    first, other = (session.start_trial().number for _ in range(2))

    session.enlarge_trial(first, "no room", lowered=0)
    assert session.has_room
    again = session.start_trial().number
    assert session.has_larger_share(again)
    assert not session.has_room
    clock.now += 59
    assert not session.has_room
    clock.now += 2  # another search on the same GPUs may keep it waiting
    assert session.has_room

    session.begin_trial(again)
    for _ in range(2):
        assert session.has_room  # the driver counts the places that it takes
        session.start_trial()
    assert not session.has_room
    session.end_trial(again, TrialStatus.OUT_OF_MEMORY, "no room")
    assert not session.has_larger_share(other)
    session.close(SessionEnd.BUDGET_USED)


def test_room_that_was_made_for_a_trial_is_kept_until_it_has_a_place_or_has_ended(
    study: SearchStudy, space: SearchSpace
) -> None:
    clock = Clock()
    config = SearchConfig(space=space, trials=9)
    session = SearchSession(study, config, workers=lambda: 9, listener=Recorder(), clock=clock)
    other, *numbers = [session.start_trial().number for _ in range(4)]
    kept = session.kept_places
    for number in numbers:
        kept.make_room(number)
    session.start_process(other)
    session.begin_trial(other)
    assert not session.has_room
    session.start_process(numbers[0])  # its process may take minutes
    session.begin_trial(numbers[1])  # which another trial had before
    assert not session.has_room
    session.lose_trial(numbers[2], "its node died", is_charged=False)
    assert session.has_room

    kept.make_room(other)
    clock.now += 59
    assert (kept.has_room_made(other), session.has_room) == (True, False)
    clock.now += 2
    assert (kept.has_room_made(other), session.has_room) == (False, True)
    session.close(SessionEnd.BUDGET_USED)


def test_one_that_dies_while_it_waits_holds_nobody_back(
    study: SearchStudy, space: SearchSpace
) -> None:
    config = SearchConfig(space=space, trials=9, gpus_per_trial="auto")
    session = SearchSession(study, config, workers=lambda: 4, listener=Recorder())
    number = session.start_trial().number
    session.enlarge_trial(number, "no room", lowered=0)
    again = session.start_trial().number
    session.lose_trial(again, "its process died")
    assert session.has_room
    assert session.has_larger_share(session.start_trial().number)


def test_asking_for_room_reads_no_trial(
    study: SearchStudy, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune asks at every step, and Optuna copies all epochs of a trial whose attributes are read."""
    config = SearchConfig(space=space, trials=9)
    session = SearchSession(study, config, workers=lambda: 4, listener=Recorder())
    session.start_trial()

    def no_attributes(self: optuna.Trial) -> None:
        raise AssertionError("it is copied")

    monkeypatch.setattr(optuna.Trial, "user_attrs", property(no_attributes))
    assert session.has_room


def test_a_study_without_shared_gpus_remembers_nothing(study: SearchStudy) -> None:
    run_trial(study, 0.8, status=TrialStatus.OUT_OF_MEMORY)
    assert times_to_lower([study.study], 0.0) == 0
