"""Rows of delimited text: CSV and its relatives.

The standard library's `csv` serves better here than pandas: it gives the line on which a row is broken, guesses no
types ("NA" and "None" are words) and loads in no time.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from tuner.data.files.dialect import Dialect, Surplus, dialect_of, dialect_with, is_blank
from tuner.data.files.pauses import PAUSE
from tuner.data.files.table import Table
from tuner.errors import DataError
from tuner.text import count_text

_SAMPLE = 65_536  # characters that decide on the delimiter
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\s]|\t)"?[\r\n]*', re.IGNORECASE)  # Excel's
_BLANKS_BETWEEN_QUOTES = re.compile(r'"[^"]*"( +"[^"]*")+[\r\n]*')
# The limit is the process's: it is never lowered again, because another thread may be reading.
csv.field_size_limit(2**31 - 1)  # 131,072 characters, the default, are too few for a genome


def delimited(
    lines: Iterator[str],
    default_delimiter: str,
    where: str,
    size: int,
    warn: Callable[[str], None],
) -> Iterator[Table]:
    """The rows, `size` at a time, or fewer in a pause; the first line names the columns, and all cells are texts.

    Blank lines are no rows, except in a file of one column, where they are empty texts.

    Args:
        default_delimiter: the one that the file's name stands for; the first lines may show another one.
        warn: takes what a person should know of the rows, without the file's place.

    Raises:
        DataError: broken quoting, or a row with more or fewer cells than there are columns; the message names the line.
    """
    sample, is_whole = _sample(lines)
    given = _SEPARATOR_LINE.fullmatch(sample[0]) if sample else None
    if sample and _BLANKS_BETWEEN_QUOTES.fullmatch(sample[0]):
        raise DataError.at(
            where,
            "the columns are delimited by blanks, as R's write.table writes them; write the file with "
            'sep = ",", or with write.csv',
        )
    skipped = 0 if given is None else 1
    if given is None:
        dialect = dialect_of(sample, is_whole, default_delimiter)
    else:
        dialect = dialect_with(given[1], sample[skipped:], is_whole)
    watched = _Watched(chain(sample[skipped:], lines), dialect.delimiter)
    reader = dialect.reader(watched)
    names: list[str] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    first, begun = 0, 1 + skipped
    longer: tuple[int, int] | None = None  # the lines of the first row of several
    try:
        for row in reader:
            line = reader.line_num + skipped - watched.pauses
            is_pause = watched.line == PAUSE
            if is_pause:
                pass
            elif not names:
                names = [] if is_blank(row, watched.line) else [name.strip() for name in row]
            elif len(row) == len(names) or (not row and len(names) == 1):
                rows.append(row or [""])
                numbers.append(line)
                longer = longer or ((begun, line) if begun < line else None)
            elif not is_blank(row, watched.line):
                raise _ragged(where, line, row, names, dialect)
            if len(rows) == size or (is_pause and rows):
                yield _table(where, names, rows, numbers, first)
                first += len(rows)
                rows, numbers = [], []
            begun = line + 1
    except csv.Error as error:
        line = reader.line_num + skipped - watched.pauses
        since = f", in a row that begins on line {begun}" if begun < line else ""
        raise DataError.at(
            where,
            f"line {line} is broken ({_in_words(error)}{since}); put a text with quotes, delimiters or line ends "
            'in double quotes and write each quote inside it twice ("")',
        ) from error
    if longer is not None and watched.each_may_be_a_row and len(names) > 1:
        warn(
            f"lines {longer[0]:,} to {longer[1]:,} are one row, because a text on them begins and ends with a quote; "
            "if each line is a row, put every text that has quotes in double quotes and write each quote inside it "
            "twice"
        )
    if rows or not first:
        yield _table(where, names, rows, numbers, first)


def _in_words(error: csv.Error) -> str:
    """The reader's message, which shows the delimiter itself: a tab would look like a blank."""
    return str(error).replace("'\t'", "a tab")


class _Watched:
    """Lines on their way to the CSV reader, which would join lines at quotes that quote nothing.

    Files such as GLUE's are written without quoting: there every line has as many delimiters as the first.
    """

    def __init__(self, lines: Iterable[str], delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self.each_may_be_a_row = True
        self.line = ""  # the one that was read last
        self.pauses = 0

    def __iter__(self) -> Iterator[str]:
        expected: int | None = None
        for line in self._lines:
            if self.each_may_be_a_row and line.strip():
                count = line.count(self._delimiter)
                expected = count if expected is None else expected
                self.each_may_be_a_row = count == expected
            self.line = line
            self.pauses += line == PAUSE
            yield line


def _table(
    where: str, names: list[str], rows: Sequence[list[str]], numbers: Sequence[int], first: int
) -> Table:
    return Table(where, names, len(rows), lambda at: [row[at] for row in rows], numbers, first)


def _ragged(where: str, line: int, row: list[str], names: list[str], dialect: Dialect) -> DataError:
    cells = count_text(len(row), "cell")
    counts = f"line {line} has {cells} and the first line has {len(names)}"
    match dialect.surplus:
        case Surplus.ROW_NAME:
            return DataError.at(
                where,
                f"{counts}, as every row (delimited by {dialect.delimiters}); if the first column has no name, as R's "
                "write.table leaves it out, write the file with row.names = FALSE, or begin the first line with a "
                "delimiter; if it is a text with the delimiter in it, put each text in double quotes",
            )
        case Surplus.AFTER_THE_LAST:
            return DataError.at(
                where,
                f"{counts}: every row ends with a delimiter; end the first line with one, too (delimited by "
                f"{dialect.delimiters})",
            )
    return DataError.at(
        where,
        f"{counts}, delimited by {dialect.delimiters}; put texts that contain the delimiter in double quotes",
    )


def _sample(lines: Iterator[str]) -> tuple[list[str], bool]:
    """The first lines, and whether the file has no others. In a pause a heading with a row must do."""
    sample: list[str] = []
    length = 0
    for line in lines:
        if line == PAUSE:
            if sum(not each.isspace() for each in sample) > 1:
                return sample, False
            continue
        sample.append(line)
        length += len(line)
        if length >= _SAMPLE:
            return sample, False
    return sample, True
