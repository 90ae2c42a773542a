"""The one form in which models see data: flat token ids, offsets, labels and a vocabulary.

Encoded once by frequency rank over the training split, so that `vocabulary_size` and `max_length` are cheap
views. Everything here pickles, because Ray puts it into its object store. Must not import pandas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tuner.settings.data import TokenMode

PADDING, START, UNKNOWN = 0, 1, 2
SPECIAL_TOKENS = ("[PADDING]", "[START]", "[UNKNOWN]")  # the names of the ids 0, 1 and 2


class Split(StrEnum):
    """The purpose of a part of the rows."""

    TRAIN = "train"  # models learn from it
    VALIDATION = "validation"  # the search ranks trials on it, or on parts of it and of the training split by turns
    CONFIRMATION = "confirmation"  # finalists are ranked on it
    TEST = "test"  # nothing is chosen by it; every test evaluation is logged


@dataclass(frozen=True, eq=False)
class EncodedSequences:
    """Token ids and labels of one split.

    Attributes:
        tokens: `(n_tokens,)` int32, all sequences one after the other, no padding.
        offsets: `(n_sequences + 1,)` int64, sequence i is `tokens[offsets[i]:offsets[i + 1]]`.
        labels: `(n_sequences,)` int32, index into the data set's `class_names`.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`(n_sequences,)` int64, tokens of each sequence, its START counted."""
        return np.diff(self.offsets)

    def only(self, rows: NDArray[np.int64]) -> "EncodedSequences":
        """The sequences at these positions, in this order."""
        lengths = self.lengths[rows]
        tokens = self.tokens[run_positions(self.offsets[rows], lengths)]
        return EncodedSequences(tokens, offsets_of(lengths), self.labels[rows])

    def view(self, *, vocabulary_size: int, max_length: int) -> "EncodedSequences":
        """The last `max_length` tokens of each sequence; ids from `vocabulary_size` on are UNKNOWN.

        As in Keras: START counts as a token, so a sequence that is cut begins without it, and the
        special ids count into `vocabulary_size`.
        """
        if vocabulary_size <= UNKNOWN or max_length < 1:
            raise ValueError(
                "vocabulary_size must be 3 or more and max_length 1 or more, "
                f"got {vocabulary_size} and {max_length}"
            )
        tokens, offsets = self.tokens, self.offsets
        lengths = np.minimum(self.lengths, max_length)
        if lengths.sum() < len(tokens):
            tokens = tokens[run_positions(offsets[1:] - lengths, lengths)]
            offsets = offsets_of(lengths)
        known = np.where(tokens < vocabulary_size, tokens, np.int32(UNKNOWN))
        return EncodedSequences(known, offsets, self.labels)


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A person's own vectors of words, see `tuner.data.vectors`.

    Attributes:
        ids: `(n,)` int32, of the words.
        values: `(n, size)` float32.
    """

    ids: NDArray[np.int32]
    values: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Values per word."""
        return int(self.values.shape[1])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Encoded sequences of every split, with the meaning of ids and labels.

    Attributes:
        name: a named data set's name, or the file's name.
        fingerprint: SHA-256 in hex of tokens, labels, splits, vocabulary and class names. Rows in
            another order, or the same file under another name, have the same fingerprint.
        class_names: class i is called `class_names[i]`.
        vocabulary: token i is `vocabulary[i]`; the first three are PADDING, START and UNKNOWN.
        splits: all four of them, none empty.
        token_mode: how a text becomes tokens.
        clusters: for each split `(n_sequences,)` int64, the same number where sequences share a text or a group.
        vectors: from which embeddings start, where a person gave some. No part of the fingerprint.
    """

    name: str
    fingerprint: str
    class_names: tuple[str, ...]
    vocabulary: tuple[str, ...]
    splits: Mapping[Split, EncodedSequences]
    token_mode: TokenMode = TokenMode.WORDS
    clusters: Mapping[Split, NDArray[np.int64]] = field(default_factory=dict)
    vectors: WordVectors | None = None

    def clusters_of(self, split: Split) -> NDArray[np.int64]:
        """The clusters of a split's sequences; each its own where nothing else is known."""
        return self.clusters.get(split, np.arange(len(self.splits[split])))


def joined(parts: Sequence[EncodedSequences]) -> EncodedSequences:
    """The sequences of several splits as one, in their order."""
    return EncodedSequences(
        np.concatenate([each.tokens for each in parts]),
        offsets_of(np.concatenate([each.lengths for each in parts])),
        np.concatenate([each.labels for each in parts]),
    )


def cluster_count(clusters: NDArray[np.int64]) -> int | None:
    """How many clusters `(n,)` sequences form, see `Dataset.clusters`; None where each is its own."""
    count = len(np.unique(clusters))
    return count if count < len(clusters) else None


def run_positions(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the runs `start, start + 1, …`, one run after the other.

    Args:
        starts: `(n_runs,)` int64, where each run begins in the flat array.
        lengths: `(n_runs,)` int64, how many positions it has.

    Returns:
        `(lengths.sum(),)` int64.
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total, dtype=np.int64)


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(n_runs + 1,)` int64: run i lies at `offsets[i]:offsets[i + 1]`."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
