"""The linear reference's model: the n-grams that it knows, and how each speaks for the classes.

It is arrays alone, so that a search's process can measure it without Keras. The same arrays are the weights of a Keras
model (`tuner.training.linear_layer`), which an export consists of. Must not import Ray or Keras, nor SciPy before it is
needed: a search begins sooner without.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuner.data import UNKNOWN, EncodedSequences

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SMALLEST_SCORE = 1e-9  # added to every class's, so that each has a share of several
_PAIRS_FROM = 1 << 31  # n-grams below are single tokens
_LARGEST_EXACT = 1 << 24  # float32 holds whole numbers up to it


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A logistic regression on the presence of n-grams, or, of very many classes, naive Bayes.

    Attributes:
        known: `(n,)` int64, the n-grams, sorted; see `n_grams_of`.
        table: `(n, n_outputs)` float32, what each adds to the logits; of two classes, to that of the second.
        bias: `(n_outputs,)` float32.
        max_length: last tokens of a sequence that it reads.
        is_regression: of each class against the others; otherwise logits of all classes together.
    """

    known: NDArray[np.int64]
    table: NDArray[np.float32]
    bias: NDArray[np.float32]
    max_length: int
    is_regression: bool

    @property
    def vocabulary_size(self) -> int:
        """Ids that it knows, of which the most frequent are the least: no other is part of its n-grams."""
        singles, firsts, seconds = self._ids()
        return max(UNKNOWN, *(int(ids.max(initial=0)) for ids in (singles, firsts, seconds))) + 1

    def probabilities_of(self, sequences: EncodedSequences) -> NDArray[np.float32]:
        """`(n_sequences, n_classes)`."""
        from scipy.special import expit, softmax

        view = sequences.view(vocabulary_size=_PAIRS_FROM, max_length=self.max_length)
        logits = presence(view, self.known) @ self.table + self.bias
        if not self.is_regression:
            return np.asarray(softmax(logits, axis=1), np.float32)
        scores = expit(logits)
        if scores.shape[1] == 1:
            return np.hstack([1 - scores, scores]).astype(np.float32)
        scores = scores + SMALLEST_SCORE
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)

    @property
    def weights(self) -> tuple[NDArray[np.float32], ...]:
        """The weights of the Keras model, in its order.

        `singles` (vocabulary_size,): the table's row of each token, `n` where it is not known. `starts`
        (vocabulary_size + 1,): where the pairs that begin with a token begin in `seconds`. `seconds` (n_pairs + 1,):
        the pairs' second tokens, ascending for each first one. `table` (n + 1, n_outputs): its last row is 0. `bias`.
        Numbers of rows are floats, too: not every backend keeps integers on a GPU.
        """
        singles, firsts, seconds = self._ids()
        size, n = self.vocabulary_size, len(self.known)
        assert max(size, n) < _LARGEST_EXACT
        rows = np.full(size, n)
        rows[singles] = np.arange(len(singles))
        arrays: Sequence[NDArray[Any]] = (
            rows,
            np.searchsorted(firsts, np.arange(size + 1)),
            np.append(seconds, size),
            np.vstack([self.table, np.zeros((1, self.table.shape[1]))]),
            self.bias,
        )
        return tuple(array.astype(np.float32) for array in arrays)

    @classmethod
    def of_weights(cls, weights: Sequence[NDArray[np.float32]], max_length: int) -> "LinearModel":
        """The regression with these `weights`, see `are_weights`."""
        singles, starts, seconds, table, bias = weights
        firsts = np.repeat(np.arange(len(singles)), np.diff(starts).astype(np.int64))
        pairs = (firsts + 1 << 31) + seconds[:-1].astype(np.int64)
        known = np.concatenate([np.flatnonzero(singles < len(table) - 1), pairs])
        return cls(known, table[:-1], bias, max_length, is_regression=True)

    def _ids(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The known single tokens, and the first and the second tokens of the known pairs."""
        is_pair = self.known >= _PAIRS_FROM
        pairs = self.known[is_pair]
        return self.known[~is_pair], (pairs >> 31) - 1, pairs & (_PAIRS_FROM - 1)


def are_weights(arrays: Sequence[NDArray[Any]]) -> bool:
    """Whether these may be the `weights` of such a model: shapes that fit, and each row of the table in its place."""
    if len(arrays) != 5 or [array.ndim for array in arrays] != [1, 1, 1, 2, 1]:
        return False
    singles, starts, seconds, table, bias = arrays
    if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays):
        return False
    n_pairs, n = len(seconds) - 1, len(table) - 1
    return bool(
        len(singles) > UNKNOWN
        and len(starts) == len(singles) + 1
        and table.shape[1] == len(bias) > 0
        and 0 <= n_pairs <= n
        and np.array_equal(singles[singles != n], np.arange(n - n_pairs))
        and (starts[0], starts[-1]) == (0, n_pairs)
        and (np.diff(starts) >= 0).all()
    )


def n_grams_of(sequences: EncodedSequences) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequence and n-gram of every token and every pair, each once per sequence, in order.

    A token is its id; a pair is (first + 1) * 2**31 + second.
    """
    tokens = sequences.tokens.astype(np.int64)
    rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
    follows = rows[1:] == rows[:-1]
    pairs = (tokens[:-1][follows] + 1 << 31) + tokens[1:][follows]
    grams = np.concatenate([tokens, pairs])
    places = np.concatenate([rows, rows[1:][follows]])
    order = np.lexsort((grams, places))
    grams, places = grams[order], places[order]
    is_first = np.ones(len(grams), bool)
    is_first[1:] = (grams[1:] != grams[:-1]) | (places[1:] != places[:-1])
    return places[is_first], grams[is_first]


def presence(sequences: EncodedSequences, known: NDArray[np.int64]) -> "csr_matrix":
    """Which of the `known` n-grams, at least one, a sequence has: `(n_sequences, len(known))`, 0 and 1."""
    from scipy.sparse import csr_matrix

    rows, grams = n_grams_of(sequences)
    at = np.searchsorted(known, grams)
    at[at == len(known)] = 0
    is_known = known[at] == grams
    rows, at = rows[is_known], at[is_known]
    return csr_matrix(
        (np.ones(len(rows), np.float32), (rows, at)), shape=(len(sequences), len(known))
    )
