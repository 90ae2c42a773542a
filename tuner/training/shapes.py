"""The shapes of batches on backends that compile anew for every shape. Importing this module loads Keras.

TensorFlow's functions are traced once for all widths, and torch compiles nothing. XLA, which JAX computes with, takes
two to four seconds for every shape of a training step and one for one of a prediction.
"""

import keras
import numpy as np

from tuner.data import EncodedSequences, few_widths

_MOST_WIDTHS = 3  # each compiles a training step and a prediction
# Padded tokens that a width must spare during a trial. LSTM layers skip the steps that no sequence of a batch has, and
# what is left of 12,800 padded tokens takes a CPU core 0.05 s. A width's compilation takes 3 s, as long as 800,000.
_WORTH = 800_000
_SHORTEST = 16


def trial_widths(
    train: EncodedSequences,
    validation: EncodedSequences,
    *,
    epochs: int,
    short_sequences: int,
    short_length: int,
) -> tuple[int, ...] | None:
    """The widths of all batches of a trial, ascending; None where they may differ freely.

    Args:
        train: cut to the trial's length, as is `validation`.
        short_sequences: so many training sequences are seen up to `short_length` tokens only.
    """
    if not _compiles_every_shape():
        return None
    longest = max(train.lengths.max(), validation.lengths.max())
    lengths = np.concatenate([train.lengths, validation.lengths, [min(short_length, longest)]])
    counts = np.full(len(lengths), float(epochs))
    counts[: len(train)] -= min(epochs, short_sequences / len(train))
    counts[-1] = short_sequences
    return few_widths(lengths, counts, most=_MOST_WIDTHS, worth=_WORTH)


def prediction_widths(max_length: int) -> tuple[int, ...] | None:
    """Widths of a model's batches for whatever it will predict, ascending; None where they may differ freely."""
    if not _compiles_every_shape():
        return None
    widths = [_SHORTEST]
    while widths[-1] < max_length:
        widths.append(2 * widths[-1])
    return tuple(widths)


def _compiles_every_shape() -> bool:
    return bool(keras.backend.backend() == "jax")
