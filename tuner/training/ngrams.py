"""The n-gram branch of a model: what a linear model knows of a sequence, added to the logits.

A bag of word pairs, weighted by how much more often one class has them, is hard to beat on reviews (Wang & Manning,
2012), and an LSTM learns other things. Here both are one model: each n-gram has a row in a table, by the hash of its
ids, and the rows of a sequence are summed. The table begins with the log-count ratios of the training split, and is
trained with the rest of the model.
"""

# mypy: disallow-subclassing-any=False
# Keras has no stubs, so its classes are Any.

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tuner.data import PADDING, EncodedSequences

NAME = "ngrams"  # the layer's in a model
_MOST_BUCKETS = 262_139  # a prime below 2**18: with the factors below, products stay below 2**31
_MOST_WEIGHTS = 4_000_000  # buckets x outputs
_BEFORE, _NEXT, _FIRST = 4093, 3571, 2579  # below 2**12, primes
_SMOOTHING = 1.0  # added to every count
_LARGEST_SCALE = 10.0


@keras.saving.register_keras_serializable(package="tuner")
class NGramLogits(keras.layers.Layer):
    """`(batch, time)` int32 ids, right-padded -> `(batch, n_outputs)`, what the n-grams say of each class.

    Args:
        longest: n-grams of 1 to so many tokens.
        n_outputs: 1 for two classes.
    """

    def __init__(self, longest: int, n_outputs: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.longest = longest
        self.n_outputs = n_outputs
        self.n_buckets = min(_MOST_BUCKETS, _MOST_WEIGHTS // n_outputs)

    def build(self, input_shape: Any) -> None:
        """Makes the table, which knows nothing yet; see `start_from_counts`."""
        self.table = self.add_weight(
            shape=(self.n_buckets, self.n_outputs), initializer="zeros", name="table"
        )

    def call(self, ids: Any) -> Any:
        """The sum of the n-grams' rows, over the square root of their number: long sequences are not surer as such."""
        ids = ops.cast(ids, "int32")
        is_real = ops.cast(ops.not_equal(ids, PADDING), self.table.dtype)
        buckets = ops.concatenate(list(_buckets(ids, self.longest, self.n_buckets)), axis=1)
        counts = ops.concatenate([is_real[:, size:] for size in range(self.longest)], axis=1)
        total = ops.sum(ops.take(self.table, buckets, axis=0) * counts[:, :, None], axis=1)
        return total / ops.sqrt(ops.maximum(ops.sum(counts, axis=1), 1))[:, None]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`(batch, n_outputs)`."""
        return (input_shape[0], self.n_outputs)

    def compute_output_spec(self, ids: Any) -> Any:
        """Logits are floats, whatever ids are."""
        return keras.KerasTensor(self.compute_output_shape(ids.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """For `.keras` files."""
        return {**super().get_config(), "longest": self.longest, "n_outputs": self.n_outputs}


def start_from_counts(layer: NGramLogits, train: EncodedSequences, n_classes: int) -> None:
    """Fills the table with log-count ratios of `train`, cut as the model sees it, each class against the others.

    A factor for each class makes logits of them: the one by which a logistic regression explains the labels, where each
    sequence is left out of the counts that judge it. Otherwise n-grams that occur once would explain everything.
    """
    grams, rows = _n_grams(train, layer.longest, layer.n_buckets)
    places = np.sort(rows * layer.n_buckets + grams)
    is_first = np.ones(len(places), bool)
    is_first[1:] = places[1:] != places[:-1]
    holders, held = np.divmod(places[is_first], layer.n_buckets)  # each n-gram once per sequence
    every = np.bincount(held, minlength=layer.n_buckets).astype(np.float64)
    lengths = np.sqrt(np.maximum(np.bincount(rows, minlength=len(train)), 1))
    columns = []
    for label in range(1, 2) if n_classes == 2 else range(n_classes):
        is_class = train.labels == label
        own = np.bincount(held[is_class[holders]], minlength=layer.n_buckets).astype(np.float64)
        ratios = np.where(every > 0, _ratios(own, every - own, own.sum(), every.sum()), 0)
        is_own = is_class[rows]
        without = _ratios(
            own[grams] - is_own, every[grams] - own[grams] - ~is_own, own.sum(), every.sum()
        )
        scores = np.bincount(rows, weights=without, minlength=len(train)) / lengths
        columns.append(_scale(scores, is_class) * ratios)
    layer.table.assign(np.stack(columns, axis=1).astype(np.float32))


def _buckets(ids: Any, longest: int, n_buckets: int) -> Iterator[Any]:
    """For each size of n-grams their buckets, `(batch, time + 1 - size)`; ids are int32 tensors or int64 arrays."""
    ids = ids % n_buckets
    gram = (ids * _FIRST + 1) % n_buckets
    yield gram
    for size in range(2, longest + 1):
        gram = (gram[:, :-1] * _BEFORE + ids[:, size - 1 :] * _NEXT + size) % n_buckets
        yield gram


def _n_grams(
    sequences: EncodedSequences, longest: int, n_buckets: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bucket of every n-gram, and the sequence that it is in."""
    rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
    flat = sequences.tokens.astype(np.int64)[
        None, :
    ]  # as if one sequence: those across an end are left out
    grams, places = [], []
    for size, found in enumerate(_buckets(flat, longest, n_buckets)):
        is_inside = rows[size:] == rows[: len(rows) - size]
        grams.append(found[0][is_inside])
        places.append(rows[size:][is_inside])
    return np.concatenate(grams), np.concatenate(places)


def _ratios(
    own: NDArray[np.float64], others: NDArray[np.float64], all_own: float, all_of_all: float
) -> NDArray[np.float64]:
    """How much more often, as a logarithm, the class has an n-gram than the others do."""
    all_others = all_of_all - all_own
    ratios: NDArray[np.float64] = np.log((own + _SMOOTHING) / (all_own + _SMOOTHING)) - np.log(
        (others + _SMOOTHING) / (all_others + _SMOOTHING)
    )
    return ratios


def _scale(scores: NDArray[np.float64], is_class: NDArray[np.bool_]) -> float:
    """The factor of `scores` in a logistic regression of one variable, by Newton's method; none below 0."""
    prior = np.log((is_class.sum() + 1) / ((~is_class).sum() + 1))
    scale = 0.0
    for _ in range(20):
        probabilities = 1 / (1 + np.exp(-np.clip(prior + scale * scores, -30, 30)))
        slope = ((is_class - probabilities) * scores).sum()
        curvature = (probabilities * (1 - probabilities) * scores**2).sum()
        scale = float(np.clip(scale + slope / (curvature + 1e-9), 0, _LARGEST_SCALE))
    return scale
