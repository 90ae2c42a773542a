"""Which labelled rows a run has not seen: what it learned from, or was chosen by, tests nothing."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tuner.data import Dataset, EncodedSequences, Split, encode_known, token_ids
from tuner.data.cells import Rows
from tuner.data.encoding import TOKENIZERS


def unseen(rows: Rows, dataset: Dataset) -> NDArray[np.bool_]:
    """`(n_rows,)`: True where training, validation and confirmation split hold no row of the same tokens.

    Of a source that has splits of its own, only its test rows.
    """
    is_new = ~in_splits(rows, dataset, [Split.TRAIN, Split.VALIDATION, Split.CONFIRMATION])
    if rows.given is not None and Split.TEST in rows.given:
        is_new &= np.array([split is Split.TEST for split in rows.given], dtype=bool)
    return is_new


def in_splits(rows: Rows, dataset: Dataset, splits: Iterable[Split]) -> NDArray[np.bool_]:
    """`(n_rows,)`: True where one of these splits holds a row of the same tokens."""
    cut = TOKENIZERS[dataset.token_mode]
    theirs = encode_known(map(cut, rows.texts), token_ids(dataset.vocabulary))
    held = {digest for split in splits for digest in _digests(dataset.splits[split])}
    return np.array([digest in held for digest in _digests(theirs)], dtype=bool)


def _digests(sequences: EncodedSequences) -> Iterator[bytes]:
    tokens, offsets = sequences.tokens, sequences.offsets
    for start, end in pairwise(offsets):
        yield hashlib.blake2b(tokens[start:end].tobytes(), digest_size=16).digest()
