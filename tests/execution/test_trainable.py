"""The process that trains, called as Tune calls it."""

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.searches import make, toy_space
from support.watching import Clock

from tuner.data import EncodedSequences
from tuner.errors import ConfigError, DeviceFault, GpuMissing, MpsFault, TrialOutOfMemory
from tuner.execution import trainable
from tuner.execution.diagnosis import STARTED
from tuner.execution.faulty_gpus import FaultyGpu
from tuner.execution.messages import Report, to_ray_config
from tuner.execution.mps import JOINED, MpsState
from tuner.execution.packing import Place
from tuner.execution.search import SearchPlan, run_search
from tuner.execution.shares import Share
from tuner.execution.task import Task
from tuner.execution.trainable import TrialActor
from tuner.nvidia import MpsMode
from tuner.run.run_file import installed_versions
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import TrainerName
from tuner.settings.hyperparameters import Hyperparameters
from tuner.settings.metric import Metric
from tuner.storage import Storage
from tuner.training.spec import EpochResult, TrainedModel, TrialSpec
from tuner.training.toy import ToyTraining


@pytest.fixture(autouse=True)
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultyGpu:
    """The GPU of this file's processes, on a clock of its own."""
    made = FaultyGpu(tmp_path / "node", "0", Clock(1e9))
    made.root.mkdir()
    monkeypatch.setattr(trainable, "FaultyGpu", lambda session: replace(made, session=session))
    return made


def pass_time(gpu: FaultyGpu) -> None:
    assert isinstance(gpu.clock, Clock)
    gpu.clock.now += 40


def task(**settings: Any) -> Task:
    defaults: dict[str, Any] = {"trainer": TrainerName.TOY, "train": None, "validation": None}
    return Task(n_classes=2, cpus=1, logs="no such folder", **{**defaults, **settings})


def config(number: int = 0, gpus: float = 0.0, **changes: Any) -> dict[str, Any]:
    spec = TrialSpec(number, Hyperparameters(architecture="lstm"), seed=1, max_epochs=2)
    return to_ray_config(replace(spec, **changes), Place(Share(gpus), {"CPU": 1, "GPU": gpus}))


def actor(given: Task, gpus: float = 0.0, **changes: Any) -> TrialActor:
    """As Tune makes it, without Ray's own preparations."""
    made: TrialActor = TrialActor.__new__(TrialActor)
    made.setup(config(gpus=gpus, **changes), task=given)
    return made


def report(given: TrialActor) -> Report:
    return Report.from_result(given.step())


def mps_says(monkeypatch: pytest.MonkeyPatch, state: MpsState) -> list[MpsMode]:
    """The modes that MPS is asked for."""
    asked: list[MpsMode] = []

    def ensure(wanted: MpsMode) -> MpsState:
        asked.append(wanted)
        return state

    monkeypatch.setattr(trainable, "ensure", ensure)
    return asked


def break_next_epoch(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def breaks(self: ToyTraining, epoch: int) -> None:
        raise error

    monkeypatch.setattr(ToyTraining, "_misbehave", breaks)


def test_epochs_that_a_checkpoint_brings_tell_nothing_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "_node", lambda: "here")
    before = actor(task(checkpoints=str(tmp_path)), max_epochs=9)
    assert [report(before).node for _ in range(2)] == ["here", ""]
    other = actor(task(checkpoints=str(tmp_path)), max_epochs=9)
    taken_up = [report(other) for _ in range(2)]
    assert [each.epoch is not None for each in taken_up] == [True, True]
    assert [each.node for each in taken_up] == ["", ""]
    assert report(other).node == "here"

    def breaks(self: ToyTraining, epoch: int, every_s: float) -> None:
        raise RuntimeError("no such library")

    third = actor(task(checkpoints=str(tmp_path)), max_epochs=9)
    assert [report(third).status for _ in range(3)] == [None] * 3
    monkeypatch.setattr(ToyTraining, "_pass_time", breaks)
    assert report(third).is_suspect  # it has trained nothing


