"""Assigns rows to splits by a seeded hash of their tokens, per class, whatever the order of the file.

Rows with the same tokens share a split, so that no copy of a training text is in a split carved from it. In the
code, a *text* is a distinct token sequence, a *row* one of its copies.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Split
from tuner.data.groups import part_of_units
from tuner.errors import DataError
from tuner.settings.data import SplitRule
from tuner.text import excerpt

CODES = {split: code for code, split in enumerate(Split)}  # how splits are written in arrays
_CARVED = (Split.VALIDATION, Split.CONFIRMATION, Split.TEST)


def hash_keys(digests: Sequence[bytes], seed: int, use: str = "") -> NDArray[np.uint64]:
    """`(n_texts,)` uint64: the random order of texts that `seed` stands for, another one for every `use`."""
    prefix = f"{use}{seed}:".encode()
    hashes = b"".join(
        hashlib.blake2b(prefix + digest, digest_size=8).digest() for digest in digests
    )
    return np.frombuffer(hashes, dtype=">u8").astype(np.uint64)


def sample_rows(
    strata: NDArray[np.int64], keys: NDArray[np.uint64], size: int, least: int = 0
) -> NDArray[np.int64]:
    """Rows of a sample of `size`, from each stratum in proportion, those of the lowest keys; all if fewer.

    Args:
        strata: `(n_rows,)` int64, rows that are alike.
        keys: `(n_rows,)` uint64, from `hash_keys`.
        least: so many rows at least from each stratum; `size` must have place for them.
    """
    if size >= len(strata):
        return np.arange(len(strata))
    _, stratum, available = np.unique(strata, return_inverse=True, return_counts=True)
    exact = available * (size / len(strata))
    quota = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(quota - exact, kind="stable")
    quota[largest_remainders[: size - int(quota.sum())]] += 1
    quota = np.maximum(quota, least)
    while (excess := int(quota.sum()) - size) > 0:
        largest = int(quota.argmax())
        quota[largest] -= min(excess, max(1, int(quota[largest]) // 10))
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
    missing = _missing(given)
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


def too_few(
    texts: NDArray[np.int64], labels: NDArray[np.int32], given: NDArray[np.int8], n_classes: int
) -> list[int]:
    """The classes that `assign_splits` would refuse, by number."""
    is_train = given == CODES[Split.TRAIN]
    text_class = _majority(texts[is_train], labels[is_train], int(texts.max(initial=-1)) + 1)
    counts = np.bincount(text_class[text_class >= 0], minlength=n_classes)
    present = np.unique(labels)
    return [int(each) for each in present if counts[each] < len(_missing(given)) + 1]


def _missing(given: NDArray[np.int8]) -> list[Split]:
    """The splits that have to be carved out of the training rows."""
    return [split for split in _CARVED if CODES[split] not in given]


def assign_groups(
    units: NDArray[np.int64],
    labels: NDArray[np.int32],
    given: NDArray[np.int8],
    keys: NDArray[np.uint64],
    class_names: Sequence[str],
    where: str,
    rule: SplitRule = SplitRule.GROUPS_IN_PROPORTION,
) -> NDArray[np.int8]:
    """As `assign_splits`, but rows of one unit share a split.

    Each split that no row is given gets about a tenth of the rows; see `part_of_units`, and for earlier rules `_carve`.

    Args:
        units: `(n_rows,)` int64, from `units_of`.
        keys: `(n_rows,)` uint64, from `hash_keys`.
        rule: which one the run began with.

    Raises:
        DataError: too few units, or a class that is not in the training split.
    """
    missing = _missing(given)
    is_train = given == CODES[Split.TRAIN]
    n_units = int(units.max(initial=-1)) + 1
    unit_keys = np.full(n_units, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(unit_keys, units, keys)
    sizes = np.bincount(units[is_train], minlength=n_units)
    unit_class = _majority(units[is_train], labels[is_train], n_units)
    if rule is SplitRule.GROUPS_IN_PROPORTION:
        parts = part_of_units(
            units[is_train], labels[is_train], unit_class, unit_keys, len(missing)
        )
        codes = [CODES[split] for split in (*missing, Split.TRAIN)]  # the last one is of part -1
        split_of_unit = np.array(codes, dtype=np.int8)[parts]
    else:
        split_of_unit = _carve_classes(unit_class, sizes, unit_keys, missing, len(class_names))
    split = np.where(is_train, split_of_unit[units], given)
    for part in (Split.TRAIN, *missing):
        if CODES[part] not in split:
            raise DataError.at(
                where,
                f"{int((sizes > 0).sum())} groups are too few for {len(missing) + 1} splits; add rows of others, or "
                "leave --group-column out",
            )
    untrained = np.setdiff1d(labels, labels[split == CODES[Split.TRAIN]])
    if len(untrained):
        raise DataError.at(
            where,
            f"class {excerpt(class_names[untrained[0]])} is in groups of other splits than training alone; add rows "
            "of it in other groups, or leave the class out",
        )
    return split


def _carve_classes(
    unit_class: NDArray[np.int64],
    sizes: NDArray[np.int64],
    keys: NDArray[np.uint64],
    missing: Sequence[Split],
    n_classes: int,
) -> NDArray[np.int8]:
    """`(n_units,)` int8, the splits of units by the earlier rules, which give each split whole units of every class.

    A class that is the most frequent one of few units counts together with others like it.
    """
    frequent = np.bincount(unit_class[unit_class >= 0], minlength=n_classes)
    is_rare = (frequent <= len(missing))[np.maximum(unit_class, 0)]
    stratum = np.where(unit_class < 0, -1, np.where(is_rare, n_classes, unit_class))
    split_of_unit = np.full(len(keys), CODES[Split.TRAIN], dtype=np.int8)
    for number in np.unique(stratum[stratum >= 0]):
        members = np.flatnonzero(stratum == number)
        _carve(members, sizes, keys, missing, split_of_unit)
    return split_of_unit


def _carve(
    members: NDArray[np.int64],
    sizes: NDArray[np.int64],
    keys: NDArray[np.uint64],
    missing: Sequence[Split],
    split_of_unit: NDArray[np.int8],
) -> None:
    """Gives each missing split units with about a tenth of the rows, in the order of their keys, large ones last."""
    tenth = max(1, int(sizes[members].sum() + 5) // 10)
    order = members[np.lexsort((keys[members], sizes[members] > tenth))].tolist()
    for place, split in enumerate(missing):
        filled = 0
        while filled < tenth and len(order) > len(missing) - place:
            unit = order.pop(0)
            split_of_unit[unit] = CODES[split]
            filled += int(sizes[unit])


def units_of(texts: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(n_rows,)` int64: rows that share a text or a group, also through other rows, have the same number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_texts = int(texts.max(initial=-1)) + 1
    size = n_texts + int(groups.max(initial=-1)) + 1
    edges = coo_array((np.ones(len(texts), np.int8), (texts, n_texts + groups)), (size, size))
    _, numbers = connected_components(edges, directed=False)
    _, units = np.unique(numbers[texts], return_inverse=True)
    return units.astype(np.int64)


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
        "add rows of it, or leave such classes out with --leave-out-rare"
    )
