"""The trainings in a confirmation's study, without any training."""

from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from support.run_files import record

from tuner.finalists.trainings import (
    as_in_last_tries,
    best_distinct,
    retire_others,
    settled,
    still_open,
)
from tuner.run.attributes import Attribute
from tuner.run.ended_trainings import confirmed
from tuner.run.folder import RunFolder
from tuner.run.records import is_interrupted
from tuner.run.requested_trainings import (
    RequestedTraining,
    last_request,
    record_request,
    training_of,
)
from tuner.run.train_on import TrainOn
from tuner.run.trial_status import TrialStatus
from tuner.settings.space import SearchSpace


def training(
    finalist: int, seed: int = 1, train_on: TrainOn = TrainOn.TRAIN, epochs: int = 3
) -> RequestedTraining:
    stop_after = epochs if train_on is TrainOn.BOTH else None
    return RequestedTraining(finalist, seed, stop_after, train_on)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def run(
    study: optuna.Study, each: RequestedTraining, status: TrialStatus, folder: RunFolder
) -> None:
    """Asks for a training and ends it; a complete one leaves its model."""
    study.enqueue_trial({}, user_attrs=each.attributes)
    trial = study.ask()
    assert training_of(study.trials[trial.number]) == each
    if status is TrialStatus.COMPLETE:
        model = folder.finalist_model(each.trial, each.seed)
        model.parent.mkdir(exist_ok=True)
        model.write_bytes(b"weights")
        trial.set_user_attr(Attribute.HELD_OUT, {"accuracy": 0.9})
        study.tell(trial, 0.9)
    else:
        trial.set_user_attr(Attribute.STATUS, str(status))
        study.tell(trial, state=TrialState.FAIL)


def test_a_failed_training_runs_again_and_a_diverged_one_does_not(
    study: optuna.Study, folder: RunFolder
) -> None:
    states = (*TrialStatus,)
    ended = [s for s in states if s not in (TrialStatus.RUNNING, TrialStatus.PRUNED)]
    for number, status in enumerate(ended):
        run(study, training(number), status, folder)
    expected = {TrialStatus.COMPLETE, TrialStatus.DIVERGED}
    assert {ended[each.trial] for each in settled(study, folder)} == expected


def test_a_training_whose_model_was_removed_is_not_settled(
    study: optuna.Study, folder: RunFolder
) -> None:
    run(study, training(0), TrialStatus.COMPLETE, folder)
    assert settled(study, folder) == {training(0)}
    folder.finalist_model(0, 1).unlink()
    assert settled(study, folder) == set()


def finish(study: optuna.Study, folder: RunFolder, trainings: Sequence[RequestedTraining]) -> None:
    record_request(study, trainings)
    for each in trainings:
        run(study, each, TrialStatus.COMPLETE, folder)


def test_finalists_are_those_of_the_last_confirmation_that_ended(
    study: optuna.Study, folder: RunFolder
) -> None:
    assert confirmed(study) == []
    record_request(study, [training(0), training(1)])
    run(study, training(0), TrialStatus.COMPLETE, folder)
    assert confirmed(study) == []
    assert last_request(study) == [training(0), training(1)]
    run(study, training(1), TrialStatus.FAILED, folder)
    assert confirmed(study) == [training(0), training(1)]
    other = [training(0, train_on=TrainOn.BOTH), training(1, train_on=TrainOn.BOTH)]
    record_request(study, other)
    run(study, other[0], TrialStatus.COMPLETE, folder)
    assert confirmed(study) == [training(0), training(1)]  # the new one is only begun
    assert last_request(study) == other
    run(study, other[1], TrialStatus.COMPLETE, folder)
    assert confirmed(study) == other
    record_request(study, [training(0), training(1)])  # requested once more: all of it is there
    assert confirmed(study) == [training(0), training(1)]


def test_more_seeds_add_to_the_earlier_ones_of_the_same_kind(
    study: optuna.Study, folder: RunFolder
) -> None:
    finish(study, folder, [training(0, 1), training(1, 1)])
    record_request(study, [training(0, 1), training(0, 2)])
    assert confirmed(study) == [training(0, 1), training(1, 1)]
    run(study, training(0, 2), TrialStatus.COMPLETE, folder)
    assert confirmed(study) == [training(0, 1), training(1, 1), training(0, 2)]


def test_a_finalists_seeds_have_one_number_of_epochs_the_latest(
    study: optuna.Study, folder: RunFolder
) -> None:
    three = [training(0, 1, TrainOn.BOTH), training(1, 2, TrainOn.BOTH)]
    finish(study, folder, three)
    finish(study, folder, [training(0, 5), training(0, 6)])  # on train: their best epoch is 2
    two = [training(0, seed, TrainOn.BOTH, epochs=2) for seed in (3, 4)]
    record_request(study, two)
    run(study, two[0], TrialStatus.COMPLETE, folder)
    assert confirmed(study) == [training(0, 5), training(0, 6)]  # the new one is only begun
    run(study, two[1], TrialStatus.COMPLETE, folder)
    assert confirmed(study) == [three[1], *two]


def test_a_training_that_is_no_longer_requested_never_runs(study: optuna.Study) -> None:
    for number in range(3):
        study.enqueue_trial({}, user_attrs=training(number).attributes)
    study.enqueue_trial({"x": 1})  # a stray one, of no training
    study.ask()  # runs, and is killed
    assert still_open(study) == {training(number) for number in range(3)}
    retire_others(study, [training(2)])
    assert [is_interrupted(trial) for trial in study.trials] == [True, True, False, True]
    assert still_open(study) == {training(2)}
    assert training_of(study.trials[study.ask().number]) == training(2)


def test_equal_configurations_are_one_finalist_with_the_mean_of_their_scores(
    space: SearchSpace,
) -> None:
    lucky, unlucky = ({"units": 8}, 0.9), ({"units": 8}, 0.6)
    steady, worst = ({"units": 16}, 0.8), ({"units": 32}, 0.5)
    records = [
        record(number, parameters=parameters, score=score)
        for number, (parameters, score) in enumerate([lucky, unlucky, worst, steady])
    ]

    assert [each.number for each in best_distinct(records, space, 3)] == [3, 0, 2]
    assert [each.number for each in best_distinct(records, space, 1)] == [3]


def test_a_trial_that_ran_again_has_the_figures_of_its_last_try_that_worked() -> None:
    records = [
        record(0, score=0.8, interrupted=True, superseded=True),
        record(1, score=0.7),
        record(2, score=0.9, retry_of=0, interrupted=True, superseded=True),
        record(3, score=0.91, retry_of=2),
        record(4, score=0.6, interrupted=True, superseded=True),
        record(5, score=None, retry_of=4, status=TrialStatus.RUNNING),
    ]
    found = {each.number: each.score for each in as_in_last_tries(records)}
    assert found == {0: 0.91, 1: 0.7, 2: 0.91, 3: 0.91, 4: 0.6, 5: None}
