"""The process that trains: a Ray Tune trainable that lives on from trial to trial.

A new process takes 4 to 10 s to import TensorFlow, a reused one no time. So a trial's failure is caught here and
reported as a result: an exception would end the process, as a fault of its GPU has to. Every worker imports the
modules named at the top; Keras is imported for the first real trial.
"""

import functools
import gc
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune

from tuner.errors import (
    ConfigError,
    DeviceFault,
    GpuMissing,
    MpsFault,
    TrialBroke,
    TrialFailed,
    TrialOutOfMemory,
    TunerError,
)
from tuner.execution.diagnosis import STARTED
from tuner.execution.faulty_gpus import FaultyGpu
from tuner.execution.messages import Report, from_ray_config, share_of
from tuner.execution.mps import JOINED, MpsState, ensure
from tuner.execution.shares import Share
from tuner.execution.task import Task
from tuner.nvidia import MpsMode
from tuner.run.device import CPU, with_share
from tuner.run.epoch_parts import EpochPart
from tuner.run.run_file import installed_versions
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.settings.config import TrainerName
from tuner.settings.hyperparameters import is_custom, module_of
from tuner.storage import Storage
from tuner.text import one_line
from tuner.training.checkpoint import Checkpoint
from tuner.training.failures import LONGEST_REASON, status_of, trial_error
from tuner.training.own_code import code_of
from tuner.training.own_modules import make_importable, name_modules_of
from tuner.training.spec import EpochResult, TrainsByEpoch, TrialSpec
from tuner.training.trained_model_file import to_bytes


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Runs one trial after the other; a `step` is an epoch, or a part of a long one."""

    _sent_epoch: int  # whose model was sent last; 0 before any

    def setup(self, config: dict[str, Any], *, task: Task) -> None:
        """Prepares the process, once."""
        make_importable(task.folders)
        self._task = task
        self._gpu = FaultyGpu(session=task.session) if share_of(config).gpus else None
        if self._gpu is not None:
            self._gpu.count_deaths()
            if task.rests_gpus:
                time.sleep(self._gpu.rest_s())
        self._mps = _join_mps(task, share_of(config), self._gpu)
        reason = self._mps.reason
        self._note = f"trials take turns on a GPU without MPS: {reason}" if reason else None
        self._n_trials = 0
        self._has_trained = False
        self._checkpoint: Checkpoint | None = None
        self._no_checkpoint: str | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begins the next trial."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Trains to the end of the epoch, or until its next report is due."""
        at_work = self._gpu.at_work(has_mps=self._mps.is_running) if self._gpu else nullcontext()
        with at_work:
            report = replace(self._next_report(), note=self._note)
        self._note = None
        return report.to_result()

    def _next_report(self) -> Report:
        try:
            result = next(self._results)
            return Report(part=result) if isinstance(result, EpochPart) else self._report(result)
        except StopIteration:
            return Report(status=TrialStatus.COMPLETE, retire=self._is_worn)
        except Exception as error:  # ends the trial, not the process, which the next one needs
            traceback.print_exception(error)  # to the worker's log
            problem = trial_error(error)
            if isinstance(problem, DeviceFault):
                raise self._fault(problem) from None  # whose causes need not be picklable
            status = status_of(problem)
            # Blocks of the last model and handles that were not made stay with the process.
            self._is_spoilt = status is TrialStatus.OUT_OF_MEMORY and self._share.gpus > 0
            # A `ConfigError` here is of the process: of its devices, its driver or its backend.
            is_suspect = isinstance(problem, (TrialBroke, ConfigError)) and not self._has_trained
            return Report(
                status=status,
                error=_reason(problem),
                is_gpu_full=isinstance(problem, TrialOutOfMemory) and problem.is_gpu_full,
                is_suspect=is_suspect,
                node=_node(),
                retire=self._is_spoilt or is_suspect or self._is_worn,
            )

    def _fault(self, problem: DeviceFault) -> DeviceFault:
        """Counts a fault of the GPU; the error that tells whether other processes may be its cause."""
        has_mps = self._mps.is_running
        if self._gpu is not None:
            self._gpu.count_fault(has_mps=has_mps)
        # While MPS recovers from a fault of another process it looks as if there were no GPU.
        return MpsFault(str(problem)) if has_mps else problem

    def _report(self, result: EpochResult) -> Report:
        self._val_losses.append(result.val_loss)
        is_last = self._spec.is_over(self._val_losses)
        # An epoch that a checkpoint has brought tells nothing of this process, its node and its GPU.
        assert self._training is not None
        is_own = result.epoch > self._training.epochs_taken_up
        is_first = is_own and not self._has_trained
        self._has_trained = self._has_trained or is_own
        if self._task.metric is not None:
            self._scores[result.epoch] = getattr(result, self._task.metric.name)
        if self._gpu is not None and is_first:
            self._gpu.forget_faults()
        return Report(
            epoch=result,
            facts=self._facts if result.epoch == 1 else None,
            versions=installed_versions() if is_first and self._n_trials == 1 else None,
            node=_node() if is_first else "",
            status=TrialStatus.COMPLETE if is_last else None,
            model=self._trained_model() if self._is_model_wanted(is_last=is_last) else None,
            retire=self._is_worn or self._is_spoilt,
            trouble=self._trouble(),
        )

    def _trouble(self) -> tuple[str, str] | None:
        """Whether checkpoints can be written, where they are wanted and one was tried since this was told last."""
        if self._checkpoint is not None:
            reason, self._checkpoint.trouble = self._checkpoint.trouble, None
        else:
            reason, self._no_checkpoint = self._no_checkpoint, None
        return None if reason is None else (f"checkpoints on {socket.gethostname()}", reason)

    @property
    def _is_worn(self) -> bool:
        """Whether this is the last trial of this process: backends leak a GPU's memory."""
        most = self._task.trials_per_process
        return most is not None and self._n_trials >= most

    def _is_model_wanted(self, *, is_last: bool) -> bool:
        metric = self._task.metric
        if self._task.held_out is None or metric is None:
            return False
        if self._task.is_model_required:
            return is_last
        best = metric.best_epoch(self._scores)
        if best == self._sent_epoch or (
            self._model_from is not None
            and metric.is_better(self._model_from, than=self._scores[best])
        ):
            return False
        self._sent_epoch = best
        return True

    def _trained_model(self) -> bytes | None:
        """The model of the best epoch; None where it cannot be measured and the trial does without."""
        assert self._task.held_out is not None
        assert self._training is not None
        try:
            return to_bytes(self._training.finish(self._task.held_out))
        except (TrialFailed, TrialOutOfMemory) as error:
            if self._task.is_model_required:
                raise
            traceback.print_exception(error)  # to the worker's log
            self._is_spoilt = True
            return None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: trials keep their own, see `tuner.training.checkpoint`."""

    def load_checkpoint(self, checkpoint: object) -> None:
        """Nothing, see `save_checkpoint`."""

    def _begin(self, config: dict[str, Any]) -> None:
        self._spec = from_ray_config(config)
        name_modules_of([self._spec.hyperparameters.architecture])  # the driver has checked it
        self._share = share_of(config)
        self._model_from: float | None = config["model_from"]
        self._scores: dict[int, float] = {}  # by epoch
        self._sent_epoch = 0
        self._val_losses: list[float] = []
        self._is_spoilt = False  # whether the next trial needs a new process
        self._n_trials += 1
        self._has_trained = False  # an epoch of this trial
        # The last trial's model goes before the next one is built, in the first step.
        self._training: TrainsByEpoch | None = None
        every_s = config["progress_every_s"]
        self._results: Iterator[EpochResult | EpochPart] = self._train(self._spec, every_s)

    def _train(self, spec: TrialSpec, every_s: float) -> Iterator[EpochResult | EpochPart]:
        # Here, not in `setup` and `_begin`: storage that hangs is noticed in a step, and only there.
        if self._n_trials == 1:
            _redirect_output(Path(self._task.logs))
            if self._mps.is_running:
                print(JOINED, file=sys.stderr, flush=True)  # noqa: T201 - for the diagnosis of its death
        if self._checkpoint is not None:
            self._checkpoint.remove()  # the last trial's, which was stopped
        self._checkpoint, self._no_checkpoint = _make_checkpoint(spec, self._task)
        training = self._training = _make_training(spec, self._task, self._share, self._checkpoint)
        if self._share.gpus and training.device == CPU and self._task.trainer is TrainerName.KERAS:
            raise GpuMissing(
                f"Keras' backend finds no GPU on {socket.gethostname()}, where a trial was given one; "
                '`pip install "sequence-tuner[gpu]"` there brings what TensorFlow needs, `tuner doctor` shows other '
                "reasons, --gpus-per-trial 0 trains on CPUs"
            )
        self._facts = TrialFacts(
            seed=spec.seed,
            host=socket.gethostname(),
            device=with_share(training.device, self._share.gpus),
            weights=training.weights,
            code=_code_of(spec.hyperparameters.architecture),
            part=spec.part if self._task.rotation is not None else None,
        )
        yield from training.progress(every_s)


def _code_of(architecture: str) -> str | None:
    """The digest of the code that this process has imported; what is written into the file later does not count."""
    return _code_in(module_of(architecture)) if is_custom(architecture) else None


@functools.cache
def _code_in(module: str) -> str | None:
    return next(iter(code_of([f"{module}:build"]).values()), None)  # whatever the function


def _node() -> str:
    """Ray's id of the node that this process runs on; "" outside of Ray, where asking for it would start one."""
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def _join_mps(task: Task, share: Share, gpu: FaultyGpu | None) -> MpsState:
    """Has this process share its GPU through MPS; without a reason where that is not wanted."""
    if not share.is_part or task.mps is MpsMode.OFF or task.trainer is TrainerName.TOY:
        return MpsState(False)
    if gpu is not None and gpu.has_failed_often:  # a fault ends only its own trial then
        return MpsState(False, "it failed three times in a row; this ends when a trial works")
    return ensure(task.mps)


