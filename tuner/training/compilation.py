"""How a model is trained: optimizer, learning rate over the steps, loss."""

from typing import Any

import keras

from tuner.settings.hyperparameters import Hyperparameters, Optimizer, Schedule
from tuner.training import optimizers


def compile_model(
    model: keras.Model, hyperparameters: Hyperparameters, *, n_classes: int, total_steps: int
) -> None:
    """Compiles `model` in place for `total_steps` steps; labels are `(batch, 1)` class numbers.

    XLA stays off on TensorFlow: it compiles anew for every width of a batch (4 s each), and makes
    a plain LSTM slower.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    model.compile(
        optimizer=_optimizer(hyperparameters, total_steps),
        loss=_loss(n_classes),
        weighted_metrics=[_accuracy(n_classes)],
        jit_compile=False if on_tensorflow else "auto",
    )


def _loss(n_classes: int) -> keras.losses.Loss:
    if n_classes == 2:
        return keras.losses.BinaryCrossentropy()
    return keras.losses.SparseCategoricalCrossentropy()


def _accuracy(n_classes: int) -> keras.metrics.Metric:
    if n_classes == 2:
        return BinaryAccuracy(name="accuracy")
    return SparseCategoricalAccuracy(name="accuracy")


@keras.saving.register_keras_serializable(package="tuner")
class BinaryAccuracy(keras.metrics.BinaryAccuracy):  # type: ignore[misc]
    """Over the sequences that are really there, each counted once whatever the weight of its class."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch; what fills it up has weight 0."""
        super().update_state(y_true, y_pred, _is_there(sample_weight))


@keras.saving.register_keras_serializable(package="tuner")
class SparseCategoricalAccuracy(keras.metrics.SparseCategoricalAccuracy):  # type: ignore[misc]
    """As `BinaryAccuracy`."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """As of `BinaryAccuracy`."""
        super().update_state(y_true, y_pred, _is_there(sample_weight))


def _is_there(weights: Any) -> Any:
    """`(batch,)` weights to 1 where they are above 0."""
    return None if weights is None else keras.ops.cast(keras.ops.greater(weights, 0), "float32")


def _optimizer(hyperparameters: Hyperparameters, total_steps: int) -> keras.optimizers.Optimizer:
    rate = _learning_rate(hyperparameters, total_steps)
    clipnorm = hyperparameters.clipnorm or None  # Keras clips everything to nothing at 0
    match hyperparameters.optimizer:
        case Optimizer.ADAM:
            return optimizers.Adam(rate, clipnorm=clipnorm)
        case Optimizer.ADAMW:
            return optimizers.AdamW(
                rate, weight_decay=hyperparameters.weight_decay, clipnorm=clipnorm
            )
        case Optimizer.RMSPROP:
            return optimizers.RMSprop(rate, clipnorm=clipnorm)
        case Optimizer.SGD:
            return optimizers.SGD(rate, clipnorm=clipnorm)


def _learning_rate(
    hyperparameters: Hyperparameters, total_steps: int
) -> "float | keras.optimizers.schedules.LearningRateSchedule":
    """A number, or a schedule that rises over the warm-up's share of `total_steps` and then decays or stays."""
    peak = hyperparameters.learning_rate
    stays = hyperparameters.schedule is Schedule.CONSTANT
    warmup_steps = round(hyperparameters.warmup * total_steps)
    if stays and not warmup_steps:
        return peak
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else peak,
        decay_steps=max(1, total_steps - warmup_steps),
        alpha=1.0 if stays else 0.0,  # the share of the peak that the cosine ends on
        warmup_target=peak if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
