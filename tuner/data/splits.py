"""Assigns rows to splits by a seeded hash of their tokens, per class, whatever the order of the file.

Rows with the same tokens share a split, so that no copy of a training text is in a split carved from it. In the
code, a *text* is a distinct token sequence, a *row* one of its copies.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Split
from tuner.errors import DataError
from tuner.text import excerpt

CODES = {split: code for code, split in enumerate(Split)}  # how splits are written in arrays
_CARVED = (Split.VALIDATION, Split.CONFIRMATION, Split.TEST)


def hash_keys(digests: Sequence[bytes], seed: int) -> NDArray[np.uint64]:
    """`(n_texts,)` uint64: the random order of texts that `seed` stands for."""
    prefix = f"{seed}:".encode()
    hashes = b"".join(
        hashlib.blake2b(prefix + digest, digest_size=8).digest() for digest in digests
    )
    return np.frombuffer(hashes, dtype=">u8").astype(np.uint64)


def sample_rows(
    strata: NDArray[np.int64], keys: NDArray[np.uint64], size: int
) -> NDArray[np.int64]:
    """Rows of a sample of `size`, from each stratum in proportion, those of the lowest keys; all if fewer.

    Args:
        strata: `(n_rows,)` int64, rows that are alike.
        keys: `(n_rows,)` uint64, from `hash_keys`.
    """
    if size >= len(strata):
        return np.arange(len(strata))
    _, stratum, available = np.unique(strata, return_inverse=True, return_counts=True)
    exact = available * (size / len(strata))
    quota = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(quota - exact, kind="stable")
    quota[largest_remainders[: size - int(quota.sum())]] += 1
    order = np.lexsort((keys, stratum))
    place = np.arange(len(order)) - (np.cumsum(available) - available)[stratum[order]]
    chosen: NDArray[np.int64] = order[place < quota[stratum[order]]]
    return chosen


def assign_splits(
    texts: NDArray[np.int64],
    labels: NDArray[np.int32],
    given: NDArray[np.int8],
    keys: NDArray[np.uint64],
    class_names: Sequence[str],
    where: str,
) -> NDArray[np.int8]:
    """The split of each row, as a code of `CODES`.

    Given splits stay. Each split that no row is given is carved out of the training rows: a tenth of the
    distinct texts of every class, and at least one.

    Args:
        texts: `(n_rows,)` int64, index into `keys`.
        labels: `(n_rows,)` int32.
        given: `(n_rows,)` int8, codes; all TRAIN where the source gives none.
        keys: `(n_texts,)` uint64, from `hash_keys`.

    Raises:
        DataError: a class with fewer distinct texts than splits.
    """
    missing = [split for split in _CARVED if CODES[split] not in given]
    is_train = given == CODES[Split.TRAIN]
    text_class = _majority(texts[is_train], labels[is_train], len(keys))
    split_of_text = np.full(len(keys), CODES[Split.TRAIN], dtype=np.int8)
    for label, name in enumerate(class_names):
        members = np.flatnonzero(text_class == label)
        if len(members) < len(missing) + 1:
            raise DataError.at(where, _too_few(name, len(members), len(missing) + 1))
        members = members[np.argsort(keys[members])]
        tenth = max(1, (len(members) + 5) // 10)
        for place, split in enumerate(missing):
            split_of_text[members[place * tenth : (place + 1) * tenth]] = CODES[split]
    return np.where(is_train, split_of_text[texts], given)


def _majority(
    texts: NDArray[np.int64], labels: NDArray[np.int32], n_texts: int
) -> NDArray[np.int64]:
    """`(n_texts,)` int64: the label that most rows of a text have, the first of equals; -1 without rows."""
    n_classes = int(labels.max(initial=0)) + 1
    pairs, rows = np.unique(texts * n_classes + labels, return_counts=True)
    order = np.lexsort((pairs, -rows, pairs // n_classes))
    seen, first = np.unique(pairs[order] // n_classes, return_index=True)
    majority = np.full(n_texts, -1, dtype=np.int64)
    majority[seen] = pairs[order][first] % n_classes
    return majority


def _too_few(name: str, found: int, needed: int) -> str:
    return (
        f"class {excerpt(name)} has {found} distinct texts to train on and needs {needed}, one for each split; "
        "add rows of it, raise --sample where there is one, or leave the class out"
    )
