"""The one builder of all named architectures.

Its input is `(batch, time)` int32 ids right-padded with 0, its output `(batch, 1)` sigmoid for two
classes and `(batch, n_classes)` softmax for more. Only a worker imports this module: it loads
Keras.
"""

from typing import Any

import keras

from tuner.settings.hyperparameters import (
    ARCHITECTURES,
    Architecture,
    Cell,
    Hyperparameters,
    Pooling,
    is_custom,
)
from tuner.training import layers
from tuner.training.custom import build_custom_model
from tuner.training.lstm import LSTM, spares_padding
from tuner.training.ngrams import NAME, NGramLogits


def build_model(hyperparameters: Hyperparameters, *, n_classes: int) -> keras.Model:
    """The model of `hyperparameters`, not compiled.

    Raises:
        TrialFailed: a user's own architecture that cannot be imported, fails, or returns something
            else.
    """
    if is_custom(hyperparameters.architecture):
        return build_custom_model(hyperparameters, n_classes=n_classes)
    architecture = ARCHITECTURES[hyperparameters.architecture]
    ids = keras.Input((None,), dtype="int32", name="ids")
    lengths = layers.SequenceLengths(name="lengths")(ids)
    x = _embedded(ids, hyperparameters)
    if architecture.convolution:
        x, lengths = _convolved(x, lengths, hyperparameters)
    x = _recurrent(x, lengths, hyperparameters, architecture)
    if hyperparameters.output_dropout:
        x = keras.layers.Dropout(hyperparameters.output_dropout, name="output_dropout")(x)
    return keras.Model(
        ids, _classified(ids, x, n_classes, hyperparameters.ngrams), name=architecture.name
    )


def uses_cudnn(hyperparameters: Hyperparameters) -> bool:
    """True when the recurrent layers meet cuDNN's conditions; the builder meets all others by itself."""
    return hyperparameters.recurrent_dropout == 0


def _embedded(ids: Any, hyperparameters: Hyperparameters) -> Any:
    """`(batch, time)` ids -> `(batch, time, embedding_size)`."""
    x = keras.layers.Embedding(
        hyperparameters.vocabulary_size, hyperparameters.embedding_size, name="embedding"
    )(ids)
    if hyperparameters.embedding_dropout:
        x = keras.layers.Dropout(hyperparameters.embedding_dropout, name="embedding_dropout")(x)
    if hyperparameters.spatial_dropout:
        x = keras.layers.SpatialDropout1D(hyperparameters.spatial_dropout, name="spatial_dropout")(
            x
        )
    return x


def _convolved(x: Any, lengths: Any, hyperparameters: Hyperparameters) -> tuple[Any, Any]:
    """`(batch, time, channels)` -> `(batch, ceil(time / pool_size), filters)`, and the lengths that go with it."""
    x = layers.ZeroPastEnd(name="before_convolution")(x, lengths)
    x = keras.layers.Conv1D(
        hyperparameters.filters,
        hyperparameters.kernel_size,
        padding="same",
        activation="relu",
        name="convolution",
    )(x)
    if hyperparameters.pool_size == 1:
        return x, lengths
    # A window across a sequence's end must not see what the bias makes of padding.
    x = layers.ZeroPastEnd(name="after_convolution")(x, lengths)
    x = layers.MaxPoolingFromStart(hyperparameters.pool_size, name="max_pooling")(x)
    return x, layers.PooledLengths(hyperparameters.pool_size, name="pooled_lengths")(lengths)


def _recurrent(
    x: Any, lengths: Any, hyperparameters: Hyperparameters, architecture: Architecture
) -> Any:
    """`(batch, time, channels)` -> `(batch, features)`: LSTM or GRU layers, then pooling over time.

    The backward half runs forward over reversed sequences. Pooling does not depend on the order of steps, and a half's
    last step is the last one that it computed. So the backward half is reversed again only between two layers.
    """
    spares = spares_padding() and architecture.cell is Cell.LSTM
    mask = layers.RealSteps(name="real_steps")(x, lengths) if spares else None
    for layer in range(1, hyperparameters.lstm_layers + 1):
        name = f"{architecture.cell}_{layer}"
        halves = [_recurrent_layer(name, hyperparameters, architecture.cell)(x, mask=mask)]
        if architecture.bidirectional:
            backwards = layers.ReverseWithinLength(name=f"reversed_{layer}")(x, lengths)
            backward = _recurrent_layer(f"{name}_backward", hyperparameters, architecture.cell)
            halves.append(backward(backwards, mask=mask))
        if layer < hyperparameters.lstm_layers:
            if architecture.bidirectional:
                halves[1] = layers.ReverseWithinLength(name=f"turned_{layer}")(halves[1], lengths)
            x = _joined(halves)
    return _joined([_pooled(half, lengths, hyperparameters.pooling) for half in halves])


def _recurrent_layer(name: str, hyperparameters: Hyperparameters, cell: Cell) -> keras.layers.RNN:
    """A layer in the form that cuDNN runs, unless it has recurrent dropout; Keras' own for a GRU."""
    layer = LSTM if cell is Cell.LSTM else keras.layers.GRU
    return layer(
        hyperparameters.lstm_units,
        dropout=hyperparameters.input_dropout,
        recurrent_dropout=hyperparameters.recurrent_dropout,
        return_sequences=True,
        name=name,
    )


def _pooled(x: Any, lengths: Any, pooling: Pooling) -> Any:
    """`(batch, time, features)` -> `(batch, features)`, twice as many with `max_mean`."""
    match pooling:
        case Pooling.LAST:
            return layers.LastStep()(x, lengths)
        case Pooling.MAX:
            return layers.MaxOverTime()(x, lengths)
        case Pooling.MEAN:
            return layers.MeanOverTime()(x, lengths)
        case Pooling.MAX_MEAN:
            return _joined([layers.MaxOverTime()(x, lengths), layers.MeanOverTime()(x, lengths)])


def _joined(parts: list[Any]) -> Any:
    """`parts` side by side along the last axis."""
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def _classified(ids: Any, x: Any, n_classes: int, ngrams: int) -> Any:
    """`(batch, features)` -> probabilities: one sigmoid unit for two classes, as in the tutorial; softmax for more."""
    n_outputs, activation = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
    if not ngrams:
        return keras.layers.Dense(n_outputs, activation=activation, name="classifier")(x)
    logits = keras.layers.Dense(n_outputs, name="classifier")(x)
    logits = keras.layers.Add(name="logits")(
        [logits, NGramLogits(ngrams, n_outputs, name=NAME)(ids)]
    )
    return keras.layers.Activation(activation, name="probabilities")(logits)