def test_a_trial_does_not_go_on_from_a_checkpoint_of_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "checkpointed_models.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    own = Hyperparameters(architecture="checkpointed_models:build")
    taken_up: list[int] = []
    for returned in (1, 1, 2):
        module.write_text(f"def build(**values): return {returned}")
        trainable._code_in.cache_clear()  # it is a process of its own
        given = task(checkpoints=str(tmp_path / "checkpoints"))
        process = actor(given, hyperparameters=own, max_epochs=9)
        report(process)
        assert process._training is not None
        taken_up.append(process._training.epochs_taken_up)
    assert taken_up == [0, 1, 0]


def test_the_last_model_is_free_before_the_next_one_is_built() -> None:
    process = actor(task())
    report(process)
    last = weakref.ref(process._training)
    assert last() is not None
    process.reset_config(config(1))
    assert last() is None


@pytest.mark.keras
def test_a_real_model_is_free_before_the_next_one_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    from tuner.training import devices, trial

    monkeypatch.setattr(devices, "configure_device", lambda **share: None)  # once per process
    monkeypatch.setattr(trainable, "_freeze_imports", lambda: None)
    sequences = EncodedSequences(
        tokens=np.tile(np.array([1, 3, 4], np.int32), 8),
        offsets=np.arange(9, dtype=np.int64) * 3,
        labels=np.arange(8, dtype=np.int32) % 2,
    )
    models: list[weakref.ref[object]] = []
    original = trial.build_model

    def build(*arguments: Any, **options: Any) -> object:
        assert [model() for model in models] == [None] * len(models)
        model = original(*arguments, **options)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(trial, "build_model", build)
    process = actor(task(trainer=TrainerName.KERAS, train=sequences, validation=sequences))
    assert report(process).epoch is not None
    process.reset_config(config(1))
    assert report(process).epoch is not None
    assert len(models) == 2


@pytest.mark.parametrize(("gpus", "retire"), [(0.25, True), (0.0, False)])
def test_a_process_that_ran_out_of_memory_on_a_gpu_trains_no_other_trial(
    monkeypatch: pytest.MonkeyPatch, gpus: float, retire: bool
) -> None:
    break_next_epoch(monkeypatch, RuntimeError("CUDNN_STATUS_ALLOC_FAILED"))
    last = report(actor(task(), gpus))
    assert last.status is TrialStatus.OUT_OF_MEMORY
    assert last.retire == retire


def test_after_so_many_trials_a_process_asks_to_be_replaced() -> None:
    process = actor(task(trials_per_process=2))
    assert not report(process).retire
    process.reset_config(config(1))
    assert report(process).retire  # with every epoch: any may be its last


def test_an_error_outside_of_training_is_classified_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: ToyTraining, *arguments: object, **options: object) -> None:
        raise RuntimeError("cudaSetDevice() on GPU:0 failed. Status: out of memory")

    monkeypatch.setattr(ToyTraining, "__init__", fails)
    assert report(actor(task())).status is TrialStatus.OUT_OF_MEMORY


