"""The settings of a confirmation, checked before anything is read or started."""

from pathlib import Path
from typing import Any

import pytest

from tuner.errors import ConfigError
from tuner.finalists.request import Request, confirmation_config, make_request
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.run.train_on import TrainOn
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace


@pytest.fixture
def folder(space: SearchSpace, tmp_path: Path) -> RunFolder:
    """A run that was searched elsewhere, for an hour, three trials of two CPUs at a time."""
    config = make_config(
        {
            "space": space,
            "out": str(tmp_path),
            "name": "mine",
            "time_budget": "1h",
            "cpus_per_trial": 2,
            "max_concurrent": 3,
            "address": "10.0.0.1:6379",
            "storage_path": "/shared",
            "tensorboard": True,
            "stop_when_flat": True,
            "seed": 7,
        }
    )
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    return folder


def test_the_runs_settings_hold_except_for_its_place_and_resources(folder: RunFolder) -> None:
    config = confirmation_config(folder, {"max_concurrent": None})
    assert (config.seed, config.cpus_per_trial, config.folder) == (7, 2, folder.path)
    assert (config.max_concurrent, config.time_budget, config.address) == (None, None, None)
    assert config.storage_path == "/shared/confirmation"
    assert not config.tensorboard
    assert not config.stop_when_flat  # all that are asked for are trained
    here = confirmation_config(folder, {"cpus_per_trial": 1, "max_concurrent": 5})
    assert (here.cpus_per_trial, here.max_concurrent) == (1, 5)


@pytest.mark.parametrize(("given", "place"), [("/here", "/here/confirmation"), ("off", None)])
def test_shared_storage_that_is_not_there_any_more_can_be_replaced(
    folder: RunFolder, given: str, place: str | None
) -> None:
    assert confirmation_config(folder, {"storage_path": given}).storage_path == place


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("flags", "^--max-concurrent: must be greater than or equal to 1, got 0"),
        ("keywords", "^max_concurrent: must be greater than or equal to 1, got 0"),
    ],
)
def test_a_share_that_cannot_be_is_refused_by_the_name_that_was_used(
    folder: RunFolder, names: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        confirmation_config(folder, {"max_concurrent": 0}, names)


def test_the_default_request_is_five_finalists_of_five_seeds() -> None:
    assert make_request({}) == Request(top=5, seeds=5, train_on=TrainOn.TRAIN)
    assert make_request({"top": 1, "train_on": "train+validation"}).train_on is TrainOn.BOTH


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top": 0}, "^top: must be greater than or equal to 1, got 0"),
        ({"seeds": "some"}, "^seeds: must be a whole number, got 'some'"),
        ({"train_on": "test"}, r"^train_on: must be 'train' or 'train\+validation', got 'test'"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_request(given)
