"""Counts and samples of the rows that are prepared: copies, contradictions, leaks, and a few rows to read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.cells import Rows, alike
from tuner.data.dataset import Split
from tuner.data.encoding import Tokenized
from tuner.settings.data import TokenMode
from tuner.text import count_text, excerpt, quoted_names

_SAMPLES_PER_CLASS, _LONGEST_SAMPLE = 2, 300
_SHOWN_CONTRADICTIONS = 3
_BEGINNING = {TokenMode.WORDS: 8, TokenMode.SYMBOLS: 8, TokenMode.CHARACTERS: 32}  # tokens
_MANY = 0.2  # the share of texts that begin alike from which a person is warned
_MANY_JOINED = (
    0.1  # the share of rows whose groups texts join; a split carved from the others has no more
)


@dataclass(frozen=True)
class SampleRow:
    """A row to read: the beginning of its text, on one line."""

    text: str
    label: str


@dataclass(frozen=True)
class Contradiction:
    """A text with more than one label: its beginning, on one line."""

    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """Counts over the rows that are used, after sampling.

    Attributes:
        rows_available: rows of the source, before sampling.
        duplicates: rows with the same tokens as an earlier row.
        conflicting: distinct texts that have more than one label.
        leaked: rows of other splits whose text is also a training text; only given splits can have them.
        samples: a few training rows of each class.
        contradictions: a few texts with more than one label.
        warnings: what a person should know before a search, one sentence or more each, without the source's name.
    """

    rows_available: int
    duplicates: int
    conflicting: int
    leaked: int
    samples: tuple[SampleRow, ...]
    contradictions: tuple[Contradiction, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any]) -> "Findings":
        """The inverse of `dataclasses.asdict`, also after JSON."""
        return cls(
            **{
                **notes,
                "samples": tuple(SampleRow(**row) for row in notes["samples"]),
                "contradictions": tuple(
                    Contradiction(each["text"], tuple(each["labels"]))
                    for each in notes["contradictions"]
                ),
                "warnings": tuple(notes["warnings"]),
            }
        )


def findings_of(
    rows: Rows,
    labels: NDArray[np.int32],
    class_names: Sequence[str],
    tokenized: Tokenized,
    chosen: Mapping[Split, NDArray[np.int64]],
    clusters: Mapping[Split, NDArray[np.int64]],
    left_out: Sequence[str] = (),
) -> Findings:
    """The findings in the rows of the splits.

    Args:
        labels: `(n_rows,)` int32.
        chosen: for each split `(n_sequences,)` int64, index into the rows.
        clusters: see `Dataset.clusters`.
        left_out: classes that are in none of them.
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
        contradictions=_contradictions(rows, labels, class_names, texts, used),
        warnings=(
            *rows.warnings,
            *map(_alike_text, alike(class_names)),
            *([_left_out_text(left_out)] if left_out else []),
            *(
                _shared_beginnings(rows.tokens, tokenized, used)
                if rows.groups is None
                else _joined_groups(rows, rows.groups, texts, chosen, clusters)
            ),
        ),
    )


def _left_out_text(names: Sequence[str]) -> str:
    return f"{count_text(len(names), 'class', 'classes')} with too few texts left out: {quoted_names(names)}"


def _shared_beginnings(mode: TokenMode, tokenized: Tokenized, used: NDArray[np.int64]) -> list[str]:
    """A warning where many texts begin as others do: they are perhaps of one film, patient or author."""
    length = _BEGINNING[mode]
    _, first = np.unique(tokenized.texts[used], return_index=True)  # a row of each text
    starts, ends = tokenized.offsets[used[first]], tokenized.offsets[used[first] + 1]
    starts = starts[ends - starts >= length]
    if not len(starts):
        return []
    mixed = np.zeros(len(starts), np.uint64)
    for place in range(length):  # FNV's prime; a collision is a text too many in a warning
        mixed = (mixed ^ tokenized.ids[starts + place].astype(np.uint64)) * np.uint64(1099511628211)
    _, number, counts = np.unique(mixed, return_inverse=True, return_counts=True)
    shared = int((counts[number] > 1).sum())
    if shared < _MANY * len(first):
        return []
    unit = "characters" if mode is TokenMode.CHARACTERS else "tokens"
    return [
        f"{shared:,} of {len(first):,} texts begin with the same {length} {unit} as another one; if such texts belong "
        "together, figures flatter unless they share a split: name a column that tells them apart with --group-column"
    ]


def _joined_groups(
    rows: Rows,
    groups: Sequence[str],
    texts: NDArray[np.int64],
    chosen: Mapping[Split, NDArray[np.int64]],
    clusters: Mapping[Split, NDArray[np.int64]],
) -> list[str]:
    """A warning where texts that occur in several groups join so many of them that the splits get other sizes.

    Args:
        groups: of all rows.
        texts: `(n_used,)` int64, of the rows of all splits, split by split.
    """
    used = np.concatenate(list(chosen.values()))
    cluster = np.concatenate([clusters[split] for split in chosen])
    _, group = np.unique(np.array(groups, dtype=object)[used], return_inverse=True)
    largest = cluster == np.bincount(cluster).argmax()
    sizes = np.bincount(group[largest])
    n_joined = int((sizes > 0).sum())
    if int(largest.sum() - sizes.max()) <= _MANY_JOINED * len(used):
        return []
    pairs = np.unique(np.stack((texts[largest], group[largest])), axis=1)
    common = int(np.bincount(pairs[0]).argmax())
    example = rows.texts[used[np.flatnonzero(texts == common)[0]]]
    counts = ", ".join(f"{len(numbers):,} {split}" for split, numbers in chosen.items())
    return [
        f"{n_joined:,} of {int(group.max()) + 1:,} groups share a split, because texts such as {excerpt(example)} are "
        f"in several of them; the splits have {counts} rows. If such texts tell nothing of a group, remove their rows"
    ]


def _alike_text(names: Sequence[str]) -> str:
    return (
        f"classes {quoted_names(names)} look alike; if they are one class, write their labels alike"
    )


def _contradictions(
    rows: Rows,
    labels: NDArray[np.int32],
    class_names: Sequence[str],
    texts: NDArray[np.int64],
    used: NDArray[np.int64],
) -> tuple[Contradiction, ...]:
    """The first texts, in the order of the source, with more than one label."""
    pairs = np.unique(np.stack((texts, labels[used])), axis=1)
    numbers, counts = np.unique(pairs[0], return_counts=True)
    is_among = np.isin(texts, numbers[counts > 1])
    rows_of: defaultdict[int, list[int]] = defaultdict(list)
    for row, text in sorted(zip(used[is_among].tolist(), texts[is_among].tolist(), strict=True)):
        rows_of[text].append(row)
    return tuple(
        Contradiction(
            _shortened(rows.texts[same[0]]),
            tuple(dict.fromkeys(class_names[labels[row]] for row in same)),
        )
        for same in list(rows_of.values())[:_SHOWN_CONTRADICTIONS]
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
