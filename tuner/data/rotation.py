"""Rotating validation: the training and validation rows in parts, which validate the trials of a search by turns.

A trial learns from all rows but those of its part, so the trials that are averaged have learned from more rows between
them than any one of them has (as bagging by folds does, Breiman, 1996; what it is worth is in docs/measurements.md).
Part 0 is the validation split as it is; rows of the training split are dealt to the others. Must not import pandas.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Dataset, EncodedSequences, Split, joined

# With tuner's own splits, which train on seven tenths and validate on one. More parts would gain little, and trials
# that share one are compared on the same rows.
MOST_PARTS = 8


def parts_of(dataset: Dataset) -> NDArray[np.int32]:
    """The part of every row of the training split: `(n_train,)` int32, from 1 on; 0 where it validates no trial.

    Parts are about as large as the validation split, and each has rows of every class that is in there, so there are
    fewer where a class has few texts. Sequences that share a text or a group share a part. Those of a group that is
    larger than the validation split, that is in both splits, or that has a class which the validation split lacks, are
    always learned from. All are 0 where not even one part of half the validation split's size can be made. It follows
    from the data alone, whatever the order of the file.
    """
    train, validation = dataset.splits[Split.TRAIN], dataset.splits[Split.VALIDATION]
    names, first, cluster, sizes = np.unique(
        dataset.clusters_of(Split.TRAIN), return_index=True, return_inverse=True, return_counts=True
    )
    lacking = np.bincount(cluster, ~np.isin(train.labels, validation.labels), len(names))
    is_in_both = np.isin(names, dataset.clusters_of(Split.VALIDATION))
    may_validate = (lacking == 0) & ~is_in_both & (sizes <= len(validation))
    classes = []
    for label in np.unique(validation.labels):
        having, rows = np.unique(cluster[train.labels == label], return_counts=True)
        # Rows are in an order by hash, so that the first row of a cluster gives a random order of these.
        random = np.argsort(first[having])
        kept = random[may_validate[having[random]]]
        n_per_part = int(rows.sum()) * len(validation) / len(train)
        classes.append(_Class(having[kept], rows[kept], n_per_part))
    classes.sort(key=lambda each: len(each.clusters))  # the rarest one chooses first
    # 0: all together have fewer rows than half of the validation split.
    fit = int(sizes[may_validate].sum() / len(validation) + 0.5)
    for count in range(min(fit, MOST_PARTS - 1, len(classes[0].clusters)), 0, -1):
        of_cluster = _deal(classes, len(names), count, every=count == fit)
        all_parts = np.arange(1, count + 1)
        if all(np.isin(all_parts, of_cluster[each.clusters]).all() for each in classes):
            return of_cluster[cluster]
    return np.zeros(len(train), np.int32)


@dataclass(frozen=True)
class _Class:
    """The clusters that may validate and have rows of a class, in random order."""

    clusters: NDArray[np.int64]
    rows: NDArray[np.int64]  # of the class, in each of them
    n_per_part: float  # rows of it in a part of the validation split's size


def _deal(
    classes: Sequence[_Class], n_clusters: int, count: int, *, every: bool
) -> NDArray[np.int32]:
    """The part of every cluster, `(n_clusters,)`, from 1 to `count`; 0 where it has none.

    Args:
        every: whether every cluster is dealt, or as many as make parts of the validation split's size.
    """
    of_cluster = np.zeros(n_clusters, np.int32)
    turn = 0
    for each in classes:
        dealt = of_cluster[each.clusters]
        had = np.bincount(dealt, each.rows, count + 1)[1:]  # in clusters of rarer classes
        is_left = dealt == 0
        clusters, rows = each.clusters[is_left], each.rows[is_left]
        if not every:
            wanted = count * each.n_per_part - had.sum()
            n_wanted = int((np.cumsum(rows) - rows / 2 < wanted).sum())
            n_wanted = max(n_wanted, int((had == 0).sum()))
            clusters, rows = clusters[:n_wanted], rows[:n_wanted]
        # By the rows of the class that a part has; of equal ones the part whose turn it is.
        parts = [
            (int(had[part - 1]), place, part)
            for place, part in enumerate(1 + (turn + np.arange(count)) % count)
        ]
        heapq.heapify(parts)
        for place in np.argsort(-rows, kind="stable"):  # large ones first
            has, order, part = parts[0]
            heapq.heapreplace(parts, (has + int(rows[place]), order, part))
            of_cluster[clusters[place]] = part
        turn += len(clusters)
    return of_cluster


def rows_for(
    train: EncodedSequences, validation: EncodedSequences, parts: NDArray[np.int32], part: int
) -> tuple[EncodedSequences, EncodedSequences]:
    """What a trial learns from, and what validates it.

    Args:
        train, validation: the splits.
        parts: of the training split, from `parts_of`.
        part: the trial's; 0 is the validation split.
    """
    if part == 0:
        return train, validation
    is_held = parts == part
    rest, held = np.flatnonzero(~is_held), np.flatnonzero(is_held)
    return joined([train.only(rest), validation]), train.only(held)


def rotated(dataset: Dataset, part: int) -> Dataset:
    """The data set whose validation split is this part; its clusters are not known."""
    if part == 0:
        return dataset
    splits = dataset.splits
    train, validation = rows_for(
        splits[Split.TRAIN], splits[Split.VALIDATION], parts_of(dataset), part
    )
    by_turns = {Split.TRAIN: train, Split.VALIDATION: validation}
    return replace(dataset, splits={**splits, **by_turns}, clusters={})
