"""One real trial: a model built, compiled and trained with Keras, epoch by epoch.

Only a worker imports this module: it loads Keras.
"""

import math
import time
from collections.abc import Generator, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tuner.data import UNKNOWN, EncodedSequences, WordVectors, bucketed_batches, pad
from tuner.errors import TrialDiverged, TrialFailed
from tuner.run.device import CPU
from tuner.run.epoch_parts import EpochPart
from tuner.settings.hyperparameters import ClassWeight, Hyperparameters, is_custom
from tuner.settings.metric import Metric
from tuner.training.builder import build_model, uses_cudnn
from tuner.training.checkpoint import Checkpoint
from tuner.training.compilation import compile_model
from tuner.training.devices import device_name
from tuner.training.evaluation import Evaluation, evaluate
from tuner.training.failures import trial_errors
from tuner.training.keras_internals import initial_values_by_numpy
from tuner.training.ngrams import NAME, start_from_counts
from tuner.training.row_clusters import error_of_mean
from tuner.training.shapes import trial_widths
from tuner.training.spec import (
    EpochResult,
    TrainedModel,
    TrialSpec,
    epochs_of,
)
from tuner.training.steps import STEPS_PER_CALL_ON_GPU, balanced_weights, make_train_steps

# A trial's first steps take batches of mixed lengths, of whose sequences they see the last tokens only: sequence length
# warm-up (Li, Zhang & He, 2022). It is not that of the learning rate, which is the hyperparameter `warmup`. Batches of
# similar lengths are faster but slow learning at first, and an LSTM learns sooner from words that are near its last
# step. Best validation accuracy of 3 epochs of 109 steps (7,000 reviews), mean of 4 seeds, and their seconds: `lstm`
# 84.9 % in 18 s, with 100 mixed steps of full length 82.2 % in 34 s; `cnn_lstm` 85.6 % in 11 s and 86.1 % in 21 s (one
# standard error of a mean: 0.6 %).
# It is over when a third of the first epoch is: the epoch's score is of a model that has read whole sequences, or rungs
# would choose among models that have not (docs/measurements.md, the warm-up and the rung).
SHORT_SEQUENCE_STEPS = 200  # at most
_SHORT_LENGTH = 100  # tokens


