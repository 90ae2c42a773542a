"""The rows that a test evaluation measures on: those that no part of the run has seen.

Rows are the same where their tokens are, also the words that no vocabulary has. Splits that the data give may overlap,
so the test split, too, may hold texts that the model has learned. Must not import Ray, Keras or TensorFlow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.data import Dataset, EncodedSequences, Split, encode_known, text_digest, token_ids
from tuner.data.cells import Rows, class_numbers
from tuner.data.encoding import TOKENIZERS
from tuner.errors import DataError

_SEEN = (Split.TRAIN, Split.VALIDATION, Split.CONFIRMATION)


@dataclass(frozen=True, eq=False)
class UnseenRows:
    """Rows to measure on.

    Attributes:
        sequences: encoded with the data set's vocabulary.
        digests: one per sequence, from `text_digest`.
        clusters: `(n_sequences,)` int64, the same number where sequences share a text or a group.
        left_out: rows that the run has seen, or that are no test rows.
        of_test_split: rows of a file that are in the run's own test split.
    """

    sequences: EncodedSequences
    digests: Sequence[bytes]
    clusters: NDArray[np.int64]
    left_out: int
    of_test_split: int = 0

    @property
    def labels(self) -> NDArray[np.int32]:
        """`(n_sequences,)` int32, the classes' numbers."""
        return self.sequences.labels


def unseen_of_split(dataset: Dataset, digests: Mapping[Split, Sequence[bytes]]) -> UnseenRows:
    """The rows of the run's own test split that are in no other split.

    Args:
        digests: of all splits, from `text_digests`.

    Raises:
        DataError: the run has seen all of them.
    """
    test = dataset.splits[Split.TEST]
    kept = np.flatnonzero(~_is_in(digests[Split.TEST], digests, _SEEN))
    if not len(kept):
        raise DataError(
            f"{dataset.name}: every text of its test split is also in another split; give rows of other texts "
            "with --data, or correct its split column"
        )
    chosen = [digests[Split.TEST][row] for row in kept.tolist()]
    clusters = dataset.clusters_of(Split.TEST)[kept]
    return UnseenRows(test.only(kept), chosen, clusters, left_out=len(test) - len(kept))


def unseen_of_file(
    rows: Rows, dataset: Dataset, digests: Mapping[Split, Sequence[bytes]]
) -> UnseenRows:
    """The rows of another source that the run has not seen. Of one that has splits of its own, only its test rows.

    Raises:
        DataError: the run has seen all of them, or one has a class that the data set has not.
    """
    cut = TOKENIZERS[dataset.token_mode]
    tokens = [cut(text) for text in rows.texts]
    own = [text_digest(each) for each in tokens]
    is_new = ~_is_in(own, digests, _SEEN)
    if rows.given is not None and Split.TEST in rows.given:
        is_new &= np.array([split is Split.TEST for split in rows.given], dtype=bool)
    kept = np.flatnonzero(is_new)
    if not len(kept):
        raise DataError(
            f"{rows.where}: the run has learned from, or been chosen by, every row of it; name rows "
            "that it has not seen"
        )
    labels = class_numbers(
        [rows.labels[row] for row in kept.tolist()], dataset.class_names, rows.where
    )
    encoded = encode_known((tokens[row] for row in kept.tolist()), token_ids(dataset.vocabulary))
    chosen = [own[row] for row in kept.tolist()]
    return UnseenRows(
        EncodedSequences(encoded.tokens, encoded.offsets, labels),
        chosen,
        np.unique(chosen, return_inverse=True)[1].astype(np.int64),
        left_out=len(rows.texts) - len(kept),
        of_test_split=int(_is_in(chosen, digests, [Split.TEST]).sum()),
    )


def _is_in(
    texts: Sequence[bytes], digests: Mapping[Split, Sequence[bytes]], splits: Sequence[Split]
) -> NDArray[np.bool_]:
    """`(n_texts,)`: True where one of these splits holds a row of the same tokens."""
    held = frozenset[bytes]().union(*(digests[split] for split in splits))
    return np.array([text in held for text in texts], dtype=bool)
