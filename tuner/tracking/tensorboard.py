"""TensorBoard's event files: one folder per trial, its epochs as scalars and its parameters as hparams.

tensorboardX writes the records, TensorBoard itself only shows them. Its `SummaryWriter` is not used: that one queues
events for a thread of its own, so a full disk would go unnoticed and `flush` would not wait for the queue.
"""

import os
import shutil
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboardX.proto.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.proto.tensor_pb2 import TensorProto
from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboardX.proto.types_pb2 import DT_FLOAT
from tensorboardX.record_writer import RecordWriter

from tuner.run.folder import TENSORBOARD_WRITTEN
from tuner.run.records import TrialRecord
from tuner.settings.hyperparameters import Scalar
from tuner.tracking.exporter import timed_epochs


@dataclass
class _Open:
    """The event file of a running trial."""

    writer: RecordWriter
    epoch: int = 0  # the last one in it


class TensorboardExporter:
    """See `tuner.tracking.exporter.Exporter`.

    Args:
        folder: for the event files of a run; made when it is opened.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[str] = set()
        self._open: dict[int, _Open] = {}

    def open(self) -> None:
        """Reads which trials are there."""
        self.close()
        self._folder.mkdir(exist_ok=True)
        path = self._folder / TENSORBOARD_WRITTEN
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
                _write(trial.writer, second, epoch, summary=_scalars(metrics))
                trial.epoch = epoch
        if record.ended is None:
            trial.writer.flush()
            return
        self._end(record, trial)
        del self._open[record.number]
        # Writes the rest. `flush` would also wait for the disk, 10,000 times where 10,000 trials are caught up with.
        trial.writer.close()
        with open(self._folder / TENSORBOARD_WRITTEN, "a", encoding="ascii") as written:
            written.write(f"{_identity(record)}\n")
        self._written.add(_identity(record))

    def close(self) -> None:
        """Leaves the files of running trials as they are."""
        for trial in self._open.values():
            trial.writer.close()
        self._open.clear()

    def _begin(self, record: TrialRecord) -> _Open:
        assert record.started is not None
        folder = self._folder / f"trial-{record.number}"
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        folder.mkdir()
        second = record.started.timestamp()
        host = socket.gethostname()
        writer = RecordWriter(
            str(folder / f"events.out.tfevents.{int(second)}.{host}.{os.getpid()}")
        )
        trial = self._open[record.number] = _Open(writer)
        _write(writer, second, 0, file_version="brain.Event:2")
        _write(writer, second, 0, summary=_session_start(record))
        return trial

    def _end(self, record: TrialRecord, trial: _Open) -> None:
        assert record.ended is not None
        second = record.ended.timestamp()
        if record.score is not None:
            score = _scalars({"score": record.score})
            _write(trial.writer, second, record.best_epoch or 0, summary=score)
        _write(trial.writer, second, trial.epoch, summary=_session_end(record))


def _identity(record: TrialRecord) -> str:
    """Distinguishes a trial from one of the same number in a study that was begun anew or restored."""
    return f"{record.number} {record.started.isoformat() if record.started else ''}"


def _write(writer: RecordWriter, second: float, step: int, **content: Any) -> None:
    writer.write(Event(wall_time=second, step=step, **content).SerializeToString())


def _scalars(values: Mapping[str, float]) -> Summary:
    return Summary(
        value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    )


def _session_start(record: TrialRecord) -> Summary:
    """The parameters."""
    assert record.started is not None
    info = SessionStartInfo(start_time_secs=record.started.timestamp())
    for name, value in {"architecture": record.architecture, **record.parameters}.items():
        _set(info.hparams[name], value)
    return _hparams("session_start_info", info)


def _session_end(record: TrialRecord) -> Summary:
    assert record.ended is not None
    info = SessionEndInfo(
        status=STATUS_SUCCESS if record.status.has_worked else STATUS_FAILURE,
        end_time_secs=record.ended.timestamp(),
    )
    return _hparams("session_end_info", info)


def _hparams(name: str, info: Any) -> Summary:
    """The summary for TensorBoard's plugin `hparams`, as `tensorboardX.summary.hparams` makes it, but with times."""
    data = HParamsPluginData(**{name: info})
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    nothing = TensorProto(dtype=DT_FLOAT, tensor_shape=TensorShapeProto(dim=[{"size": 0}]))
    value = Summary.Value(
        tag=f"_hparams_/{name}", metadata=SummaryMetadata(plugin_data=plugin), tensor=nothing
    )
    return Summary(value=[value])


def _set(cell: Any, value: Scalar) -> None:
    if isinstance(value, bool):
        cell.bool_value = value
    elif isinstance(value, int | float):
        cell.number_value = value
    else:
        cell.string_value = value
