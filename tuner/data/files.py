"""Bytes of a CSV, TSV, JSON-lines or Parquet file to a table; anything unreadable is one clear line.

The standard library's `csv` and `json` serve better here than pandas: they say on which line a file is broken,
never guess types ("NA" and "None" are words) and load in no time.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tuner.errors import DataError
from tuner.text import excerpt


@dataclass(frozen=True)
class Table:
    """Named columns of cells; a column is made when it is asked for.

    Attributes:
        where: the file's path, for errors.
        names: columns, in the file's order.
        lines: the line on which each row ends; empty for files without lines.
        size: rows.
        column: the cells of a column, one a row; None where a row has no such cell.
    """

    where: str
    names: list[str]
    lines: list[int]
    size: int
    column: Callable[[str], list[object]]

    def place(self, row: int) -> str:
        """Where row `row`, counted from 0, stands: `row 3 (line 4)`, counted from 1."""
        line = f" (line {self.lines[row]})" if self.lines else ""
        return f"row {row + 1}{line}"


_LONGEST_CELL = 2**31 - 1  # csv's own limit, 131,072 characters, is too short for a genome
_BYTE_ORDER_MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def file_format(path: Path) -> str | None:
    """The extension that decides how a file is read, such as `.csv` or `.csv.gz`; None if unsupported."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    ending = suffixes[-1] if suffixes else ""
    if ending == ".gz":
        ending = "".join(suffixes[-2:])
    plain = ending.removesuffix(".gz")
    return ending if plain in _READERS and ending != ".parquet.gz" else None


def formats() -> str:
    """The supported extensions, for errors."""
    return f"{', '.join(_READERS)}; text also as .gz"


def read_table(content: bytes, form: str, where: str) -> Table:
    """The table in `content`, the bytes of a file of format `form` (from `file_format`).

    Raises:
        DataError: not readable as that format, or without a single row.
    """
    if form.endswith(".gz"):
        content = _decompressed(content, where)
    table = _READERS[form.removesuffix(".gz")](content, where)
    if not table.size:
        raise DataError.at(where, "the file has no rows; it needs at least some texts with labels")
    return table


def _decompressed(content: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError.at(
            where, f"not a complete gzip file ({error}); compress it again"
        ) from error


def decoded(content: bytes, where: str) -> str:
    """Text of `content`: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Raises:
        DataError: in another encoding.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError.at(
            where,
            f"the file must be UTF-8, got byte 0x{content[error.start]:02x} on line {line}; save it as UTF-8, "
            "for example with `iconv -f WINDOWS-1252 -t UTF-8 old > new`",
        ) from error
    if "\0" in text:
        raise DataError.at(
            where, "the file must be text, got zero bytes; if it is UTF-16, save it as UTF-8"
        )
    return text


def _read_csv(content: bytes, where: str) -> Table:
    return read_delimited(decoded(content, where), ",", where)


def _read_tsv(content: bytes, where: str) -> Table:
    return read_delimited(decoded(content, where), "\t", where)


def read_delimited(text: str, delimiter: str, where: str) -> Table:
    """A table of delimited text (RFC 4180) whose first line names the columns; all cells are strings.

    Raises:
        DataError: broken quoting, or a line with more or fewer cells than the first.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        names = [name.strip() for name in next(reader, [])]
        for row in reader:
            if not row:  # a blank line
                continue
            if len(row) != len(names):
                raise _ragged(where, reader.line_num, row, names)
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError.at(
            where,
            f"line {reader.line_num} is broken ({error}); put a text with quotes, delimiters or line breaks "
            'in double quotes and write each quote inside it twice ("")',
        ) from error
    finally:
        csv.field_size_limit(limit)

    def column(name: str) -> list[object]:
        at = names.index(name)
        return [row[at] for row in rows]

    return Table(where, names, lines, len(rows), column)


def _ragged(where: str, line: int, row: list[str], names: list[str]) -> Exception:
    return DataError.at(
        where,
        f"line {line} has {len(row)} cells and the first line has {len(names)}; put texts that contain the "
        "delimiter in double quotes",
    )


def _read_json_lines(content: bytes, where: str) -> Table:
    records: list[dict[str, object]] = []
    lines: list[int] = []
    for line, written in enumerate(decoded(content, where).split("\n"), start=1):
        if not written.strip():
            continue
        record = json_object(written, where, line)
        records.append(record)
        lines.append(line)
    names = list(dict.fromkeys(name for record in records for name in record))
    return Table(where, names, lines, len(records), lambda name: [r.get(name) for r in records])


def json_object(written: str, where: str, line: int) -> dict[str, object]:
    """One line of a JSON-lines file.

    Raises:
        DataError: it is no object.
    """
    try:
        record = json.loads(written)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error  # no "line 1"
        raise DataError.at(
            where, f"line {line} is not JSON ({reason}); write one object a line"
        ) from error
    if not isinstance(record, dict):
        raise DataError.at(
            where,
            f'line {line} must be an object such as {{"text": …, "label": …}}, got {excerpt(record)}; '
            "write one object a line",
        )
    return record


def _read_parquet(content: bytes, where: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        names = list(table.column_names)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError.at(
            where, f"not a readable Parquet file ({error}); write it again"
        ) from error

    def column(name: str) -> list[object]:
        try:
            return list(table.column(names.index(name)).to_pylist())
        except (pa.ArrowException, ValueError) as error:
            raise DataError.at(
                where, f"column {excerpt(name)} is not readable ({error})"
            ) from error

    return Table(where, names, [], table.num_rows, column)


_READERS: Mapping[str, Callable[[bytes, str], Table]] = MappingProxyType(
    {
        ".csv": _read_csv,
        ".tsv": _read_tsv,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".json": _read_json_lines,
        ".parquet": _read_parquet,
    }
)
