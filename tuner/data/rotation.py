"""Rotating validation: the training and validation rows in parts, which validate the trials of a search by turns.

A trial learns from all rows but those of its part, so the trials that are averaged have learned from more rows between
them than any one of them has (as bagging by folds does, Breiman, 1996; what it is worth is in docs/measurements.md).
Part 0 is the validation split as it is; rows of the training split are dealt to the others. Must not import pandas.
"""

import heapq
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Dataset, EncodedSequences, Split, joined

# With tuner's own splits, which train on seven tenths and validate on one. More parts would gain little, and trials
# that share one are compared on the same rows.
MOST_PARTS = 8


def parts_of(dataset: Dataset) -> NDArray[np.int32]:
    """The part of every row of the training split: `(n_train,)` int32, from 1 on; 0 where it validates no trial.

    Each part is about as large as the validation split and holds its classes in their shares, at least one text of
    each, so there are fewer parts where a class has few texts. Sequences that share a text or a group share a part.
    Those of a group larger than the validation split, of one that is in both splits, or of a class that the validation
    split lacks, are always learned from. All are 0 where no part can be made. It follows from the data alone,
    whatever the order of the file.
    """
    train, validation = dataset.splits[Split.TRAIN], dataset.splits[Split.VALIDATION]
    names, first, cluster, sizes = np.unique(
        dataset.clusters_of(Split.TRAIN), return_index=True, return_inverse=True, return_counts=True
    )
    classes = train.labels[first]
    may_validate = (
        ~np.isin(names, dataset.clusters_of(Split.VALIDATION))
        & np.isin(classes, validation.labels)
        & (sizes <= len(validation))
    )
    fewest = min(
        int((may_validate & (classes == each)).sum()) for each in np.unique(validation.labels)
    )
    fit = max(1, round(len(train) / len(validation)))
    count = min(fit, MOST_PARTS - 1, fewest)
    share = 1 / fit if count == fit else min(1.0, len(validation) / len(train))
    of_cluster = np.zeros(len(names), np.int32)
    dealt = 0
    for each in np.unique(validation.labels) if count else ():
        (members,) = np.nonzero(may_validate & (classes == each))
        quota = share * int((train.labels == each).sum())
        # The rows that each part has of this class; of equal ones the part whose turn it is.
        rows = [(0, turn, 1 + (dealt + turn) % count) for turn in range(count)]
        # Large ones first; equal ones by their first row: rows are in an order by hash.
        for member in members[np.lexsort((first[members], -sizes[members]))]:
            had, turn, part = rows[0]
            if had >= quota:
                break
            heapq.heapreplace(rows, (had + int(sizes[member]), turn, part))
            of_cluster[member] = part
            dealt += 1
    return of_cluster[cluster]


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
    """The data set whose validation split is this part."""
    if part == 0:
        return dataset
    parts = parts_of(dataset)
    splits, clusters = dataset.splits, dataset.clusters_of(Split.TRAIN)
    train, validation = rows_for(splits[Split.TRAIN], splits[Split.VALIDATION], parts, part)
    is_held = parts == part
    return replace(
        dataset,
        splits={**splits, Split.TRAIN: train, Split.VALIDATION: validation},
        clusters={
            **dataset.clusters,
            Split.TRAIN: np.concatenate(
                [clusters[~is_held], dataset.clusters_of(Split.VALIDATION)]
            ),
            Split.VALIDATION: clusters[is_held],
        },
    )
