"""Classifies the rows of a file, piece by piece, so that its size does not matter."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from tuner.data.columns import guess_text_column
from tuner.data.files import file_format, json_object
from tuner.errors import DataError
from tuner.export.classifier import Classifier
from tuner.files import atomic_file
from tuner.run.csv_text import to_csv
from tuner.text import excerpt, one_line

_ROWS = 2000  # at a time
_TABS = {".tsv", ".tab"}
_JSON_LINES = {".jsonl", ".ndjson", ".json"}


def predict_file(
    classifier: Classifier, source: Path, target: Path | None, text_column: str | None
) -> int:
    """Writes the rows of `source` with their predictions to `target`, or to standard output; how many.

    Args:
        source: CSV, TSV or JSON lines, also as `.gz`, or Parquet; what ends otherwise is read as CSV.

    Raises:
        DataError: the file cannot be read, or has no such column.
        OSError: the target cannot be written.
    """
    if target is None:
        return _predict(classifier, source, sys.stdout, text_column)
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_file():  # a device, a pipe: nothing to replace
        with open(target, "w", encoding="utf-8", newline="") as file:
            return _predict(classifier, source, file, text_column)
    with (
        atomic_file(target) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        return _predict(classifier, source, file, text_column)


def _predict(classifier: Classifier, source: Path, target: IO[str], text_column: str | None) -> int:
    console = Console(stderr=True)
    count = 0
    try:
        file = open(source, "rb")  # noqa: SIM115 - closed below
    except OSError as cause:
        what = "no such file" if isinstance(cause, FileNotFoundError) else cause.strerror
        raise DataError(f"{source}: {what}; name a file of texts") from cause
    with file, Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("predicting", total=os.fstat(file.fileno()).st_size)
        for number, (rows, done) in enumerate(_pieces(source, file)):
            column = _column(source, rows, text_column)
            if not len(rows):
                break
            said = classifier.predict(_texts(source, rows[column], count)).round(6)
            said.index = rows.index
            answered = pd.concat([rows, said.rename(columns=_free(rows, said))], axis=1)
            target.write(to_csv(answered, header=number == 0))
            count += len(rows)
            bar.update(task, completed=done)
    if not count:
        raise DataError(f"{source}: no rows in it; write texts into it")
    return count


def _pieces(source: Path, file: IO[bytes]) -> Iterator[tuple[pd.DataFrame, int]]:
    """The file's rows, some thousand at a time, all with the columns of the first; and how many bytes are read."""
    form = file_format(source) or source.suffix.lower()
    plain = form.removesuffix(".gz")
    if plain == ".parquet":
        yield from _parquet_pieces(source, file)
        return
    content = gzip.GzipFile(fileobj=file) if form.endswith(".gz") else file
    try:
        made = (
            _json_pieces(source, content)
            if plain in _JSON_LINES
            else _csv_pieces(source, plain, content)
        )
        for rows in made:
            yield rows, file.tell()
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as cause:
        raise DataError(f"{source}: cannot be read as a table: {one_line(str(cause))}") from cause
    except (gzip.BadGzipFile, EOFError, zlib.error) as cause:
        raise DataError.at(
            str(source), f"not a complete gzip file ({cause}); compress it again"
        ) from cause


def _csv_pieces(source: Path, form: str, content: Any) -> Iterator[pd.DataFrame]:
    separator = "\t" if form in _TABS else ","
    content = content if hasattr(content, "peek") else io.BufferedReader(content)
    has_one_column = separator.encode() not in content.peek(65536).split(b"\n", 1)[0]
    read = pd.read_csv(
        content,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        chunksize=_ROWS,
        skip_blank_lines=not has_one_column,  # where they are empty texts
    )
    for rows in read:
        if not isinstance(rows.index, pd.RangeIndex):
            # pandas takes a cell too many for a row's name
            raise DataError.at(
                str(source),
                "its rows have more cells than its first line; put texts that hold a "
                f"{'tab' if separator != ',' else 'comma'} in double quotes",
            )
        yield rows


def _json_pieces(source: Path, content: Iterable[bytes]) -> Iterator[pd.DataFrame]:
    where = str(source)
    lines = enumerate(content, start=1)
    names: list[str] = []
    while piece := list(islice(lines, _ROWS)):
        numbered = [(number, _utf8(line, where, number)) for number, line in piece]
        records = [
            (number, json_object(text, where, number)) for number, text in numbered if text.strip()
        ]
        names = names or list(dict.fromkeys(name for _, record in records for name in record))
        for number, record in records:
            for name in record:
                if name not in names:
                    raise DataError.at(
                        where,
                        f"line {number}: {excerpt(name)} is in none of the first {_ROWS:,} lines; the columns "
                        "are theirs, so leave it out or write it in one of them",
                    )
        yield pd.DataFrame([record for _, record in records], columns=names, dtype=object)


def _utf8(line: bytes, where: str, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as cause:
        raise DataError.at(
            where,
            f"line {number} must be UTF-8, got byte 0x{line[cause.start]:02x}; save it as UTF-8",
        ) from cause


def _parquet_pieces(source: Path, file: IO[bytes]) -> Iterator[tuple[pd.DataFrame, int]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    size, done = os.fstat(file.fileno()).st_size, 0
    try:
        parquet = pq.ParquetFile(file)
        if not parquet.metadata.num_rows:
            yield pd.DataFrame(columns=parquet.schema_arrow.names, dtype=object), size
        for batch in parquet.iter_batches(batch_size=_ROWS):
            done += batch.num_rows
            rows = pd.DataFrame(batch.to_pylist(), columns=batch.schema.names, dtype=object)
            yield rows, size * done // parquet.metadata.num_rows
    except (pa.ArrowException, ValueError) as cause:
        raise DataError.at(
            str(source), f"not a readable Parquet file ({cause}); write it again"
        ) from cause


def _texts(source: Path, cells: "pd.Series[Any]", before: int) -> list[Any]:
    """Texts, or lists of integers."""
    for number, cell in enumerate(cells, start=before + 1):
        is_list = isinstance(cell, list) and all(type(item) is int for item in cell)
        if not is_list and not isinstance(cell, str):
            received = "nothing" if cell is None or cell != cell else excerpt(cell)
            raise DataError.at(
                str(source),
                f"row {number}: column {excerpt(cells.name)} must be a text or a list of integers, got {received}",
            )
    return list(cells)


def _column(source: Path, rows: pd.DataFrame, asked: str | None) -> str:
    names = [str(name) for name in rows.columns]
    if asked is None:
        asked = guess_text_column(names)
    if asked in names:
        return str(asked)
    listed = ", ".join(map(repr, names))
    what = "which column has the texts?" if asked is None else f"no column {asked!r};"
    first = " (its first line has to name them)" if len(names) == 1 else ""
    raise DataError(f"{source}: {what} name it with --text-column; its columns are {listed}{first}")


def _free(rows: pd.DataFrame, said: pd.DataFrame) -> dict[str, str]:
    """What to call predictions where the file has a column of that name already."""
    names = {}
    for name in said.columns:
        free = str(name)
        while free in rows:
            free = f"predicted_{free}"
        names[str(name)] = free
    return names