def _make_checkpoint(spec: TrialSpec, task: Task) -> tuple[Checkpoint | None, str | None]:
    """The trial's checkpoint, or why it has none although one is wanted: the trial continues without."""
    if task.checkpoints is None:
        return None, None
    try:
        code = _code_of(spec.hyperparameters.architecture)
        storage = Storage(task.checkpoints)
        return Checkpoint(storage, spec, task.fingerprint, code, task.metric), None
    except ConfigError as error:  # just now, or from this node
        print(f"no checkpoints: {error}", file=sys.stderr)  # noqa: T201 - to the worker's log
        return None, str(error)


def _make_training(
    spec: TrialSpec, task: Task, share: Share, checkpoint: Checkpoint | None
) -> TrainsByEpoch:
    if task.trainer is TrainerName.TOY:
        from tuner.training.toy import ToyTraining

        return ToyTraining(
            spec, n_classes=task.n_classes, checkpoint=checkpoint, keep_best=task.metric
        )
    from tuner.training.devices import configure_device

    configure_device(cpus=task.cpus, gpus=share.gpus, memory_mb=share.limit_mb)
    from tuner.training.trial import Training

    _freeze_imports()
    rows = task.rows(spec.part)
    return Training(
        spec,
        train=rows.train,
        validation=rows.validation,
        n_classes=task.n_classes,
        checkpoint=checkpoint,
        keep_best=task.metric,
        vectors=task.vectors,
        clusters=rows.clusters,
    )


@functools.cache
def _freeze_imports() -> None:
    """Excludes all objects that exist now from garbage collection.

    Keras' `clear_session` collects garbage between two trials, and TensorFlow alone makes a million objects.
    """
    gc.collect()
    gc.freeze()


def _reason(error: TunerError) -> str:
    """An error as a cell of the leaderboard shows it."""
    text = one_line(str(error))
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def _redirect_output(logs: Path) -> None:
    """Sends this process's output to the run's logs, where the run folder can be reached from this node."""
    with suppress(OSError):
        path = logs / f"worker-{socket.gethostname()}-{os.getpid()}.log"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(handle, f"{STARTED}\n".encode())  # the log may be of an earlier process, too
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.close(handle)
