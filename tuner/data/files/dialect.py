"""The dialect of a delimited file, from its first lines: the delimiter, and how texts are quoted."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}


class _Escapes(Enum):
    """The characters that a backslash escapes."""

    NOTHING = auto()  # quotes are written twice
    QUOTES = auto()  # as R's write.table and Spark write
    BACKSLASHES_TOO = auto()  # as Python's csv and MySQL write


class Surplus(Enum):
    """The cell that every row has more than the first line."""

    NOTHING = auto()
    ROW_NAME = auto()  # the first one, as R's write.table writes it
    AFTER_THE_LAST = auto()  # an empty one: rows end with a delimiter, and the first line does not


@dataclass(frozen=True)
class Dialect:
    """How cells are separated and quoted."""

    delimiter: str
    skips_blanks: bool = False  # after a delimiter, where quotes follow them
    escapes: _Escapes = _Escapes.NOTHING
    surplus: Surplus = Surplus.NOTHING

    @property
    def delimiters(self) -> str:
        """The delimiters' name in messages."""
        return _DELIMITERS.get(self.delimiter, repr(self.delimiter))

    def reader(self, lines: Iterable[str]) -> Any:
        """The standard library's reader of these lines."""
        if self.escapes is _Escapes.QUOTES:
            lines = (line.replace('\\"', '""') for line in lines)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            escapechar="\\" if self.escapes is _Escapes.BACKSLASHES_TOO else None,
            skipinitialspace=self.skips_blanks,
            strict=True,
        )


def dialect_of(sample: list[str], is_whole: bool, default: str) -> Dialect:
    """The dialect of the first lines.

    The default delimiter stays if it gives every row as many cells as the header, and more than one. Otherwise another
    delimiter is taken if it does that, or if the header and most rows show it.

    Args:
        sample: lines, beginning with the header.
        is_whole: whether they are the whole file.
    """
    own = _attempt(sample, is_whole, default)
    if own.fits and own.width > 1:
        return own.dialect
    others = [
        attempt
        for delimiter in _DELIMITERS
        if delimiter != default and (attempt := _attempt(sample, is_whole, delimiter)).width > 1
    ]
    fitting = [attempt for attempt in others if attempt.fits and len(attempt.rows) > 1]
    if fitting:
        return max(fitting, key=lambda attempt: attempt.width).dialect
    for attempt in (own, *others):
        if attempt.surplus is not Surplus.NOTHING:  # its rows are refused, in words that fit
            return replace(attempt.dialect, surplus=attempt.surplus)
    if own.width == 1 and not own.fits and others:
        best = max(others, key=lambda attempt: attempt.agreement)
        if best.agreement > 0.5:  # a few of its rows are broken, and are refused with their lines
            return best.dialect
    return own.dialect


def dialect_with(delimiter: str, sample: list[str], is_whole: bool) -> Dialect:
    """The dialect of the first lines, whose delimiter is known."""
    attempt = _attempt(sample, is_whole, delimiter)
    return replace(attempt.dialect, surplus=attempt.surplus)


def is_blank(row: Sequence[str], line: str) -> bool:
    """Whether the row, which ends on `line`, is nothing but white space; quoted white space is a cell."""
    return not row or (len(row) == 1 and line.isspace())


@dataclass(frozen=True)
class _Attempt:
    """The first lines, read by a dialect."""

    dialect: Dialect
    rows: list[list[str]]  # the header first; as far as they can be read
    is_broken: bool

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.rows[0]) if self.rows else 0

    @property
    def agreement(self) -> float:
        """The share of rows with as many cells as there are columns."""
        rows = self.rows[1:]
        return sum(len(row) == self.width for row in rows) / len(rows) if rows else 1.0

    @property
    def surplus(self) -> Surplus:
        """Which cell makes every row one longer than the first line."""
        rows = self.rows[1:]
        has_one_more = len(rows) > 1 and all(len(row) == self.width + 1 for row in rows)
        if not has_one_more or self.width < 2 or self.is_broken:
            return Surplus.NOTHING
        are_empty = all(not row[-1].strip() for row in rows)
        return Surplus.AFTER_THE_LAST if are_empty else Surplus.ROW_NAME

    @property
    def fits(self) -> bool:
        """Whether every row can be read and has as many cells as there are columns."""
        return self.agreement == 1.0 and not self.is_broken


def _attempt(sample: list[str], is_whole: bool, delimiter: str) -> _Attempt:
    """The sample by a delimiter; blanks before opening quotes are skipped if they are written so."""
    plain = _read(sample, is_whole, Dialect(delimiter))
    spaced = _read(sample, is_whole, Dialect(delimiter, skips_blanks=True))
    if not plain.fits:
        if spaced.fits:
            return spaced
        escaped = _read(sample, is_whole, Dialect(delimiter, escapes=_escapes(sample)))
        return escaped if escaped.fits else plain
    # Of `a, "b"` the one makes ` "b"`, the other `b`; of `a,  b` they differ in blanks alone.
    without_blanks = [[cell.lstrip(" ") for cell in row] for row in plain.rows]
    differ = without_blanks != [[cell.lstrip(" ") for cell in row] for row in spaced.rows]
    return spaced if differ and spaced.fits and len(spaced.rows) == len(plain.rows) else plain


def _escapes(sample: list[str]) -> _Escapes:
    """The characters that backslashes escape in these lines; a backslash that escapes nothing belongs to the text."""
    text = "".join(sample)
    if '\\"' not in text:
        return _Escapes.NOTHING
    escaped = {pair[1] for pair in re.findall(r"\\.", text, re.DOTALL)}
    return _Escapes.BACKSLASHES_TOO if escaped == {'"', "\\"} else _Escapes.QUOTES


def _read(sample: list[str], is_whole: bool, dialect: Dialect) -> _Attempt:
    rows: list[list[str]] = []
    reader = dialect.reader(sample)
    is_broken = False
    try:
        rows += (row for row in reader if not is_blank(row, sample[reader.line_num - 1]))
    except csv.Error:  # of the last row, perhaps only because the sample ends in it
        is_broken = is_whole or reader.line_num < len(sample)
    return _Attempt(dialect, rows, is_broken)
