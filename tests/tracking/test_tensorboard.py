"""Event files, read with TensorBoard's own reader."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.studies import FACTS, metrics, open_study, run_trial
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboardX.record_writer import RecordWriter

from tuner.run.folder import TENSORBOARD_WRITTEN
from tuner.run.records import StudyReader
from tuner.run.trial_status import TrialStatus
from tuner.search.study import SearchStudy
from tuner.settings.space import SearchSpace
from tuner.tracking import tensorboard
from tuner.tracking.tensorboard import TensorboardExporter


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard's own switch: its reader then takes its small stand-in for TensorFlow, and needs 4 s less."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tensorboard"


@pytest.fixture
def exporter(folder: Path) -> Iterator[TensorboardExporter]:
    exporter = TensorboardExporter(folder)
    exporter.open()
    yield exporter
    exporter.close()


def write_all(exporter: TensorboardExporter, study: SearchStudy) -> None:
    for record in StudyReader(study.study).records():
        exporter.write(record)


def read(folder: Path, number: int) -> EventAccumulator:
    reader = EventAccumulator(str(folder / f"trial-{number}"))
    reader.Reload()
    return reader


def scalars(folder: Path, number: int, tag: str = "val_accuracy") -> list[tuple[int, float]]:
    events = read(folder, number).Scalars(tag)
    return [(event.step, round(event.value, 6)) for event in events]


def hparams(folder: Path, number: int, tag: str) -> Any:
    content = read(folder, number).SummaryMetadata(tag).plugin_data.content
    if tag == metadata.SESSION_START_INFO_TAG:
        return metadata.parse_session_start_info_plugin_data(content)
    return metadata.parse_session_end_info_plugin_data(content)


def test_a_trial_has_its_epochs_as_scalars(
    exporter: TensorboardExporter, study: SearchStudy, folder: Path
) -> None:
    run_trial(study, 0.7, 0.9, 0.8)
    write_all(exporter, study)
    assert scalars(folder, 0) == [(1, 0.7), (2, 0.9), (3, 0.8)]
    assert scalars(folder, 0, "score") == [(2, 0.9)]
    assert set(read(folder, 0).Tags()["scalars"]) == {*metrics(0.0), "score"}
    started = StudyReader(study.study).records()[0].started
    assert started is not None
    assert read(folder, 0).FirstEventTimestamp() == pytest.approx(started.timestamp())
    first, second, _ = (event.wall_time for event in read(folder, 0).Scalars("loss"))
    assert second - first == pytest.approx(2.0)  # an epoch's seconds


@pytest.mark.parametrize(
    ("status", "written"),
    [(TrialStatus.PRUNED, STATUS_SUCCESS), (TrialStatus.DIVERGED, STATUS_FAILURE)],
)
def test_a_trial_has_its_parameters_and_its_end_for_the_hparams_page(
    exporter: TensorboardExporter,
    study: SearchStudy,
    folder: Path,
    status: TrialStatus,
    written: int,
) -> None:
    run_trial(study, 0.7, status=status)
    write_all(exporter, study)
    end_tag = metadata.SESSION_END_INFO_TAG
    start = hparams(folder, 0, metadata.SESSION_START_INFO_TAG)
    assert start.hparams["architecture"].string_value == "lstm"
    assert start.hparams["lstm_units"].number_value == 32
    assert 0 < start.start_time_secs <= hparams(folder, 0, end_tag).end_time_secs
    assert hparams(folder, 0, end_tag).status == written


def test_a_trial_that_runs_is_seen_as_it_goes(
    exporter: TensorboardExporter, study: SearchStudy, folder: Path
) -> None:
    trial = study.ask()
    study.space.suggest(trial)
    write_all(exporter, study)
    for epoch in (1, 2):
        study.report(trial, epoch, metrics(epoch / 10))
        write_all(exporter, study)
        write_all(exporter, study)
        assert [step for step, _ in scalars(folder, 0)] == list(range(1, epoch + 1))
    assert "score" not in read(folder, 0).Tags()["scalars"]


def test_another_session_writes_missing_epochs_once(
    exporter: TensorboardExporter, study: SearchStudy, folder: Path
) -> None:
    run_trial(study, 0.7)
    interrupted = study.ask()
    study.space.suggest(interrupted)
    study.report(interrupted, 1, metrics(0.5))
    write_all(exporter, study)
    exporter.close()
    whole = next((folder / "trial-0").iterdir())
    before = whole.stat().st_mtime_ns
    with open(next((folder / "trial-1").iterdir()), "ab") as torn:
        torn.write(b"half a rec")
    written = (folder / TENSORBOARD_WRITTEN).read_text()
    assert written.startswith("0 2")  # the trial and its start
    (folder / TENSORBOARD_WRITTEN).write_text(f"{written}1")  # and half a line
    study.report(interrupted, 2, metrics(0.6))
    study.requeue_interrupted_trials()
    again = TensorboardExporter(folder)
    again.open()
    write_all(again, study)
    assert scalars(folder, 1) == [(1, 0.5), (2, 0.6)]
    assert whole.stat().st_mtime_ns == before
    lines = (folder / TENSORBOARD_WRITTEN).read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1"]
    assert [len(list((folder / f"trial-{number}").iterdir())) for number in (0, 1)] == [1, 1]


def test_a_trial_that_failed_before_its_first_epoch_is_there(
    exporter: TensorboardExporter, study: SearchStudy, folder: Path
) -> None:
    trial = study.ask()
    study.space.suggest(trial)
    study.record_facts(trial, FACTS)
    study.finish(trial, TrialStatus.FAILED, "why")
    write_all(exporter, study)
    assert hparams(folder, 0, metadata.SESSION_END_INFO_TAG).status == STATUS_FAILURE


def test_a_study_that_was_begun_anew_takes_the_place_of_the_old_one(
    exporter: TensorboardExporter,
    study: SearchStudy,
    folder: Path,
    space: SearchSpace,
    tmp_path: Path,
) -> None:
    run_trial(study, 0.7)
    write_all(exporter, study)
    exporter.close()
    other = open_study(tmp_path / "anew" / "study.journal", space)
    run_trial(other, 0.4)
    again = TensorboardExporter(folder)
    again.open()
    write_all(again, other)
    assert scalars(folder, 0) == [(1, 0.4)]


def test_trials_that_have_ended_are_written_without_waiting_for_the_disk(
    exporter: TensorboardExporter,
    study: SearchStudy,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for accuracy in (0.7, 0.8, 0.9):
        run_trial(study, accuracy)
    waits: list[int] = []
    monkeypatch.setattr(os, "fsync", waits.append)
    write_all(exporter, study)
    assert waits == []
    assert scalars(folder, 2) == [(1, 0.9)]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_disk_that_is_full_is_the_exporters_failure(
    exporter: TensorboardExporter, study: SearchStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "RecordWriter", lambda path: RecordWriter("/dev/full"))
    run_trial(study, 0.7)
    with pytest.raises(OSError, match="No space left"):
        write_all(exporter, study)
    assert not (exporter._folder / TENSORBOARD_WRITTEN).exists()


def test_a_folder_that_is_read_only_is_the_exporters_failure_and_named(
    exporter: TensorboardExporter, study: SearchStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_trial(study, 0.7)
    (record,) = StudyReader(study.study).records()
    exporter._folder.joinpath("trial-0").mkdir()  # of an earlier session that was killed

    def refuse(path: object, **_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "rmdir", refuse)
    with pytest.raises(OSError, match=r"Read-only file system: '.*trial-0'"):
        exporter.write(record)
    monkeypatch.undo()
    exporter.write(record)  # once it can be written again
    assert (exporter._folder / "written.txt").read_text().startswith("0 ")
