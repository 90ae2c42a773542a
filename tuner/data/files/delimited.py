"""Delimited text: CSV and its relatives, with the delimiter and the quoting that the first lines show.

The standard library's `csv` serves better here than pandas: it gives the line on which a row is broken, guesses no
types ("NA" and "None" are words) and loads in no time.
"""

import csv
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Any

from tuner.data.files.table import Table
from tuner.errors import DataError
from tuner.text import count_text

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_SAMPLE = 65_536  # characters that decide on the delimiter
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\s]|\t)"?[\r\n]*', re.IGNORECASE)  # Excel's
# The limit is the process's: it is never lowered again, because another thread may be reading.
csv.field_size_limit(2**31 - 1)  # 131,072 characters, the default, are too few for a genome
_logger = logging.getLogger(__name__)


class _Escapes(Enum):
    """What a backslash stands before."""

    NOTHING = auto()  # quotes are written twice
    QUOTES = auto()  # as R's write.table and Spark write
    BACKSLASHES_TOO = auto()  # as Python's csv and MySQL write


@dataclass(frozen=True)
class _Dialect:
    """How cells are separated and quoted."""

    delimiter: str
    skips_blanks: bool = False  # after a delimiter, where quotes follow them
    escapes: _Escapes = _Escapes.NOTHING

    def reader(self, lines: Iterable[str]) -> Any:
        if self.escapes is _Escapes.QUOTES:
            lines = (line.replace('\\"', '""') for line in lines)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            escapechar="\\" if self.escapes is _Escapes.BACKSLASHES_TOO else None,
            skipinitialspace=self.skips_blanks,
            strict=True,
        )


def delimited(
    lines: Iterator[str], default_delimiter: str, where: str, size: int
) -> Iterator[Table]:
    """The rows, `size` at a time; the first line names the columns, and all cells are texts.

    Blank lines are no rows, except in a file of one column, where they are empty texts.

    Args:
        default_delimiter: the one that the file's name stands for; the first lines may show another one.

    Raises:
        DataError: broken quoting, or a row with more or fewer cells than there are columns; the message names the line.
    """
    sample, is_whole = _sample(lines)
    given = _SEPARATOR_LINE.fullmatch(sample[0]) if sample else None
    skipped = 0 if given is None else 1
    dialect = _dialect(sample[skipped:], is_whole, given[1] if given else default_delimiter)
    watched = _Watched(chain(sample[skipped:], lines), dialect.delimiter)
    reader = dialect.reader(watched)
    names: list[str] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    first, begun = 0, 1 + skipped
    longer: tuple[int, int] | None = None  # the lines of the first row of several
    try:
        for row in reader:
            line = reader.line_num + skipped
            if not names:
                names = [] if _is_blank(row) else [name.strip() for name in row]
            elif len(row) == len(names) or (not row and len(names) == 1):
                rows.append(row or [""])
                numbers.append(line)
                longer = longer or ((begun, line) if begun < line else None)
            elif not _is_blank(row):
                raise _ragged(where, line, row, names, dialect)
            if len(rows) == size:
                yield _table(where, names, rows, numbers, first)
                first += size
                rows, numbers = [], []
            begun = line + 1
    except csv.Error as error:
        line = reader.line_num + skipped
        since = f", in a row that begins on line {begun}" if begun < line else ""
        raise DataError.at(
            where,
            f"line {line} is broken ({error}{since}); put a text with quotes, delimiters or line ends "
            'in double quotes and write each quote inside it twice ("")',
        ) from error
    if longer is not None and watched.each_may_be_a_row and len(names) > 1:
        _logger.warning(
            "%s: lines %d to %d are one row, because a text on them begins and ends with a quote; if each line is a "
            "row, put every text that has quotes in double quotes and write each quote inside it twice",
            where,
            *longer,
        )
    if rows or not first:
        yield _table(where, names, rows, numbers, first)