class Training:
    """A trial in progress. Its figures depend on `spec` and the data alone, not on what ran before it (on a CPU)."""

    def __init__(
        self,
        spec: TrialSpec,
        *,
        train: EncodedSequences,
        validation: EncodedSequences,
        n_classes: int,
        checkpoint: Checkpoint | None = None,
        keep_best: Metric | None = None,
        vectors: WordVectors | None = None,
        clusters: NDArray[np.int64] | None = None,
    ) -> None:
        """Cuts the data to the trial's vocabulary and length, builds the model and compiles it.

        Args:
            checkpoint: keeps the trial's state after every epoch; the trial continues from it.
            keep_best: the metric that decides which epoch is the best, for `finish`; None where that is not called.
            vectors: that the embedding starts from; words without one start at random.
            clusters: of the validation sequences, see `Dataset.clusters`; None where each is its own.

        Raises:
            TrialFailed: the model cannot be built, or has no embedding of the vectors' size.
            TrialOutOfMemory: it does not fit into memory.
            DeviceFault: its GPU failed.
        """
        hyperparameters = spec.hyperparameters
        self._spec = spec
        self._n_classes = n_classes
        self._checkpoint = checkpoint
        self._keep_best = keep_best
        self._clusters = clusters
        self._best: list[NDArray[Any]] = []  # the weights of the best epoch so far
        # Its probabilities on the validation sequences; None where an earlier process trained it.
        self._best_validation: NDArray[np.float32] | None = None
        self._done: list[EpochResult] = []
        self.epochs_taken_up = 0
        with trial_errors():
            keras.backend.clear_session()  # frees the model of the trial before
            keras.utils.set_random_seed(spec.seed)  # on a GPU this makes the process' context
            self._train = train.view(
                vocabulary_size=hyperparameters.vocabulary_size,
                max_length=hyperparameters.max_length,
            )
            # Ids that no training sequence has would be rows of weights that each step moves for nothing.
            self._known = known = max(UNKNOWN, int(self._train.tokens.max())) + 1
            self._validation = validation.view(
                vocabulary_size=known, max_length=hyperparameters.max_length
            )
            with initial_values_by_numpy():
                self._model = build_model(
                    hyperparameters.model_copy(update={"vocabulary_size": known}),
                    n_classes=n_classes,
                )
            if vectors is not None:
                _start_from_vectors(self._model, vectors, hyperparameters)
            if hyperparameters.ngrams:
                start_from_counts(self._model.get_layer(NAME), self._train, n_classes)
            epoch_steps = math.ceil(len(train) / hyperparameters.batch_size)
            steps = epoch_steps * spec.schedule_epochs
            compile_model(self._model, hyperparameters, n_classes=n_classes, total_steps=steps)
        self._short_steps_left = min(
            SHORT_SEQUENCE_STEPS, round(hyperparameters.length_warmup * steps), epoch_steps // 3
        )
        self._widths = trial_widths(
            self._train,
            self._validation,
            epochs=spec.epochs,
            short_sequences=self._short_steps_left * hyperparameters.batch_size,
            short_length=min(_SHORT_LENGTH, hyperparameters.max_length),
        )
        is_balanced = hyperparameters.class_weight is ClassWeight.BALANCED
        self._class_weights = balanced_weights(train.labels, n_classes) if is_balanced else None
        self.weights = int(self._model.count_params())
        has_cudnn = uses_cudnn(hyperparameters)
        self.device = device_name(cudnn=has_cudnn)
        is_bound_by_launches = has_cudnn and self.device != CPU
        self._steps_per_call = STEPS_PER_CALL_ON_GPU if is_bound_by_launches else 1

    @property
    def model(self) -> keras.Model:
        """The model, as trained so far."""
        return self._model

    def epochs(self) -> Iterator[EpochResult]:
        """Trains up to `spec.epochs`, giving each epoch's figures as it ends."""
        return epochs_of(self.progress(math.inf))

    def progress(self, every_s: float) -> Iterator[EpochResult | EpochPart]:
        """Trains up to `spec.epochs`; see `TrainsByEpoch.progress`."""
        with trial_errors():
            largest = min(self._spec.hyperparameters.batch_size, len(self._train))
            self._learn = make_train_steps(
                self._model,
                batch_size=largest,
                adversarial_noise=self._spec.hyperparameters.adversarial_noise,
                at_once=self._steps_per_call,
                class_weights=self._class_weights,
            )
            done = self._done = self._take_up()
            self.epochs_taken_up = len(done)
        yield from list(done)
        for epoch in range(len(done) + 1, self._spec.epochs + 1):
            started = time.perf_counter()
            with trial_errors():
                loss, accuracy = yield from self._train_epoch(epoch, every_s)
                evaluation = self._evaluate(epoch)
            done.append(
                EpochResult(
                    epoch=epoch,
                    loss=loss,
                    accuracy=accuracy,
                    val_loss=evaluation.loss,
                    val_accuracy=evaluation.accuracy,
                    val_f1=evaluation.f1,
                    val_f1_positive=evaluation.f1_positive,
                    val_balanced_accuracy=evaluation.balanced_accuracy,
                    val_accuracy_error=self._accuracy_error(evaluation),
                    seconds=time.perf_counter() - started,
                )
            )
            with trial_errors():
                self._keep(epoch, evaluation)
            yield done[-1]

    def finish(self, held_out: EncodedSequences) -> TrainedModel:
        """See `TrainsByEpoch.finish`."""
        with trial_errors():
            # With its random numbers: recurrent dropout draws masks also where it does not use them.
            reached = [keras.ops.convert_to_numpy(each) for each in self._model.variables]
            self._model.set_weights(self._best)
            view = held_out.view(
                vocabulary_size=self._known, max_length=self._spec.hyperparameters.max_length
            )
            started = time.perf_counter()
            evaluation = evaluate(self._model, view, n_classes=self._n_classes, widths=self._widths)
            seconds = time.perf_counter() - started
            if self._best_validation is None:
                self._best_validation = self._evaluate(self._best_epoch()).probabilities
            for variable, value in zip(self._model.variables, reached, strict=True):
                variable.assign(value)  # the trial may go on
        return TrainedModel(
            evaluation.held_out(self._best_epoch(), seconds_per_text=seconds / len(held_out)),
            probabilities=evaluation.probabilities,
            weights=tuple(self._best),
            vocabulary_size=self._known,
            validation=self._best_validation,
        )

    def _keep(self, epoch: int, evaluation: Evaluation) -> None:
        """Keeps the weights of the best epoch, and the trial's state where it has a checkpoint."""
        if self._keep_best is not None and self._best_epoch() == epoch:
            self._best = self._model.get_weights()
            self._best_validation = evaluation.probabilities
        if self._checkpoint is not None and epoch < self._spec.epochs:
            state = [keras.ops.convert_to_numpy(variable) for variable in self._state()]
            self._checkpoint.save(self._done, [*state, *self._best])

    def _best_epoch(self) -> int:
        assert self._keep_best is not None, "`keep_best` was not given"
        if self._spec.stop_after is not None:
            return self._done[-1].epoch
        name = self._keep_best.name
        return self._keep_best.best_epoch({each.epoch: getattr(each, name) for each in self._done})

    def _take_up(self) -> list[EpochResult]:
        """Goes on from the checkpoint, where there is one that fits; returns the epochs that are done."""
        progress = self._checkpoint.load() if self._checkpoint is not None else None
        if progress is None:
            return []
        state = self._state()
        kept = self._model.weights if self._keep_best is not None else []
        shapes = [tuple(variable.shape) for variable in (*state, *kept)]
        if [array.shape for array in progress.arrays] != shapes:  # made by another version
            return []
        for variable, array in zip(state, progress.arrays, strict=False):
            variable.assign(array)
        self._best = list(progress.arrays[len(state) :])
        steps = math.ceil(len(self._train) / self._spec.hyperparameters.batch_size)
        self._short_steps_left = max(0, self._short_steps_left - steps * len(progress.epochs))
        return list(progress.epochs)

    def _state(self) -> list[keras.Variable]:
        """All that training changes: weights, random states, the optimizer's moments and its count of steps."""
        self._model.optimizer.build(self._model.trainable_variables)
        return [*self._model.variables, *self._model.optimizer.variables]

    def _train_epoch(
        self, epoch: int, every_s: float
    ) -> Generator[EpochPart, None, tuple[float, float]]:
        """Mean loss and accuracy over the epoch's sequences; on the way, how far it is."""
        sums, n_seen = np.zeros(2), 0
        told_at = time.perf_counter()
        rng = np.random.default_rng((self._spec.seed, epoch))
        batch_size = self._spec.hyperparameters.batch_size
        max_length = self._spec.hyperparameters.max_length
        batches = bucketed_batches(
            self._train.lengths,
            batch_size=batch_size,
            rng=rng,
            mixed_batches=self._short_steps_left,
        )
        for first in range(0, len(batches), self._steps_per_call):
            together = batches[first : first + self._steps_per_call]
            padded = []
            for indices in together:
                widest = min(_SHORT_LENGTH, max_length) if self._short_steps_left else max_length
                ids = pad(self._train, indices, max_width=widest, widths=self._widths)
                padded.append((ids, self._train.labels[indices]))
                self._short_steps_left = max(0, self._short_steps_left - 1)
            for indices, (loss, accuracy) in zip(together, self._learn(padded), strict=True):
                if not math.isfinite(loss):
                    raise TrialDiverged(f"loss became {loss} in epoch {epoch}; lower learning_rate")
                sums += len(indices) * np.array([loss, accuracy], np.float64)
                n_seen += len(indices)
            made = first + len(together)
            self._after_steps(epoch, made, len(batches))
            if made < len(batches) and time.perf_counter() - told_at >= every_s:
                loss, accuracy = sums / n_seen
                yield EpochPart(epoch, made / len(batches), float(loss), float(accuracy))
                told_at = time.perf_counter()
        loss, accuracy = sums / len(self._train)
        return float(loss), float(accuracy)

    def _after_steps(self, epoch: int, made: int, of: int) -> None:
        """Does nothing after `made` of the epoch's steps; a subclass may measure the model there."""

    def _accuracy_error(self, evaluation: Evaluation) -> float | None:
        """See `EpochResult`."""
        if self._clusters is None:
            return None
        is_hit = evaluation.probabilities.argmax(axis=1) == self._validation.labels
        return error_of_mean(is_hit.astype(np.float64), self._clusters)

    def _evaluate(self, epoch: int) -> Evaluation:
        evaluation = evaluate(
            self._model, self._validation, n_classes=self._n_classes, widths=self._widths
        )
        if not math.isfinite(evaluation.loss):
            raise TrialDiverged(
                f"validation loss became {evaluation.loss} in epoch {epoch}; lower learning_rate"
            )
        return evaluation


def _start_from_vectors(
    model: keras.Model, vectors: WordVectors, hyperparameters: Hyperparameters
) -> None:
    """Puts the vectors of the words that the model knows into its embedding.

    Raises:
        TrialFailed: that has another size, or is a person's own.
    """
    if is_custom(hyperparameters.architecture):
        raise TrialFailed("an architecture of your own starts from no word vectors; leave them out")
    if hyperparameters.embedding_size != vectors.size:
        raise TrialFailed(
            f"embedding_size must be {vectors.size}, as the word vectors are, got {hyperparameters.embedding_size}"
        )
    layer = model.get_layer("embedding")
    (rows,) = layer.get_weights()
    is_known = vectors.ids < len(rows)
    rows[vectors.ids[is_known]] = vectors.values[is_known]
    layer.set_weights([rows])
