"""MLflow itself, with a SQLite file."""

import math
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from support.studies import FACTS, metrics, run_trial

from tuner.run.records import StudyReader
from tuner.run.trial_status import TrialStatus
from tuner.search.study import SearchStudy
from tuner.tracking.mlflow import MlflowExporter

pytestmark = [
    pytest.mark.slow,  # importing MLflow
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, about its dependencies
]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store; making its tables takes seconds, so there is one for all."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def exporter(uri: str, request: pytest.FixtureRequest) -> Iterator[MlflowExporter]:
    exporter = MlflowExporter(uri, run_name=request.node.name, study_id="one")
    exporter.open()
    yield exporter
    exporter.close()


def write_all(exporter: MlflowExporter, study: SearchStudy) -> None:
    for record in StudyReader(study.study).records():
        exporter.write(record)


def runs(exporter: MlflowExporter) -> list[Any]:
    """All of the experiment, by trial."""
    client = MlflowClient(exporter._uri)
    experiment = client.get_experiment_by_name(exporter._run_name)
    found = client.search_runs([experiment.experiment_id])
    return sorted(found, key=lambda run: int(run.data.tags["tuner.trial"]))


def history(
    exporter: MlflowExporter, run: Any, metric: str = "val_accuracy"
) -> list[tuple[int, float]]:
    found = MlflowClient(exporter._uri).get_metric_history(run.info.run_id, metric)
    return sorted((each.step, each.value) for each in found)


def test_a_trial_is_a_run_with_parameters_metrics_and_tags(
    exporter: MlflowExporter, study: SearchStudy
) -> None:
    run_trial(study, 0.7, 0.9, 0.8)
    write_all(exporter, study)
    (run,) = runs(exporter)
    assert (run.info.run_name, run.info.status) == ("trial 0", "FINISHED")
    assert run.data.params == {
        "architecture": "lstm",
        "learning_rate": "0.001",
        "lstm_units": "32",
    }
    assert history(exporter, run) == [(1, 0.7), (2, 0.9), (3, 0.8)]
    assert history(exporter, run, "score") == [(2, 0.9)]
    tags = {name: value for name, value in run.data.tags.items() if name.startswith("tuner.")}
    assert tags == {
        "tuner.study": "one",
        "tuner.trial": "0",
        "tuner.run": exporter._run_name,
        "tuner.status": "complete",
        "tuner.baseline": "True",
        "tuner.seed": "7",
        "tuner.host": "h",
        "tuner.device": "cpu",
        "tuner.weights": "123",
    }
    assert run.info.end_time >= run.info.start_time > 1.6e12  # milliseconds


@pytest.mark.parametrize(
    ("status", "written"),
    [
        (TrialStatus.PRUNED, "KILLED"),
        (TrialStatus.DIVERGED, "FAILED"),
        (TrialStatus.FAILED, "FAILED"),
    ],
)
def test_how_a_trial_ended_is_the_runs_status(
    exporter: MlflowExporter, study: SearchStudy, status: TrialStatus, written: str
) -> None:
    run_trial(study, 0.7, math.nan, status=status)
    write_all(exporter, study)
    (run,) = runs(exporter)
    assert (run.info.status, run.data.tags["tuner.status"]) == (written, str(status))


def test_a_trial_that_runs_is_seen_as_it_goes(exporter: MlflowExporter, study: SearchStudy) -> None:
    trial = study.ask()
    study.space.suggest(trial)
    write_all(exporter, study)
    assert runs(exporter)[0].info.status == "RUNNING"
    study.record_facts(trial, FACTS)
    for epoch in (1, 2):
        study.report(trial, epoch, metrics(epoch / 10))
        write_all(exporter, study)
        write_all(exporter, study)
    (run,) = runs(exporter)
    assert (run.info.status, run.data.tags["tuner.status"]) == ("RUNNING", "running")
    assert run.data.tags["tuner.host"] == "h"
    assert history(exporter, run) == [(1, 0.1), (2, 0.2)]


def test_another_session_logs_missing_trials_and_none_twice(
    exporter: MlflowExporter, study: SearchStudy
) -> None:
    run_trial(study, 0.7)
    interrupted = study.ask()
    study.space.suggest(interrupted)
    study.report(interrupted, 1, metrics(0.5))
    write_all(exporter, study)
    study.report(interrupted, 2, metrics(0.6))
    study.requeue_interrupted_trials()
    run_trial(study, 0.8)
    for _ in range(2):
        again = MlflowExporter(exporter._uri, run_name=exporter._run_name, study_id="one")
        again.open()
        write_all(again, study)
    found = runs(exporter)
    assert [run.data.tags["tuner.trial"] for run in found] == ["0", "1", "2"]
    assert [run.info.status for run in found] == ["FINISHED", "KILLED", "FINISHED"]
    assert history(exporter, found[1]) == [(1, 0.5), (2, 0.6)]


def test_another_study_of_the_same_name_has_runs_of_its_own(
    exporter: MlflowExporter, study: SearchStudy
) -> None:
    run_trial(study, 0.7)
    write_all(exporter, study)
    other = MlflowExporter(exporter._uri, run_name=exporter._run_name, study_id="two")
    other.open()
    write_all(other, study)
    assert [run.data.tags["tuner.study"] for run in runs(exporter)] in (
        ["one", "two"],
        ["two", "one"],
    )


def test_trials_with_many_epochs_are_logged_in_batches(
    exporter: MlflowExporter, study: SearchStudy
) -> None:
    run_trial(study, *(epoch / 1000 for epoch in range(1, 201)))  # 1,200 metrics
    write_all(exporter, study)
    (run,) = runs(exporter)
    assert len(history(exporter, run)) == 200


def test_an_experiment_that_was_deleted_is_named_with_the_command_that_brings_it_back(
    exporter: MlflowExporter, uri: str, study: SearchStudy
) -> None:
    client = MlflowClient(uri)
    number = client.get_experiment_by_name(exporter._run_name).experiment_id
    client.delete_experiment(number)
    advice = f"was deleted; bring it back: mlflow experiments restore --experiment-id {number}"
    with pytest.raises(RuntimeError, match=advice):
        exporter.open()
    client.restore_experiment(number)
    exporter.open()
    run_trial(study, 0.7)
    write_all(exporter, study)
    assert len(runs(exporter)) == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_accepts_and_never_answers_is_left_after_a_while_with_what_helps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        exporter = MlflowExporter(
            f"http://127.0.0.1:{server.getsockname()[1]}", run_name="x", study_id="one"
        )
        advice = "restart it, or set MLFLOW_HTTP_REQUEST_TIMEOUT to more seconds$"
        with pytest.raises(
            ConnectionError, match=f"^its server does not answer within 1 s; {advice}"
        ):
            exporter.open()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:9", r"\[Errno 111\] Connection refused"),
        ("http://nowhere.invalid", ".*not known.*|.*name resolution.*"),
    ],
)
def test_a_server_that_is_not_there_is_reported_with_what_helps(uri: str, reason: str) -> None:
    exporter = MlflowExporter(uri, run_name="x", study_id="one")
    message = rf"^no server answers there \(({reason})\); start it, or correct the address$"
    with pytest.raises(ConnectionError, match=message):
        exporter.open()
