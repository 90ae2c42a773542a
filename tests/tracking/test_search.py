"""Whole searches with exporters."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from support.watching import Recorder
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tuner.errors import ConfigError
from tuner.execution.search import run_search
from tuner.run.folder import RunFolder
from tuner.run.sessions import SessionEnd
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # MLflow's own warnings


@pytest.fixture
def settings(space: SearchSpace, sentences: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "space": space,
        "data": {"source": str(sentences)},
        "out": str(tmp_path / "runs"),
        "name": "x",
        "trainer": "toy",
    }


def runs_in(path: Path) -> Counter[str]:
    """How often MLflow has each trial."""
    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.get_experiment_by_name("x")
    return Counter(
        run.data.tags["tuner.trial"] for run in client.search_runs([experiment.experiment_id])
    )


def test_every_trial_is_logged_once_whenever_it_was_requested(
    without_ray: None, settings: dict[str, Any], tmp_path: Path
) -> None:
    recorder, database = Recorder(), tmp_path / "m.db"
    settings["tensorboard"] = True
    run_search(make_config({**settings, "trials": 3}), recorder)
    settings["mlflow"] = str(database)
    after = run_search(make_config({**settings, "trials": 3}), recorder)
    assert after.reason is SessionEnd.BUDGET_WAS_USED
    assert runs_in(database) == Counter(str(number) for number in range(3))
    outcome = run_search(make_config({**settings, "trials": 5}), recorder)
    assert runs_in(database) == Counter(str(number) for number in range(5))
    for record in outcome.run.leaderboard().itertuples():
        reader = EventAccumulator(str(outcome.run.folder / "tensorboard" / f"trial-{record.trial}"))
        reader.Reload()
        assert len(reader.Scalars("val_loss")) == record.epochs
    assert recorder.notes == []


def test_a_server_that_is_down_is_reported_once_and_stops_nothing(
    without_ray: None, settings: dict[str, Any]
) -> None:
    recorder = Recorder()
    asked = make_config({**settings, "trials": 4, "mlflow": "http://127.0.0.1:9"})
    outcome = run_search(asked, recorder)
    assert outcome.reason is SessionEnd.BUDGET_USED
    assert len(outcome.run.leaderboard()) == 4
    failed, missing = recorder.notes
    assert failed is not None
    assert failed.startswith("MLflow (http://127.0.0.1:9) cannot be written: ")
    assert missing is not None
    assert missing.startswith("not everything is in MLflow (http://127.0.0.1:9); the same")


def test_an_exporter_that_cannot_be_is_refused_before_anything_starts(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    config = make_config({**settings, "mlflow": str(tmp_path / "no" / "m.db")})
    with pytest.raises(ConfigError, match="no such folder; make it first"):
        run_search(config)
    assert not RunFolder(config.folder).path.exists()
