"""Fails when an Optuna that is allowed here has changed what `tuner.run.optuna_internals` relies on."""

import inspect
import json
from pathlib import Path

import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from tuner.run.optuna_internals import (
    JournalReplay,
    PartOfStudy,
    enqueued_parameters,
    fail_waiting,
    frozen,
    id_of_study,
    id_of_trial,
    lock_of,
    random_choice,
    rung_attribute,
    set_system_attribute,
    set_user_attributes,
    storage_of,
    trials_of_other_studies,
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


@pytest.fixture
def study(journal: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(storage=storage, study_name="one", direction="maximize")


def test_another_study_is_loaded_from_the_storage_of_the_first(study: optuna.Study) -> None:
    storage = storage_of(study)
    other = optuna.create_study(storage=storage, study_name="two")
    other.add_trial(optuna.create_trial(value=1.0))
    assert storage is storage_of(other)
    assert id_of_study(study) != id_of_study(other)
    (found,) = trials_of_other_studies(study)
    assert (found.number, id_of_trial(found)) == (0, 0)
    study.ask()
    assert id_of_trial(study.trials[0]) == 1  # counted over both studies


def test_the_journal_names_studies_and_trials_by_these_numbers(
    study: optuna.Study, journal: Path
) -> None:
    trial = study.ask()
    trial.set_user_attr("mine", 1)
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert entries[-2]["study_id"] == id_of_study(study)
    assert entries[-1]["trial_id"] == id_of_trial(frozen(trial))
    assert entries[-1]["user_attr"] == {"mine": 1}


def test_a_running_trial_is_read_up_to_date(study: optuna.Study) -> None:
    trial = study.ask()
    trial.report(0.25, step=1)
    trial.set_user_attr("mine", 1)
    known = frozen(trial)
    assert known.intermediate_values == {1: 0.25}
    assert known.user_attrs == {"mine": 1}
    assert known.state is TrialState.RUNNING


def test_a_trial_of_another_process_can_be_marked_and_failed_while_it_waits(
    study: optuna.Study,
) -> None:
    study.enqueue_trial({"x": 1})
    (waiting,) = study.get_trials(deepcopy=False)
    with pytest.raises(ValueError, match="WAITING"):  # the public way
        study.tell(waiting.number, state=TrialState.FAIL)
    set_user_attributes(study, waiting, {"why": "not wanted"})
    set_system_attribute(study, waiting, "rung", 0.5)
    fail_waiting(study, waiting)
    (failed,) = study.get_trials(deepcopy=False)
    assert failed.state is TrialState.FAIL
    assert failed.user_attrs == {"why": "not wanted"}
    assert failed.system_attrs["rung"] == 0.5


def test_an_enqueued_trial_knows_its_parameters_before_they_are_suggested(
    study: optuna.Study,
) -> None:
    study.enqueue_trial({"x": 1, "y": "a"})
    assert enqueued_parameters(study.trials[0]) == {"x": 1, "y": "a"}
    assert study.trials[0].params == {}
    assert enqueued_parameters(frozen(study.ask())) == {"x": 1, "y": "a"}
    assert enqueued_parameters(frozen(study.ask())) == {}


def test_rungs_are_named_as_optunas_pruner_names_them(study: optuna.Study) -> None:
    study.pruner = SuccessiveHalvingPruner(min_resource=1)
    trial = study.ask()
    trial.report(0.5, step=1)
    trial.should_prune()
    assert rung_attribute(0) in frozen(trial).system_attrs


def test_the_lock_of_a_journal_lies_where_a_writer_makes_it(journal: Path) -> None:
    lock = JournalFileOpenLock(str(journal))
    lock.acquire()
    assert lock_of(journal).is_file()
    lock.release()
    assert not lock_of(journal).exists()


def test_a_damaged_entry_is_found_by_replaying(study: optuna.Study, journal: Path) -> None:
    study.ask()
    replay = JournalReplay()
    for line in journal.read_text().splitlines():
        replay.apply(json.loads(line))
    with pytest.raises(KeyError, match="op_code"):
        replay.apply({})


def test_choices_follow_from_the_samplers_seed() -> None:
    first, again = TPESampler(seed=3), TPESampler(seed=3)
    drawn = [random_choice(first, 10) for _ in range(20)]
    assert drawn == [random_choice(again, 10) for _ in range(20)]
    assert len(set(drawn)) > 1


def test_a_sampler_sees_a_part_of_a_study_and_the_study_itself(study: optuna.Study) -> None:
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}
    for value in (0.1, 0.2, 0.9):
        study.add_trial(optuna.create_trial(params={"x": value}, distributions=space, value=value))
    seen = study.get_trials(deepcopy=False)[:2]
    part = PartOfStudy(study, seen)
    asked: list[tuple[object, ...]] = []

    class Watched(PartOfStudy):
        def _get_trials(self, *arguments: object, **options: object) -> list[object]:
            asked.append((*arguments, *options))
            return seen  # type: ignore[return-value]

    sampler = TPESampler(n_startup_trials=2, seed=0, multivariate=False)
    trial = frozen(study.ask())
    drawn = sampler.sample_independent(Watched(study, seen), trial, "x", space["x"])  # type: ignore[arg-type]
    assert 0 <= drawn <= 1
    assert asked, "TPE asks for trials in another way now"
    assert part._get_trials(states=(TrialState.RUNNING,)) == []
    assert part.directions == study.directions
    own = inspect.signature(optuna.Study._get_trials).parameters
    assert list(own) == list(inspect.signature(PartOfStudy._get_trials).parameters)
