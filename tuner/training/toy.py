"""A trial without a model: a closed learning curve, so that a whole search runs in milliseconds.

The curve is smooth in the hyperparameters that matter most (learning rate, units, dropout,
architecture), rises and then over-fits, and carries a little noise from the trial's seed: what a
sampler and a pruner need to show whether they work. Its validation loss only falls, so that no trial
ends for that.

Tests make a toy trial fail in one of the ways of `Fault`, either through parameters of a custom architecture
(`fault`, `fault_epoch`, `epoch_seconds`) or, for any architecture, through the environment:

    TUNER_TOY_FAULTS="3:diverge,7:fail"   by trial number, * for all trials
    TUNER_TOY_SECONDS=0.05                an epoch's length
"""

import math
import os
import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from tuner.data import EncodedSequences
from tuner.errors import TrialDiverged
from tuner.run.epoch_parts import EpochPart
from tuner.settings.hyperparameters import ARCHITECTURES, Hyperparameters
from tuner.settings.metric import Metric
from tuner.training.checkpoint import Checkpoint
from tuner.training.evaluation import evaluation_of
from tuner.training.failures import trial_errors
from tuner.training.spec import (
    EpochResult,
    TrainedModel,
    TrialSpec,
    epochs_of,
)

_BEST_LEARNING_RATE = 2e-3
_BEST_UNITS = 96
_BEST_DROPOUT = 0.4
_NOISE = 0.003
_poisoned: list[int] = []  # trials that poisoned this process


class Fault(StrEnum):
    """How a toy trial goes wrong, in its epoch `fault_epoch` (the first by default)."""

    NONE = "none"
    FAIL = "fail"  # raises an error as Keras would
    DIVERGE = "diverge"
    MEMORY = "memory"
    GPU_MEMORY = "gpu_memory"  # of its GPU
    HANG = "hang"  # for ever
    CRASH = "crash"  # ends the process
    GPU = "gpu"  # as if its GPU failed
    POISON = "poison"  # fails, and so does every later trial of this process


