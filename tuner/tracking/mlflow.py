"""MLflow: one experiment per run and in it one MLflow run per trial, on a server or in a SQLite file.

Trials that MLflow already has are found by their tags, so a search that was killed logs none twice.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tuner.run.records import TrialRecord
from tuner.run.trial_status import TrialStatus
from tuner.tracking.exporter import timed_epochs

_STUDY, _NUMBER = "tuner.study", "tuner.trial"
_BATCH = 900  # MLflow takes 1,000 metrics at once
_PAGE = 1000
# Set where the user has not. By default MLflow waits for minutes for a server that is down, and reports to its
# makers how it is used.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_STATUSES = {
    TrialStatus.COMPLETE: "FINISHED",
    TrialStatus.PRUNED: "KILLED",
}


@dataclass
class _Trial:
    """The part of one trial that MLflow has."""

    run_id: str
    is_finished: bool = False
    epoch: int | None = None  # the last one there; None: not asked yet
    # As logged in this session, with the parameters; None: not yet.
    tags: Mapping[str, str] | None = None


class MlflowExporter:
    """See `tuner.tracking.exporter.Exporter`.

    Args:
        uri: of the tracking server or database, as MLflow writes it.
        run_name: the name of the experiment.
        study_id: distinguishes the study from another one of the same name.
    """

    def __init__(self, uri: str, *, run_name: str, study_id: str) -> None:
        self._uri = uri
        self._run_name = run_name
        self._study_id = study_id
        self._client: Any = None
        self._experiment = ""
        self._trials: dict[int, _Trial] = {}

    @property
    def name(self) -> str:
        """MLflow and its address."""
        return f"MLflow ({self._uri})"

    def open(self) -> None:
        """Finds or makes the experiment, and finds the trials in it.

        Raises:
            RuntimeError: the experiment was deleted; its name stays taken.
            ConnectionError: its server does not answer.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        with _connection_errors_explained():
            self._open()

    def _open(self) -> None:
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=self._uri)
        known = self._client.get_experiment_by_name(self._run_name)
        if known is not None and known.lifecycle_stage != "active":
            raise RuntimeError(
                f"its experiment {self._run_name} was deleted; bring it back: mlflow experiments restore "
                f"--experiment-id {known.experiment_id}"
            )
        self._experiment = (
            self._client.create_experiment(self._run_name) if known is None else known.experiment_id
        )
        self._trials = {}
        for run in self._runs():
            number = int(run.data.tags[_NUMBER])
            self._trials[number] = _Trial(run.info.run_id, run.info.status != "RUNNING")

    def _runs(self) -> Iterator[Any]:
        """The MLflow runs of this study, the latest first."""
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                filter_string=f"tags.`{_STUDY}` = '{self._study_id}'",
                max_results=_PAGE,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                break

    def write(self, record: TrialRecord) -> None:
        """Logs the epochs that MLflow lacks, and the trial's end.

        Raises:
            ConnectionError: its server does not answer.
        """
        with _connection_errors_explained():
            self._write(record)

    def _write(self, record: TrialRecord) -> None:
        trial = self._trials.get(record.number) or self._begin(record)
        if trial.is_finished:
            return
        if trial.epoch is None:
            history = self._client.get_metric_history(trial.run_id, "seconds")
            trial.epoch = max((metric.step for metric in history), default=0)
        self._log(record, trial)
        if record.ended is not None:
            status = _STATUSES.get(record.status, "FAILED")
            self._client.set_terminated(trial.run_id, status, _milliseconds(record.ended))
            trial.is_finished = True

    def close(self) -> None:
        """Does nothing: no file or connection is open."""

    def _begin(self, record: TrialRecord) -> _Trial:
        assert record.started is not None
        run = self._client.create_run(
            self._experiment,
            start_time=_milliseconds(record.started),
            run_name=f"trial {record.number}",
            tags={_STUDY: self._study_id, _NUMBER: str(record.number)},
        )
        trial = self._trials[record.number] = _Trial(run.info.run_id, epoch=0)
        return trial

    def _log(self, record: TrialRecord, trial: _Trial) -> None:
        from mlflow.entities import Metric, Param, RunTag

        assert trial.epoch is not None
        new = [each for each in timed_epochs(record) if each[0] > trial.epoch]
        metrics = [
            Metric(name, value, round(1000 * second), epoch)
            for epoch, second, values in new
            for name, value in values.items()
        ]
        if record.ended is not None and record.score is not None:
            ended, best = _milliseconds(record.ended), record.best_epoch or 0
            metrics.append(Metric("score", record.score, ended, best))
        tags = _tags(record, self._run_name)
        parameters = {"architecture": record.architecture, **record.parameters}
        first: dict[str, Any] = {}
        if tags != trial.tags:
            first["tags"] = [RunTag(name, value) for name, value in tags.items()]
        if trial.tags is None:
            first["params"] = [Param(name, str(value)) for name, value in parameters.items()]
        for start in range(0, max(1, len(metrics)), _BATCH):
            batch = metrics[start : start + _BATCH]
            if batch or first:
                self._client.log_batch(trial.run_id, batch, **first)
            first = {}
        trial.tags = tags
        trial.epoch = max((epoch for epoch, *_ in new), default=trial.epoch)


@contextmanager
def _connection_errors_explained() -> Iterator[None]:
    """Replaces MLflow's long texts about a server that cannot be reached by the reason and what helps."""
    try:
        yield
    except Exception as error:
        explanation = _explanation(error)
        if explanation is None:
            raise
        raise ConnectionError(explanation) from error


def _explanation(error: BaseException | None) -> str | None:
    from requests.exceptions import ConnectionError as Unreachable
    from requests.exceptions import ConnectTimeout, Timeout

    while error is not None and not isinstance(error, Unreachable | Timeout):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    if isinstance(error, Timeout) or "Read timed out" in str(error):
        waited = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
        what = "cannot be reached" if isinstance(error, ConnectTimeout) else "does not answer"
        return f"its server {what} within {waited} s; restart it, or set MLFLOW_HTTP_REQUEST_TIMEOUT to more seconds"
    reason = str(getattr(error.args[0] if error.args else error, "reason", error))
    return (
        f"no server answers there ({reason.rpartition(': ')[2]}); start it, or correct the address"
    )


def _tags(record: TrialRecord, run_name: str) -> dict[str, str]:
    """Everything else that is known of the trial."""
    known = {
        "run": run_name,
        "status": record.status,
        "baseline": record.baseline,
        "seed": record.seed,
        "host": record.host,
        "device": record.device,
        "weights": record.weights,
        "error": record.error,
    }
    return {f"tuner.{name}": str(value) for name, value in known.items() if value is not None}


def _milliseconds(moment: datetime) -> int:
    return round(1000 * moment.timestamp())
