"""Counts and samples of the rows that are prepared: copies, contradictions, leaks, and a few rows to read."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.data.cells import Rows
from tuner.data.dataset import Split
from tuner.data.encoding import Tokenized

_SAMPLES_PER_CLASS, _LONGEST_SAMPLE = 2, 300


@dataclass(frozen=True)
class SampleRow:
    """A row to read: the beginning of its text, on one line."""

    text: str
    label: str


@dataclass(frozen=True)
class Findings:
    """Counts over the rows that are used, after sampling.

    Attributes:
        rows_available: rows of the source, before sampling.
        duplicates: rows with the same tokens as an earlier row.
        conflicting: distinct texts that have more than one label.
        leaked: rows of other splits whose text is also a training text; only given splits can have them.
        samples: a few training rows of each class.
    """

    rows_available: int
    duplicates: int
    conflicting: int
    leaked: int
    samples: tuple[SampleRow, ...]


def findings_of(
    rows: Rows,
    labels: NDArray[np.int32],
    tokenized: Tokenized,
    chosen: Mapping[Split, NDArray[np.int64]],
) -> Findings:
    """The findings in the rows of the splits.

    Args:
        labels: `(n_rows,)` int32.
        chosen: for each split `(n_sequences,)` int64, index into the rows.
    """
    used = np.concatenate(list(chosen.values()))
    texts = tokenized.texts[used]
    distinct = len(np.unique(texts))
    labelled = len(np.unique(np.stack((texts, labels[used])), axis=1).T)
    trained = tokenized.texts[chosen[Split.TRAIN]]
    others = np.concatenate([chosen[split] for split in Split if split != Split.TRAIN])
    return Findings(
        rows_available=len(rows.texts),
        duplicates=len(used) - distinct,
        conflicting=labelled - distinct,
        leaked=int(np.isin(tokenized.texts[others], trained).sum()),
        samples=_samples(rows, labels, chosen[Split.TRAIN]),
    )


def _samples(
    rows: Rows, labels: NDArray[np.int32], trained: NDArray[np.int64]
) -> tuple[SampleRow, ...]:
    shown = [
        int(row)
        for label in np.unique(labels[trained])[:10]
        for row in trained[labels[trained] == label][:_SAMPLES_PER_CLASS]
    ]
    return tuple(SampleRow(_shortened(rows.texts[row]), rows.labels[row]) for row in shown)


def _shortened(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _LONGEST_SAMPLE else f"{one_line[:_LONGEST_SAMPLE]}…"
