"""A confirmation's requests in its study: recorded once, refused where damaged, shown while they run."""

from pathlib import Path

import optuna
import pytest
from support.watching import Clock

from tuner.errors import RunFolderError
from tuner.run.attributes import Attribute
from tuner.run.events import LiveTrial, SearchState
from tuner.run.journal import CONFIRMATION
from tuner.run.records import StudyReader
from tuner.run.requested_trainings import (
    RequestedTraining,
    last_request,
    record_request,
    requests,
)
from tuner.run.train_on import TrainOn
from tuner.run.watch import WatchedStudy
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace


def training(finalist: int, seed: int) -> RequestedTraining:
    return RequestedTraining(finalist, seed, None, TrainOn.TRAIN)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(study_name=CONFIRMATION)


def test_a_request_that_was_recorded_is_read(study: optuna.Study) -> None:
    assert (requests(study), last_request(study)) == ([], [])
    first = [training(3, 5)]
    second = [training(3, 5), RequestedTraining(4, 6, 2, TrainOn.BOTH)]
    for request in (first, second):
        record_request(study, request)
    assert (requests(study), last_request(study)) == ([first, second], second)


def test_the_same_request_is_recorded_once(study: optuna.Study) -> None:
    for _ in range(2):
        record_request(study, [training(0, 1)])
    assert len(study.user_attrs[Attribute.REQUESTS]) == 1


@pytest.mark.parametrize(
    "given", [5, [5], [[[1, 2]]], [[[1, "x", None, "train"]]], [[[1, 2, None, "all"]]]]
)
def test_a_damaged_request_is_refused(study: optuna.Study, given: object) -> None:
    study.set_user_attr(Attribute.REQUESTS, given)
    with pytest.raises(RunFolderError, match=r"^study\.journal: damaged \(requests must be lists"):
        requests(study)


def begun(
    study: optuna.Study, space: SearchSpace, out: Path, training: RequestedTraining
) -> tuple[LiveTrial, SearchState]:
    """A watcher's view of the confirmation when this training has begun."""
    study.set_user_attr(Attribute.SPACE, space.to_mapping())
    study.enqueue_trial({}, user_attrs=training.attributes)
    space.suggest(study.ask())
    config = make_config({"space": space, "out": str(out), "name": "x", "time_budget": "1h"})
    watched = WatchedStudy(StudyReader(study), Clock(), Clock())
    (event, state) = list(watched.news(config))[-1]
    assert event.trial is not None
    return event.trial, state


def test_a_training_of_an_earlier_request_is_shown_by_its_own_number(
    study: optuna.Study, space: SearchSpace, tmp_path: Path
) -> None:
    record_request(study, [training(3, 5)])
    trial, _ = begun(study, space, tmp_path, training(3, 7))
    assert trial.name == "0"


def test_the_budget_of_a_confirmation_is_its_trainings_and_not_the_searchs(
    study: optuna.Study, space: SearchSpace, tmp_path: Path
) -> None:
    study.enqueue_trial({}, user_attrs=training(3, 5).attributes)
    study.enqueue_trial({}, user_attrs=training(3, 6).attributes)
    _, state = begun(study, space, tmp_path, training(3, 7))
    assert (state.trial_budget, state.time_budget_s) == (3, None)