class ToyTraining:
    """A toy trial in progress, with the interface of `Training`; it ignores the data."""

    def __init__(
        self,
        spec: TrialSpec,
        *,
        train: EncodedSequences | None = None,
        validation: EncodedSequences | None = None,
        n_classes: int = 2,
        checkpoint: Checkpoint | None = None,
        keep_best: Metric | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Reads the trial's instructions from `spec` and `environment`."""
        custom: Mapping[str, Any] = spec.hyperparameters.custom
        self._spec = spec
        self._n_classes = n_classes
        self._checkpoint = checkpoint
        self._keep_best = keep_best or Metric()
        faults = _faults(environment.get("TUNER_TOY_FAULTS", ""))
        told = faults.get(str(spec.number), faults.get("*", str(custom.get("fault", Fault.NONE))))
        self._fault = Fault.POISON if _poisoned else Fault(told)
        self._fault_epoch = int(custom.get("fault_epoch", 1))
        self._seconds = float(custom.get("epoch_seconds", environment.get("TUNER_TOY_SECONDS", 0)))
        self.epochs_taken_up = 0
        self.weights = _count_weights(spec.hyperparameters)
        # As Ray sets it for a trial that asks for GPUs.
        given = environment.get("CUDA_VISIBLE_DEVICES", "")
        self.device = f"gpu {given}" if given and given != "-1" else "cpu"

    def epochs(self) -> Iterator[EpochResult]:
        """The curve's points."""
        return epochs_of(self.progress(math.inf))

    def progress(self, every_s: float) -> Iterator[EpochResult | EpochPart]:
        """The curve's points, and how far an epoch is; see `TrainsByEpoch.progress`."""
        progress = self._checkpoint.load() if self._checkpoint is not None else None
        done = list(progress.epochs) if progress is not None else []
        self._done, self.epochs_taken_up = done, len(done)
        yield from list(done)
        for epoch in range(len(done) + 1, self._spec.epochs + 1):
            started = time.perf_counter()
            with trial_errors():
                if epoch == self._fault_epoch:
                    self._misbehave(epoch)
                yield from self._pass_time(epoch, every_s)
            done.append(self._result(epoch, time.perf_counter() - started))
            if self._checkpoint is not None and epoch < self._spec.epochs:
                self._checkpoint.save(done, ())
            yield done[-1]

    def finish(self, held_out: EncodedSequences) -> TrainedModel:
        """A model that is right as often as on the curve; see `TrainsByEpoch.finish`."""
        scores = {each.epoch: getattr(each, self._keep_best.name) for each in self._done}
        best = self._done[self._keep_best.best_epoch(scores) - 1]
        rng = np.random.default_rng((self._spec.seed, len(held_out)))
        is_right = rng.random(len(held_out)) < best.val_accuracy
        predicted = np.where(is_right, held_out.labels, (held_out.labels + 1) % self._n_classes)
        probabilities = np.full((len(held_out), self._n_classes), 0.0, np.float32)
        probabilities[np.arange(len(held_out)), predicted] = 1
        return TrainedModel(
            evaluation_of(probabilities, held_out.labels).held_out(best.epoch),
            probabilities=probabilities,
            weights=(),
            vocabulary_size=self._spec.hyperparameters.vocabulary_size,
        )

    def _pass_time(self, epoch: int, every_s: float) -> Iterator[EpochPart]:
        """An epoch's length, with the figures that its end will have."""
        ends_at = time.perf_counter() + self._seconds
        while (left_s := ends_at - time.perf_counter()) > every_s:
            time.sleep(every_s)
            result = self._result(epoch, 0.0)
            share = min(1.0, max(0.0, 1 - (left_s - every_s) / self._seconds))
            yield EpochPart(epoch, share, result.loss, result.accuracy)
        time.sleep(max(0.0, left_s))

    def _misbehave(self, epoch: int) -> None:
        match self._fault:
            case Fault.FAIL:
                raise ValueError("this toy trial was told to fail")
            case Fault.DIVERGE:
                raise TrialDiverged(f"loss became nan in epoch {epoch}; lower learning_rate")
            case Fault.MEMORY:
                raise MemoryError("this toy trial was told to run out of memory")
            case Fault.GPU_MEMORY:
                raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: this toy trial was told to report it")
            case Fault.HANG:
                while True:
                    time.sleep(60)
            case Fault.GPU:
                raise RuntimeError(
                    "CUDA_ERROR_ILLEGAL_ADDRESS: this toy trial was told to report it"
                )
            case Fault.POISON:
                _poisoned.append(self._spec.number)
                raise RuntimeError("this process was told to fail every trial")
            case Fault.CRASH:
                os._exit(1)

    def _result(self, epoch: int, seconds: float) -> EpochResult:
        rng = np.random.default_rng((self._spec.seed, epoch))
        quality = _quality(self._spec.hyperparameters)
        learned = 1 - math.exp(-epoch * (0.4 + quality))
        overfitted = 0.004 * max(0, epoch - 4) * (1.5 - quality)
        chance = 1 / self._n_classes
        reached = chance + (0.92 - chance) * (0.4 + 0.6 * quality) * learned
        val_accuracy = float(np.clip(reached - overfitted + rng.normal(0, _NOISE), 0, 1))
        accuracy = float(np.clip(reached + 0.01 * epoch, 0, 0.999))
        return EpochResult(
            epoch=epoch,
            loss=-math.log(accuracy),
            accuracy=accuracy,
            val_loss=-math.log(reached) + 0.01 / epoch,
            val_accuracy=val_accuracy,
            val_f1=val_accuracy,
            val_f1_positive=val_accuracy,
            val_balanced_accuracy=val_accuracy,
            seconds=seconds,
        )


def curve(*, vocabulary_size: int, n_classes: int, **parameters: object) -> None:
    """Stands as a custom architecture, `tuner.training.toy:curve`, in the spaces that toy trials search."""


def _quality(hyperparameters: Hyperparameters) -> float:
    """Between 0 and 1; 1 at the best settings, falling smoothly on every side."""
    rate = math.log10(hyperparameters.learning_rate / _BEST_LEARNING_RATE)
    units = math.log2(hyperparameters.lstm_units / _BEST_UNITS)
    dropout = hyperparameters.output_dropout + hyperparameters.embedding_dropout - _BEST_DROPOUT
    quality = math.exp(-(rate**2) - 0.1 * units**2 - 0.5 * dropout**2)
    known = ARCHITECTURES.get(hyperparameters.architecture)
    return quality * (1.0 if known is not None and known.convolution else 0.95)


def _count_weights(hyperparameters: Hyperparameters) -> int:
    """The number of weights of the plain LSTM."""
    units, inputs = hyperparameters.lstm_units, hyperparameters.embedding_size
    embedding = hyperparameters.vocabulary_size * inputs
    return embedding + 4 * units * (inputs + units + 1) + units + 1


def _faults(text: str) -> dict[str, str]:
    """`"3:diverge,7:fail"` -> `{"3": "diverge", "7": "fail"}`."""
    return dict(pair.split(":") for pair in text.split(",") if pair)
