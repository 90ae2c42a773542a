"""Rotating validation: the training and validation rows in parts, each of which validates other trials.

A trial learns from all parts but its own, so that a search learns from every one of these rows, and the average of its
trials from more of them than any one has seen (as bagging by folds does, Breiman, 1996; what it is worth is in
docs/measurements.md). Part 0 is the validation split as it is; the training split is dealt to the others. Must not
import pandas.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import Dataset, EncodedSequences, Split, joined


def parts_of(dataset: Dataset) -> NDArray[np.int32]:
    """The part of every row of the training split: `(n_train,)` int32, from 1 on.

    Parts are about as large as the validation split and hold the classes in equal shares. Sequences that share a text
    or a group share a part. It follows from the data alone, whatever the order of the file.
    """
    train = dataset.splits[Split.TRAIN]
    _, first, cluster, sizes = np.unique(
        dataset.clusters_of(Split.TRAIN), return_index=True, return_inverse=True, return_counts=True
    )
    count = min(len(sizes), max(1, round(len(train) / len(dataset.splits[Split.VALIDATION]))))
    # By class, large ones first; equal ones by their first row: rows are in an order by hash.
    order = np.lexsort((first, -sizes, train.labels[first]))
    of_cluster = np.empty(len(sizes), np.int32)
    of_cluster[order] = 1 + np.arange(len(sizes)) % count
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
    return joined([train.only(np.flatnonzero(~is_held)), validation]), train.only(
        np.flatnonzero(is_held)
    )


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