def test_a_fault_of_the_gpu_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    break_next_epoch(monkeypatch, RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: …"))
    with pytest.raises(DeviceFault, match="ILLEGAL_ADDRESS"):
        actor(task()).step()


def test_a_fault_that_was_met_through_mps_may_be_another_process_doing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mps_says(monkeypatch, MpsState(True))
    process = actor(task(trainer=TrainerName.KERAS, mps=MpsMode.AUTO), 0.25)
    process._task = task()
    break_next_epoch(monkeypatch, RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: …"))
    with pytest.raises(MpsFault, match="ILLEGAL_ADDRESS"):
        process.step()
    assert JOINED in capsys.readouterr().err


@pytest.mark.parametrize(("rests_gpus", "slept"), [(True, [60.0]), (False, [])])
def test_a_gpu_that_failed_three_times_rests_before_the_next_trial(
    monkeypatch: pytest.MonkeyPatch, gpu: FaultyGpu, rests_gpus: bool, slept: list[float]
) -> None:
    asleep: list[float] = []
    monkeypatch.setattr(trainable.time, "sleep", lambda seconds: asleep.append(seconds))
    given = task(rests_gpus=rests_gpus)
    report(actor(given, gpus=1.0))  # it works
    with monkeypatch.context() as patch:
        break_next_epoch(patch, RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS"))
        for _ in range(3):
            pass_time(gpu)
            process = actor(given, gpus=1.0)
            with pytest.raises(DeviceFault, match="ILLEGAL_ADDRESS"):
                process.step()
    for _ in range(2):
        report(actor(given, gpus=1.0))
    assert [seconds for seconds in asleep if seconds] == slept


def test_a_trial_that_does_not_find_its_gpu_is_not_trained_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make(spec: TrialSpec, given: Task, share: Share, checkpoint: None) -> ToyTraining:
        return ToyTraining(spec, environment={})

    monkeypatch.setattr(trainable, "_make_training", make)
    with pytest.raises(GpuMissing, match=r'finds no GPU on .*pip install "sequence-tuner\[gpu\]"'):
        actor(task(trainer=TrainerName.KERAS), 1.0).step()
    mps_says(monkeypatch, MpsState(True))  # which recovers from another process' fault
    with pytest.raises(MpsFault, match="finds no GPU"):
        actor(task(trainer=TrainerName.KERAS, mps=MpsMode.AUTO), 0.25).step()


def test_a_process_that_died_under_a_trial_is_a_fault_of_its_gpu(
    monkeypatch: pytest.MonkeyPatch, gpu: FaultyGpu
) -> None:
    asked = mps_says(monkeypatch, MpsState(True))
    given = task(trainer=TrainerName.KERAS, mps=MpsMode.AUTO)
    toy = replace(given, trainer=TrainerName.TOY)

    def copy_note(self: ToyTraining, epoch: int) -> None:  # as if the process died here
        (note,) = gpu.root.glob("*/0.*")
        note.with_name(f"{note.name}-dead").write_bytes(note.read_bytes())

    monkeypatch.setattr(ToyTraining, "_misbehave", copy_note)
    monkeypatch.setattr(FaultyGpu, "forget_faults", lambda self: None)
    for _ in range(3):
        process = actor(given, 0.25)
        process._task = toy
        process.step()
        pass_time(gpu)
    assert actor(given, 0.25)._note == (
        "trials take turns on a GPU without MPS: it failed three times in a row; this ends when a trial works"
    )
    assert len(asked) == 3


MISSING = MpsState(False, "nvidia-cuda-mps-control is missing")


def test_before_the_first_trial_a_process_that_shares_a_gpu_joins_mps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = mps_says(monkeypatch, MISSING)
    given = task(trainer=TrainerName.KERAS, mps=MpsMode.AUTO)
    process = actor(given, 0.25)
    assert asked == [MpsMode.AUTO]
    process._task = replace(given, trainer=TrainerName.TOY)
    reason = "trials take turns on a GPU without MPS: nvidia-cuda-mps-control is missing"
    assert [report(process).note for _ in range(2)] == [reason, None]


def test_a_gpu_that_failed_three_times_is_shared_without_mps(
    monkeypatch: pytest.MonkeyPatch, gpu: FaultyGpu
) -> None:
    asked = mps_says(monkeypatch, MISSING)
    for _ in range(3):
        pass_time(gpu)
        gpu.count_fault(has_mps=True)
    process = actor(task(trainer=TrainerName.KERAS, mps=MpsMode.AUTO), 0.25)
    assert "failed three times in a row" in process._note
    assert asked == []


@pytest.mark.parametrize(
    ("gpus", "mps", "state"),
    [
        (0.25, MpsMode.AUTO, MpsState(True)),
        (0.25, MpsMode.OFF, MISSING),
        (1.0, MpsMode.AUTO, MISSING),
        (0.0, MpsMode.AUTO, MISSING),
    ],
)
def test_nothing_is_noted_where_mps_runs_or_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, gpus: float, mps: MpsMode, state: MpsState
) -> None:
    mps_says(monkeypatch, state)
    assert actor(task(trainer=TrainerName.KERAS, mps=mps), gpus)._note is None


HELD_OUT = EncodedSequences(
    tokens=np.zeros(8, np.int32),
    offsets=np.arange(9, dtype=np.int64),
    labels=np.arange(8, dtype=np.int32) % 2,
)


def models_sent(given: Task, model_from: float | None) -> list[bool]:
    """Whether each of a trial's two epochs is reported with a model."""
    process = actor(given)
    process.reset_config({**config(1), "model_from": model_from})
    reports = [report(process), report(process)]
    assert reports[-1].status is TrialStatus.COMPLETE
    return [each.model is not None for each in reports]


def of_a_search(**more: Any) -> Task:
    return task(held_out=HELD_OUT, metric=Metric(), is_model_required=False, **more)


@pytest.fixture
def curve(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The validation accuracy of a toy trial's epochs, to be set."""
    accuracies = [0.7, 0.8]

    def result(self: ToyTraining, epoch: int, seconds: float) -> EpochResult:
        accuracy = accuracies[epoch - 1]
        return EpochResult(epoch, 0.5, accuracy, 0.5, accuracy, accuracy, seconds)

    monkeypatch.setattr(ToyTraining, "_result", result)
    return accuracies


@pytest.mark.parametrize(
    ("model_from", "sent"),
    [
        (None, [True, True]),  # after each it may be stopped
        (0.75, [False, True]),
        (0.8, [False, True]),  # of equals the lower number is better
        (0.85, [False, False]),
    ],
)
def test_a_model_is_sent_where_its_trial_may_be_among_the_best(
    curve: list[float], model_from: float | None, sent: list[bool]
) -> None:
    assert models_sent(of_a_search(), model_from) == sent


def test_the_model_of_the_same_best_epoch_is_sent_once(curve: list[float]) -> None:
    curve[:] = [0.8, 0.7]
    assert models_sent(of_a_search(), None) == [True, False]


def test_a_confirmation_gets_every_model_at_its_end(curve: list[float]) -> None:
    curve[:] = [0.8, 0.7]
    assert models_sent(task(held_out=HELD_OUT, metric=Metric()), None) == [False, True]


def test_nothing_is_measured_where_no_models_are_kept() -> None:
    assert models_sent(task(), None) == [False, False]


@pytest.mark.parametrize("is_required", [True, False])
def test_a_search_does_without_a_model_that_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch, is_required: bool
) -> None:
    def finish(self: ToyTraining, held_out: EncodedSequences) -> TrainedModel:
        raise TrialOutOfMemory("no room for the batch")

    monkeypatch.setattr(ToyTraining, "finish", finish)
    process = actor(task(held_out=HELD_OUT, metric=Metric(), is_model_required=is_required))
    first, last = report(process), report(process)
    assert first.model is last.model is None
    assert first.epoch is not None
    if is_required:
        assert (last.status, last.epoch) == (TrialStatus.OUT_OF_MEMORY, None)
    else:
        assert (last.status, last.retire) == (TrialStatus.COMPLETE, True)
        assert last.epoch is not None  # its score counts


@pytest.mark.ray
def test_the_next_trial_gets_a_new_process(
    shared_ray: None, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SearchPlan.task
    monkeypatch.setattr(
        SearchPlan, "task", lambda *given: replace(original(*given), trials_per_process=1)
    )
    asked = make(toy_space(), sentences, tmp_path, trials=4, max_concurrent=1, pruner="halving")
    run = run_search(asked).run
    # Some reported their end, others were stopped.
    assert set(run.leaderboard()["status"]) == {"complete", "pruned"}
    assert len(list((run.folder / "logs").glob("worker-*.log"))) == 4


def test_between_two_trials_no_storage_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog sees steps only."""
    asked: list[str] = []
    original = trainable.Storage

    def storage(place: str) -> Any:
        asked.append(place)
        return original(place)

    monkeypatch.setattr(trainable, "Storage", storage)
    process = actor(task(checkpoints=str(tmp_path / "checkpoints")))
    assert asked == []
    process.step()
    saved = list((tmp_path / "checkpoints").iterdir())
    process.reset_config(config(1))
    assert len(asked) == len(saved) == 1
    assert list((tmp_path / "checkpoints").iterdir()) == saved
    process.step()
    assert len(asked) == 2


def test_the_log_is_opened_in_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog sees steps only, and the run folder may lie on storage that hangs."""
    opened: list[Path] = []
    monkeypatch.setattr(trainable, "_redirect_output", opened.append)
    process = actor(task())
    assert opened == []
    for _ in range(2):
        process.step()
        process.reset_config(config(1))
    assert opened == [Path("no such folder")]


def test_a_checkpoint_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, name: str, content: bytes) -> None:
        raise OSError("quota exceeded")

    monkeypatch.setattr(trainable.Storage, "write", refuse)
    process = actor(task(checkpoints=str(tmp_path)))
    topic, reason = Report.from_result(process.step()).trouble or ("", "")
    assert topic.startswith("checkpoints on ")
    assert reason == "quota exceeded"
    process = actor(task(checkpoints="nonsense://x"))
    assert "nonsense" in (Report.from_result(process.step()).trouble or ("", ""))[1]
    assert Report.from_result(actor(task()).step()).trouble is None


def test_a_checkpoint_that_cannot_be_written_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trainable.Storage.write

    def write(self: Storage, name: str, content: bytes) -> None:
        if process._training._done[-1].epoch == 2:
            raise OSError("quota exceeded")
        original(self, name, content)

    monkeypatch.setattr(trainable.Storage, "write", write)
    process: Any = actor(task(checkpoints=str(tmp_path)), max_epochs=3)
    told = [report(process).trouble for _ in range(3)]
    # After the last epoch nothing is written.
    assert [each and each[1] for each in told] == ["", "quota exceeded", None]


def test_a_process_reports_its_versions_once() -> None:
    process = actor(task())
    assert report(process).versions == installed_versions()
    process.reset_config(config(1))
    assert report(process).versions is None


def test_a_setting_that_only_this_process_refuses_is_not_the_trials_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_next_epoch(monkeypatch, ConfigError("NVIDIA's driver does not report the GPU's memory"))
    last = report(actor(task()))
    assert (last.status, last.is_suspect, last.retire) == (TrialStatus.FAILED, True, True)


def test_a_log_tells_where_a_process_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []
    monkeypatch.setattr(trainable.os, "dup2", lambda _, number: copied.append(number))
    for _ in range(2):
        trainable._redirect_output(tmp_path)
    (log,) = tmp_path.glob("worker-*.log")
    assert log.read_text() == f"{STARTED}\n" * 2
    assert copied == [1, 2] * 2


def test_a_trial_that_over_fits_is_complete_and_leaves_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = {1: 0.6, 2: 0.5, 3: 0.7, 4: 0.4}
    original = ToyTraining._result

    def over_fits(self: ToyTraining, epoch: int, seconds: float) -> EpochResult:
        return replace(original(self, epoch, seconds), val_loss=losses[epoch])

    monkeypatch.setattr(ToyTraining, "_result", over_fits)
    held_out = EncodedSequences(
        np.ones(4, np.int32), np.arange(5, dtype=np.int64), np.zeros(4, np.int32)
    )
    given = task(held_out=held_out, metric=Metric(), checkpoints=str(tmp_path))
    trial = actor(given, max_epochs=4, patience=1)
    assert [report(trial).status, report(trial).status] == [None, None]

    # Its process dies here; the next one goes on from the checkpoint and ends it at the same epoch.
    again = actor(given, max_epochs=4, patience=1)
    reports = [report(again) for _ in range(3)]

    assert [each.epoch.epoch for each in reports if each.epoch is not None] == [1, 2, 3]
    assert [each.status for each in reports] == [None, None, TrialStatus.COMPLETE]
    assert reports[-1].model is not None
