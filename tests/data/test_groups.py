"""How few groups are shared out: training keeps its share, and splits have the classes that it can spare."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tuner.data import Split
from tuner.data.splits import CODES, assign_groups, hash_keys


def _split_groups(
    rows_of_groups: list[int], n_classes: int, seed: int, *, pure: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Labels and splits of so many rows per group, whose classes are mixed in each group, or one per group."""
    groups = np.repeat(np.arange(len(rows_of_groups)), rows_of_groups)
    numbers = groups if pure else np.arange(len(groups))
    labels = (numbers % n_classes).astype(np.int32)
    keys = hash_keys([b"%d" % number for number in range(len(groups))], seed)
    given = np.zeros(len(groups), dtype=np.int8)
    names = [str(label) for label in range(n_classes)]
    return labels, assign_groups(groups, labels, given, keys, names, "rows")


@given(
    rows=st.lists(st.integers(4, 12), min_size=20, max_size=60),
    n_classes=st.integers(2, 4),
    seed=st.integers(0, 9),
)
def test_few_groups_leave_seven_tenths_to_train_on(
    rows: list[int], n_classes: int, seed: int
) -> None:
    labels, split = _split_groups(rows, n_classes, seed)
    size, largest = len(split), max(rows)
    for part in Split:
        share = 0.7 if part is Split.TRAIN else 0.1
        off = abs(int((split == CODES[part]).sum()) - share * size)
        assert off <= (2 if part is Split.TRAIN else 1) * largest
        assert set(labels[split == CODES[part]]) == set(range(n_classes))


@pytest.mark.parametrize(
    ("n_groups", "n_classes", "pure", "sizes_in_groups"),
    [
        (20, 5, False, [14, 2, 2, 2]),
        (7, 2, False, [4, 1, 1, 1]),
        (100, 10, True, [70, 10, 10, 10]),
        (12, 2, True, [6, 2, 2, 2]),  # both classes in each split
        (20, 5, True, [11, 3, 3, 3]),  # not all of them in each: training keeps half
        (20, 10, True, [14, 2, 2, 2]),  # two groups of a class are too few for all splits
    ],
)
def test_a_split_has_each_class_where_training_can_spare_it(
    n_groups: int, n_classes: int, pure: bool, sizes_in_groups: list[int]
) -> None:
    for seed in range(3):
        labels, split = _split_groups([15] * n_groups, n_classes, seed, pure=pure)
        assert (np.bincount(split) / 15).tolist() == sizes_in_groups
        assert set(labels[split == CODES[Split.TRAIN]]) == set(range(n_classes))


def test_a_large_group_is_trained_on() -> None:
    for seed in range(5):
        _, split = _split_groups([60, *[4] * 40], 2, seed)
        assert set(split[:60]) == {CODES[Split.TRAIN]}
        assert all(20 <= rows <= 24 for rows in np.bincount(split)[1:])
