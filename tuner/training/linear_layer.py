"""The linear reference as a Keras model, so that it is exported, loaded and converted as every other model is.

Its weights are those of `tuner.training.linear_model`. Importing this module loads Keras.
"""

# mypy: disallow-subclassing-any=False
# Keras has no stubs, so its classes are Any.

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tuner.training.linear_model import SMALLEST_SCORE, are_weights, in_twos


@keras.saving.register_keras_serializable(package="tuner")
class LinearOnNGrams(keras.layers.Layer):
    """`(batch, time)` int32 ids, right-padded -> `(batch, n_outputs)` probabilities of a logistic regression.

    An n-gram is looked up by a binary search among those that begin with its beginning: exactly, where a hash would let
    several share a weight, and in operations that other programs have.

    Args:
        n_tokens: ids that it knows.
        n_pairs, n_rows: of its n-grams, the pairs, and all of them.
        n_outputs: 1 for two classes.
        depth: of the search: bits of the most pairs that begin with one token.
        longer: for each length from three on, how many n-grams of it there are, and the depth of their search.
    """

    def __init__(
        self,
        n_tokens: int,
        n_pairs: int,
        n_rows: int,
        n_outputs: int,
        depth: int,
        longer: Sequence[Sequence[int]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._sizes = {
            "n_tokens": n_tokens,
            "n_pairs": n_pairs,
            "n_rows": n_rows,
            "n_outputs": n_outputs,
            "depth": depth,
        }
        self._longer = [list(each) for each in longer]
        # Whoever loads the model on TensorFlow beside a GPU, also without tuner: see `trace_prediction`.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def build(self, input_shape: Any) -> None:
        """Makes the weights, which `build_linear` fills."""
        sizes = self._sizes

        def array(name: str, *shape: int) -> Any:
            return self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)

        self.singles = array("singles", sizes["n_tokens"])
        self.starts = [array("starts", sizes["n_tokens"] + 1)]
        self.lasts = [array("seconds", sizes["n_pairs"] + 1)]
        self.table = array("table", sizes["n_rows"] + 1, sizes["n_outputs"])
        self.bias = array("bias", sizes["n_outputs"])
        n_shorter = sizes["n_pairs"]
        for length, (n, _) in enumerate(self._longer, 3):
            self.starts.append(array(f"starts_{length}", n_shorter + 2))
            self.lasts.append(array(f"lasts_{length}", n + 1))
            n_shorter = n

    def call(self, ids: Any) -> Any:
        """Each n-gram of a sequence counts once."""
        ids = ops.cast(ids, "int32")
        rows = ops.concatenate([_whole(self.singles, ids), *self._rows_of_longer(ids)], axis=1)
        # Sorted as floats, which more programs can.
        rows = ops.cast(ops.sort(ops.cast(rows, "float32"), axis=1), "int32")
        is_first = ops.concatenate(
            [ops.ones_like(rows[:, :1], "bool"), ops.not_equal(rows[:, 1:], rows[:, :-1])], axis=1
        )
        values = (
            ops.take(self.table, rows, axis=0) * ops.cast(is_first, self.table.dtype)[:, :, None]
        )
        scores = ops.sigmoid(ops.sum(values, axis=1) + self.bias)
        if self._sizes["n_outputs"] == 1:
            return scores
        scores = scores + SMALLEST_SCORE
        return scores / ops.sum(scores, axis=1, keepdims=True)

    def _rows_of_longer(self, ids: Any) -> Iterator[Any]:
        """For each length from two on `(batch, time + 1 - length)`, the last row where an n-gram is not known."""
        n_rows = self._sizes["n_rows"]
        counts = [self._sizes["n_pairs"], *(n for n, _ in self._longer)]
        depths = [self._sizes["depth"], *(depth for _, depth in self._longer)]
        first, beginnings = n_rows - sum(counts), ids
        for length, (n, depth) in enumerate(zip(counts, depths, strict=True), 2):
            last_ids = ids[:, length - 1 :]
            at, end = self._search(beginnings[:, :-1], last_ids, length, depth)
            is_same = ops.equal(_whole(self.lasts[length - 2], at), last_ids)
            is_known = ops.logical_and(ops.less(at, end), is_same)
            yield ops.where(is_known, at + first, n_rows)
            first, beginnings = first + n, ops.where(is_known, at, n)

    def _search(self, beginnings: Any, last_ids: Any, length: int, depth: int) -> tuple[Any, Any]:
        """Where each last token is, or would be, among those with its beginning; and where these end."""
        starts, lasts = self.starts[length - 2], self.lasts[length - 2]
        low, end = _whole(starts, beginnings), _whole(starts, beginnings + 1)
        high = end
        for _ in range(depth):
            middle = (low + high) // 2
            is_open = ops.less(low, high)
            is_less = ops.less(_whole(lasts, middle), last_ids)
            low = ops.where(ops.logical_and(is_open, is_less), middle + 1, low)
            high = ops.where(ops.logical_and(is_open, ops.logical_not(is_less)), middle, high)
        return low, end

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`(batch, n_outputs)`."""
        return (input_shape[0], self._sizes["n_outputs"])

    def compute_output_spec(self, ids: Any) -> Any:
        """Probabilities are floats, whatever ids are."""
        return keras.KerasTensor(self.compute_output_shape(ids.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """For `.keras` files."""
        return {**super().get_config(), **self._sizes, "longer": self._longer}


def build_linear(weights: Sequence[NDArray[np.float32]]) -> keras.Model:
    """The model with these weights.

    Raises:
        ValueError: they are not of such a model.
    """
    if not are_weights(weights):
        raise ValueError("these are not the weights of a linear model")
    singles, starts, seconds, table, bias, *longer = weights
    ids = keras.Input((None,), dtype="int32", name="ids")
    layer = LinearOnNGrams(
        n_tokens=len(singles),
        n_pairs=len(seconds) - 1,
        n_rows=len(table) - 1,
        n_outputs=len(bias),
        depth=_depth(starts),
        longer=[(len(lasts) - 1, _depth(begin)) for begin, lasts in in_twos(longer)],
        name="linear",
    )
    model = keras.Model(ids, layer(ids))
    model.set_weights(list(weights))
    return model


def _depth(starts: NDArray[np.float32]) -> int:
    """Steps of a binary search among the most n-grams with the same beginning."""
    return int(np.diff(starts).max()).bit_length()


def _whole(numbers: Any, at: Any) -> Any:
    """The whole numbers at these places of an array of floats."""
    return ops.cast(ops.take(numbers, at, axis=0), "int32")
