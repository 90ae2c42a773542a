"""The linear reference's model: the n-grams that it knows, and how each speaks for the classes.

It is arrays alone, so that a search's process can measure it without Keras. The same arrays are the weights of a Keras
model (`tuner.training.linear_layer`), which an export consists of. Must not import Ray or Keras, nor SciPy before it is
needed: a search begins sooner without.

An n-gram is known by its beginning: a pair by its first token, a longer one by the place of the n-gram without its last
token. So the n-grams of each length are one sorted array of numbers, and none needs a hash.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuner.data import UNKNOWN, EncodedSequences

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SMALLEST_SCORE = 1e-9  # added to every class's, so that each has a share of several
_IDS = 1 << 31  # more than there are
_LARGEST_EXACT = 1 << 24  # float32 holds whole numbers up to it
_NOT_KNOWN = -1

# Of each length the known n-grams, ascending int64: token ids, then first * 2**31 + second, then place * 2**31 + last,
# where the place is that of the n-gram without its last token among those of its length.
NGrams = tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A logistic regression on the presence of n-grams, or, of very many classes, naive Bayes.

    Attributes:
        known: the n-grams, two lengths or more; see `NGrams`.
        table: `(n, n_outputs)` float32, what each adds to the logits; of two classes, to that of the second. First the
            rows of single tokens, then those of pairs, and so on.
        bias: `(n_outputs,)` float32.
        max_length: last tokens of a sequence that it reads.
        is_regression: of each class against the others; otherwise logits of all classes together.
    """

    known: NGrams
    table: NDArray[np.float32]
    bias: NDArray[np.float32]
    max_length: int
    is_regression: bool

    @property
    def vocabulary_size(self) -> int:
        """Ids that it knows, of which the most frequent are the least: no other is part of its n-grams."""
        singles, pairs, *_ = self.known
        ids = [singles, pairs // _IDS, *(keys % _IDS for keys in self.known[1:])]
        return max(UNKNOWN, *(int(each.max(initial=0)) for each in ids)) + 1

    def probabilities_of(self, sequences: EncodedSequences) -> NDArray[np.float32]:
        """`(n_sequences, n_classes)`."""
        from scipy.special import expit, softmax

        view = sequences.view(vocabulary_size=_IDS, max_length=self.max_length)
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
        Then for each greater length its `starts` (n_shorter + 2,) and `lasts` (n_of_this_length + 1,), in the same
        form. The last beginning stands for all that are not known: nothing begins with it. Numbers of rows are floats,
        too: not every backend keeps integers on a GPU.
        """
        singles, *longer = self.known
        size, n = self.vocabulary_size, len(self.table)
        assert max(size, n) < _LARGEST_EXACT
        rows = np.full(size, n)
        rows[singles] = np.arange(len(singles))
        searches: list[NDArray[Any]] = []
        beginnings = size
        for keys in longer:
            searches.append(np.searchsorted(keys // _IDS, np.arange(beginnings + 1)))
            searches.append(np.append(keys % _IDS, size))
            beginnings = len(keys) + 1
        table = np.vstack([self.table, np.zeros((1, self.table.shape[1]))])
        arrays = (rows, *searches[:2], table, self.bias, *searches[2:])
        return tuple(array.astype(np.float32) for array in arrays)

    @classmethod
    def of_weights(cls, weights: Sequence[NDArray[np.float32]], max_length: int) -> "LinearModel":
        """The regression with these `weights`, see `are_weights`."""
        singles, starts, seconds, table, bias, *longer = weights
        known = [np.flatnonzero(singles < len(table) - 1)]
        for begin, lasts in in_twos([starts, seconds, *longer]):
            beginnings = np.repeat(np.arange(len(begin) - 1), np.diff(begin).astype(np.int64))
            known.append(beginnings * _IDS + lasts[:-1].astype(np.int64))
        return cls(tuple(known), table[:-1], bias, max_length, is_regression=True)


def are_weights(arrays: Sequence[NDArray[Any]]) -> bool:
    """Whether these may be the `weights` of such a model: shapes that fit, and each row of the table in its place."""
    if len(arrays) < 5 or len(arrays) % 2 == 0:
        return False
    if [array.ndim for array in arrays] != [1, 1, 1, 2, 1, *[1] * (len(arrays) - 5)]:
        return False
    if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays):
        return False
    singles, starts, seconds, table, bias, *longer = arrays
    beginnings, n_longer = len(singles), 0
    for begin, lasts in in_twos([starts, seconds, *longer]):
        n = len(lasts) - 1
        if len(begin) != beginnings + 1 or n < 0 or (begin[0], begin[-1]) != (0, n):
            return False
        if (np.diff(begin) < 0).any():
            return False
        beginnings, n_longer = n + 1, n_longer + n
    n_singles = len(table) - 1 - n_longer
    return bool(
        len(singles) > UNKNOWN
        and table.shape[1] == len(bias) > 0
        and n_singles >= 0
        and np.array_equal(singles[singles != len(table) - 1], np.arange(n_singles))
    )


def weights_for_vocabulary(
    weights: Sequence[NDArray[np.float32]], size: int
) -> tuple[NDArray[np.float32], ...]:
    """The same model's weights for a vocabulary of `size` ids.

    A program maps ids beyond the weights to UNKNOWN. Where the model has learned n-grams with UNKNOWN, rare tokens
    would then match these. So its `singles` and `starts` are padded to `(size,)` and `(size + 1,)`. A model without
    such n-grams, as of the training split alone, keeps its weights.
    """
    singles, starts, seconds, table, bias, *longer = weights
    more, n = size - len(singles), len(table) - 1
    lasts = (each[:-1] for _, each in in_twos([starts, seconds, *longer]))
    is_learned = (
        singles[UNKNOWN] < n
        or starts[UNKNOWN] < starts[UNKNOWN + 1]
        or any((each == UNKNOWN).any() for each in lasts)
    )
    if more <= 0 or not is_learned:
        return tuple(weights)
    return (
        np.pad(singles, (0, more), constant_values=n),
        np.pad(starts, (0, more), mode="edge"),
        *(seconds, table, bias, *longer),
    )


def longest_of(weights: Sequence[NDArray[Any]]) -> int:
    """Tokens of the longest n-grams in such `weights`."""
    return (len(weights) - 1) // 2


def frequent_n_grams(sequences: EncodedSequences, longest: int, least: int, most: int) -> NGrams:
    """The n-grams of up to `longest` tokens that at least `least` sequences have, the `most` most frequent ones.

    Of those as frequent as each other the shorter ones come first. So of each one that is taken the beginning is, too:
    no sequence has an n-gram without it.
    """
    import pandas as pd

    known: list[NDArray[np.int64]] = []
    counts: list[NDArray[np.int64]] = []
    walk = _Walk(sequences)
    for _ in range(longest):
        # By hashes, in a third of the time of sorting.
        number, keys = pd.factorize(walk.keys)
        places = pd.unique(number * len(sequences) + walk.rows)
        holders = np.bincount(places // len(sequences), minlength=len(keys))
        is_frequent = holders >= least
        keys, holders = keys[is_frequent], holders[is_frequent]
        order = np.argsort(keys)
        known.append(keys[order])
        counts.append(holders[order])
        walk.step(known[-1])
    order = np.argsort(-np.concatenate(counts), kind="stable")
    is_kept = np.zeros(len(order), bool)
    is_kept[order[:most]] = True
    return tuple(_kept(known, np.split(is_kept, np.cumsum([len(keys) for keys in known])[:-1])))


def presence(sequences: EncodedSequences, known: NGrams) -> "csr_matrix":
    """Which of the `known` n-grams a sequence has: `(n_sequences, n)`, 0 and 1."""
    from scipy.sparse import csr_matrix

    walk, width, rows, columns = _Walk(sequences), 0, [], []
    for keys in known:
        holders, at = walk.step(keys)
        rows.append(holders)
        columns.append(at + width)
        width += len(keys)
    places = np.concatenate(rows), np.concatenate(columns)
    found = csr_matrix((np.ones(len(places[0]), np.float32), places), (len(sequences), width))
    found.sum_duplicates()  # of an n-gram that is there several times
    found.data.fill(1)
    return found


class _Walk:
    """Goes through sequences with n-grams of one token, then of two, and so on.

    Attributes:
        rows: `(n_found,)` int64, the sequence of each n-gram of this length whose beginning is known.
        keys: its number; see `NGrams`.
    """

    def __init__(self, sequences: EncodedSequences) -> None:
        self._tokens = sequences.tokens.astype(np.int64)
        self._ends = np.repeat(sequences.offsets[1:], sequences.lengths)
        self._all_rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
        self._length = 1
        self._starts = np.arange(len(self._tokens))
        self.rows, self.keys = self._all_rows, self._tokens

    def step(self, known: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Goes on to n-grams of a token more, and gives the rows and places of the `known` ones of this length."""
        at = _places(known, self.keys)
        is_known = at != _NOT_KNOWN
        found = self.rows[is_known], at[is_known]
        if self._length == 1:
            at, is_known = self._tokens, np.ones(len(at), bool)  # a pair's first one is any token
        starts = self._starts
        goes_on = is_known & (starts + self._length < self._ends[starts])
        self._starts = starts[goes_on]
        self.rows = self._all_rows[self._starts]
        self.keys = at[goes_on] * _IDS + self._tokens[self._starts + self._length]
        self._length += 1
        return found


def _places(known: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each key is in the ascending `known`, `_NOT_KNOWN` where it is not."""
    if not len(known):
        return np.full(len(keys), _NOT_KNOWN)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, at, _NOT_KNOWN)


def _kept(
    known: Sequence[NDArray[np.int64]], are_kept: Sequence[NDArray[np.bool_]]
) -> Iterator[NDArray[np.int64]]:
    """The n-grams that are kept, each by the new place of its beginning."""
    moved: NDArray[np.int64] | None = None
    for length, (keys, is_kept) in enumerate(zip(known, are_kept, strict=True), 1):
        taken = keys[is_kept]
        if moved is not None:
            taken = moved[taken // _IDS] * _IDS + taken % _IDS
        if length > 1:
            moved = np.cumsum(is_kept) - 1
        yield taken


def in_twos(arrays: Sequence[NDArray[Any]]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The starts and the last tokens of one length after the other, as `LinearModel.weights` has them."""
    return zip(arrays[::2], arrays[1::2], strict=True)
