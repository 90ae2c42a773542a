"""What was seen while a data set was prepared, and is worth telling the person whose data it is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleRow:
    """A row to look at: the beginning of its text, on one line."""

    text: str
    label: str


@dataclass(frozen=True)
class Findings:
    """Counts over the rows that are used, after sampling.

    Attributes:
        rows_available: rows of the source, before sampling.
        duplicates: rows whose tokens another row had before.
        conflicting: distinct texts that have more than one label.
        leaked: rows of other splits whose text is also a training text; only given splits can have them.
        samples: a few training rows of each class.
    """

    rows_available: int
    duplicates: int
    conflicting: int
    leaked: int
    samples: tuple[SampleRow, ...]
