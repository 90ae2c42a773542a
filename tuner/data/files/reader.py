"""A data file, open to be read: recognised, unpacked, decoded and cut into rows, piece by piece."""

import io
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import IO

from tuner.data.files.compression import BROKEN_PACKING, PACKINGS, Stream, packing_of
from tuner.data.files.decoding import text_lines
from tuner.data.files.delimited import delimited
from tuner.data.files.json_lines import is_json_object, json_lines
from tuner.data.files.parquet import MAGIC as PARQUET
from tuner.data.files.parquet import parquet_rows
from tuner.data.files.pauses import PAUSE, with_pauses
from tuner.data.files.refused_kinds import refuse_other_kinds
from tuner.data.files.table import Table, joined
from tuner.errors import DataError
from tuner.text import quoted_names

FORMATS = ".csv, .tsv, .jsonl, .ndjson, .json, .parquet; text also as .gz, .bz2, .xz or .zst"
_JSON_LINES = {"jsonl", "ndjson", "json"}
_TABS = {"tsv", "tab"}
_BEGINNING = 4096  # bytes that decide what a file is
_BLOCK = 1 << 16  # bytes of a damaged file that are read at a time
_ROWS = 4_096  # at a time, of a file that is read whole
_logger = logging.getLogger(__name__)


class DataFile:
    """Rows of CSV, TSV or JSON lines, also compressed, or of Parquet.

    Args:
        file: its bytes, from the beginning; it may be a pipe.
        name: the file's name; its ending decides where the content leaves a choice.
        where: its path, for errors.
        encoding: of text, if it is none of Unicode's.
        warn: takes what a person should know of the rows, without the file's place; None: it is logged.
        pause_s: of a pipe, for so many seconds more rows are waited for before those that have come are given.
    """

    def __init__(
        self,
        file: IO[bytes],
        *,
        name: str,
        where: str,
        encoding: str | None = None,
        warn: Callable[[str], None] | None = None,
        pause_s: float | None = None,
    ) -> None:
        self._encoding = encoding
        self._pause_s = None if file.seekable() else pause_s
        self._warn = warn or (lambda warning: _logger.warning("%s: %s", where, warning))
        self._file = file
        self._begin = file.tell() if file.seekable() else 0  # others may have read what is before
        self._stream = Stream(file, self._pause_s)
        self._where = where
        endings = name.lower().split(".")[1:]
        self._packing = next(
            (packing for packing in PACKINGS if endings and packing.ending == f".{endings[-1]}"),
            None,
        )
        plain = endings[:-1] if self._packing else endings
        self._ending = plain[-1] if plain else ""

    @property
    def bytes_read(self) -> int:
        """Bytes on disk that have been read so far."""
        return self._file.tell() if self._file.seekable() else self._stream.bytes_read

    def pieces(self, size: int) -> Iterator[Table]:
        """The rows, `size` at a time, or fewer in a pause, and in their order; one empty table if there are none.

        Raises:
            DataError: the file, or a row of it, cannot be read.
        """
        try:
            packing = packing_of(self._stream.beginning(_BEGINNING))
            if packing is None:
                yield from self._rows(self._stream, size)
                return
        except OSError as error:
            raise DataError.at(
                self._where,
                f"the file cannot be read ({error.strerror or error}); make it readable",
            ) from error
        try:
            unpacked = packing.open(io.BufferedReader(self._stream))
            try:
                yield from self._rows(Stream(unpacked), size)
            except (
                DataError
            ):  # perhaps only because the file is damaged, as its checksum at the end shows
                while unpacked.read(_BLOCK):
                    pass
                raise
        except BROKEN_PACKING as error:
            raise DataError.at(
                self._where, f"not a complete {packing.name} file ({error}); compress it again"
            ) from error

    def _rows(self, content: Stream, size: int) -> Iterator[Table]:
        beginning = content.beginning(_BEGINNING)
        refuse_other_kinds(beginning, self._where)
        if self._ending == "parquet" or beginning.startswith(PARQUET):
            return parquet_rows(self._in_memory_if_unseekable(content), self._where, size)
        if content is self._stream and self._packing is not None:
            ending = self._packing.ending
            raise DataError.at(
                self._where,
                f"not a complete {self._packing.name} file (it does not begin as one); if it is unpacked already, "
                f"take {ending} out of its name, else compress it again",
            )
        lines = text_lines(content, self._where, self._encoding)
        if self._pause_s is not None:
            lines = with_pauses(lines, self._pause_s)
        before, line = _up_to_first_row(lines)
        if self._ending in _JSON_LINES or is_json_object(line):
            return json_lines(chain(before, lines), self._where, size)
        delimiter = "\t" if self._ending in _TABS else ","
        return delimited(chain(before, lines), delimiter, self._where, size, self._warn)

    def _in_memory_if_unseekable(self, content: Stream) -> IO[bytes]:
        """The same bytes, where any of them can be read: Parquet needs the end of a file first."""
        if content is self._stream and self._file.seekable():
            self._file.seek(self._begin)
            return self._file if not self._begin else io.BytesIO(self._file.read())
        return io.BytesIO(content.readall())


def read_table(
    content: bytes,
    name: str,
    where: str,
    *,
    encoding: str | None = None,
    keep: Callable[[Sequence[str]], Collection[str]] = set,
) -> Table:
    """All rows of a file with this content.

    Args:
        name: as for `DataFile`, and so are `where` and `encoding`.
        keep: of the names of all columns, those whose cells are needed.

    Raises:
        DataError: not readable, or without a single row.
    """
    warnings: list[str] = []
    file = DataFile(
        io.BytesIO(content), name=name, where=where, encoding=encoding, warn=warnings.append
    )
    table = joined([piece.keeping(keep(piece.names)) for piece in file.pieces(_ROWS)])
    if not table.size:
        raise no_rows(where, table.names, "it needs at least some texts with labels")
    return replace(table, warnings=warnings)


def no_rows(where: str, names: Sequence[str], advice: str) -> DataError:
    """The refusal of a file without rows, perhaps because its only line was meant to be one."""
    columns = (
        f", its columns are {quoted_names(names)} (the first line names them)" if names else ""
    )
    return DataError.at(where, f"the file has no rows{columns}; {advice}")


def _up_to_first_row(lines: Iterator[str]) -> tuple[list[str], str]:
    """The lines up to the first that is not blank, and that one."""
    before: list[str] = []
    for line in lines:
        if line != PAUSE:
            before.append(line)
        if line.strip():
            return before, line
    return before, ""
