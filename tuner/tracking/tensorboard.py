"""TensorBoard's event files: a folder a trial, its epochs as scalars and its parameters as hparams.

Written record by record without TensorFlow, so no thread or graph comes with it.
"""

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tuner.run.records import TrialRecord
from tuner.run.status import TrialStatus
from tuner.settings.hyperparameters import Scalar
from tuner.tracking.exporter import timed_epochs

# Numbers of the trials whose folders are whole. The others are written anew by the next sitting.
WRITTEN = "written.txt"


@dataclass
class _Open:
    """The event file of a trial that runs."""

    file: IO[bytes]
    epoch: int = 0  # the last one in it


class TensorboardSink:
    """See `tuner.tracking.exporter.Sink`.

    Args:
        folder: of the run's event files; made when there is one.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[str] = set()
        self._open: dict[int, _Open] = {}

    def open(self) -> None:
        """Finds out which trials are there."""
        self.close()
        self._folder.mkdir(exist_ok=True)
        path = self._folder / WRITTEN
        lines = path.read_text("ascii", errors="replace") if path.is_file() else ""
        whole = lines[: lines.rfind("\n") + 1]
        if whole != lines:
            path.write_text(whole, "ascii")
        self._written = set(whole.splitlines())

    def write(self, record: TrialRecord) -> None:
        """Appends the epochs that are new."""
        if record.started is None or _identity(record) in self._written:
            return
        trial = self._open.get(record.number) or self._begin(record)
        for epoch, second, metrics in timed_epochs(record):
            if epoch > trial.epoch:
                _write(trial.file, second, epoch, _scalars(metrics))
                trial.epoch = epoch
        if record.ended is not None:
            self._end(record, trial)
        trial.file.flush()
        if record.ended is not None:
            del self._open[record.number]
            trial.file.close()
            with open(self._folder / WRITTEN, "a", encoding="ascii") as written:
                written.write(f"{_identity(record)}\n")
            self._written.add(_identity(record))

    def close(self) -> None:
        """Leaves the files of running trials as they are."""
        for trial in self._open.values():
            trial.file.close()
        self._open.clear()

    def _begin(self, record: TrialRecord) -> _Open:
        assert record.started is not None
        folder = self._folder / f"trial-{record.number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        second = record.started.timestamp()
        host = socket.gethostname()
        file = open(folder / f"events.out.tfevents.{int(second)}.{host}.{os.getpid()}", "wb")  # noqa: SIM115
        trial = self._open[record.number] = _Open(file)
        _write(file, second, 0, file_version="brain.Event:2")
        _write(file, second, 0, _session_start(record))
        return trial

    def _end(self, record: TrialRecord, trial: _Open) -> None:
        assert record.ended is not None
        second = record.ended.timestamp()
        if record.score is not None:
            _write(trial.file, second, record.best_epoch or 0, _scalars({"score": record.score}))
        _write(trial.file, second, trial.epoch, _session_end(record))


def _identity(record: TrialRecord) -> str:
    """Tells a trial from another one of its number, of a study that was begun anew or restored."""
    return f"{record.number} {record.started.isoformat() if record.started else ''}"


def _write(file: IO[bytes], second: float, step: int, summary: Any = None, **fields: Any) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    event = Event(wall_time=second, step=step, summary=summary, **fields)
    RecordWriter(file).write(event.SerializeToString())


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(
        value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    )


def _session_start(record: TrialRecord) -> Any:
    """The parameters, in the format of TensorBoard's plugin `hparams`."""
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    assert record.started is not None
    info = SessionStartInfo(start_time_secs=record.started.timestamp())
    for name, value in {"architecture": record.architecture, **record.parameters}.items():
        _set(info.hparams[name], value)
    data = HParamsPluginData(session_start_info=info)
    return _plugin_summary(metadata.SESSION_START_INFO_TAG, data)


def _session_end(record: TrialRecord) -> Any:
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    assert record.ended is not None
    worked = record.status in {TrialStatus.COMPLETE, TrialStatus.PRUNED}
    info = SessionEndInfo(
        status=STATUS_SUCCESS if worked else STATUS_FAILURE,
        end_time_secs=record.ended.timestamp(),
    )
    data = HParamsPluginData(session_end_info=info)
    return _plugin_summary(metadata.SESSION_END_INFO_TAG, data)


def _plugin_summary(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    described = metadata.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)])


def _set(cell: Any, value: Scalar) -> None:
    if isinstance(value, bool):
        cell.bool_value = value
    elif isinstance(value, int | float):
        cell.number_value = value
    else:
        cell.string_value = value