class _Watched:
    """Lines on their way to the reader, which would join lines whose quotes are none.

    Files such as GLUE's are written without quoting: there every line has as many delimiters as the first.
    """

    def __init__(self, lines: Iterable[str], delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self.each_may_be_a_row = True

    def __iter__(self) -> Iterator[str]:
        expected: int | None = None
        for line in self._lines:
            if self.each_may_be_a_row and line.strip():
                count = line.count(self._delimiter)
                expected = count if expected is None else expected
                self.each_may_be_a_row = count == expected
            yield line


def _table(
    where: str, names: list[str], rows: Sequence[list[str]], numbers: Sequence[int], first: int
) -> Table:
    return Table(where, names, len(rows), lambda at: [row[at] for row in rows], numbers, first)


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _ragged(
    where: str, line: int, row: list[str], names: list[str], dialect: _Dialect
) -> DataError:
    shown = _DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
    return DataError.at(
        where,
        f"line {line} has {count_text(len(row), 'cell')} and the first line has {len(names)}, delimited by {shown}; "
        "put texts that contain the delimiter in double quotes",
    )


def _sample(lines: Iterator[str]) -> tuple[list[str], bool]:
    """The first lines, and whether they are all."""
    sample: list[str] = []
    length = 0
    for line in lines:
        sample.append(line)
        length += len(line)
        if length >= _SAMPLE:
            return sample, False
    return sample, True


@dataclass(frozen=True)
class _Attempt:
    """The first lines, read by a dialect."""

    dialect: _Dialect
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
    def fits(self) -> bool:
        """Whether every row can be read and has as many cells as there are columns."""
        return self.agreement == 1.0 and not self.is_broken


def _dialect(sample: list[str], is_whole: bool, default: str) -> _Dialect:
    """The dialect of the first lines.

    The default delimiter stays wherever it gives every row as many cells as the header, if only one: another one
    is taken where only that does, or where the header and most rows show it.
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
    if own.width == 1 and not own.fits and others:
        best = max(others, key=lambda attempt: attempt.agreement)
        if best.agreement > 0.5:  # a few of its rows are broken, and are refused with their lines
            return best.dialect
    return own.dialect


def _attempt(sample: list[str], is_whole: bool, delimiter: str) -> _Attempt:
    """The sample by a delimiter; blanks before opening quotes are skipped if they are written so."""
    plain = _read(sample, is_whole, _Dialect(delimiter))
    spaced = _read(sample, is_whole, _Dialect(delimiter, skips_blanks=True))
    if not plain.fits:
        if spaced.fits:
            return spaced
        escaped = _read(sample, is_whole, _Dialect(delimiter, escapes=_escapes(sample)))
        return escaped if escaped.fits else plain
    # Of `a, "b"` the one makes ` "b"`, the other `b`; of `a,  b` they differ in blanks alone.
    without_blanks = [[cell.lstrip(" ") for cell in row] for row in plain.rows]
    differ = without_blanks != [[cell.lstrip(" ") for cell in row] for row in spaced.rows]
    return spaced if differ and spaced.fits and len(spaced.rows) == len(plain.rows) else plain


def _escapes(sample: list[str]) -> _Escapes:
    """What backslashes escape in these lines; a backslash that stands alone is a part of its text."""
    text = "".join(sample)
    if '\\"' not in text:
        return _Escapes.NOTHING
    escaped = {pair[1] for pair in re.findall(r"\\.", text, re.DOTALL)}
    return _Escapes.BACKSLASHES_TOO if escaped == {'"', "\\"} else _Escapes.QUOTES


def _read(sample: list[str], is_whole: bool, dialect: _Dialect) -> _Attempt:
    rows: list[list[str]] = []
    reader = dialect.reader(sample)
    is_broken = False
    try:
        rows += (row for row in reader if not _is_blank(row))
    except csv.Error:  # of the last row, perhaps only because the sample ends in it
        is_broken = is_whole or reader.line_num < len(sample)
    return _Attempt(dialect, rows, is_broken)
