"""Classifies the rows of a file, piece by piece, so that its size does not matter."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from tuner.errors import DataError
from tuner.finalists.classifier import Classifier
from tuner.leaderboard import to_csv
from tuner.validation import one_line

_ROWS = 2000  # at a time
_PLAIN_NAMES = ("text", "review", "sentence", "sequence", "content", "comment")


def predict_file(
    classifier: Classifier, source: Path, target: Path | None, text_column: str | None
) -> int:
    """Writes the rows of `source` with their predictions to `target`, or to standard output; how many.

    Raises:
        DataError: the file cannot be read, or has no such column.
        OSError: the target cannot be written.
    """
    if target is None:
        return _predict(classifier, source, sys.stdout, text_column)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            count = _predict(classifier, source, file, text_column)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return count


def _predict(classifier: Classifier, source: Path, target: IO[str], text_column: str | None) -> int:
    separator = "\t" if source.suffix.lower() in {".tsv", ".tab"} else ","
    count = 0
    try:
        size = source.stat().st_size
        with (
            open(source, "rb") as file,
            Progress(console=Console(stderr=True), transient=True) as progress,
        ):
            task = progress.add_task("predicting", total=size)
            pieces = pd.read_csv(
                file, sep=separator, dtype=str, keep_default_na=False, chunksize=_ROWS
            )
            for number, rows in enumerate(pieces):
                column = _column(source, rows, text_column)
                said = classifier.predict(list(rows[column])).round(6)
                said.index = rows.index
                text = to_csv(pd.concat([rows, said.rename(columns=_free(rows))], axis=1))
                target.write(text if number == 0 else text.partition("\r\n")[2])
                count += len(rows)
                progress.update(task, completed=file.tell())
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as cause:
        raise DataError(f"{source}: cannot be read as a table: {one_line(str(cause))}") from cause
    except FileNotFoundError as cause:
        if cause.filename == str(source):
            raise DataError(f"{source}: no such file") from cause
        raise
    return count


def _column(source: Path, rows: pd.DataFrame, asked: str | None) -> str:
    names = list(rows.columns)
    plain = [name for name in names if str(name).lower() in _PLAIN_NAMES]
    if asked is None and len(names) == 1:
        return str(names[0])
    if asked is None and len(plain) == 1:
        return str(plain[0])
    if asked in names:
        return str(asked)
    listed = ", ".join(map(repr, names))
    what = "which column has the texts?" if asked is None else f"no column {asked!r}"
    raise DataError(f"{source}: {what} name it with --text-column; its columns are {listed}")


def _free(rows: pd.DataFrame) -> dict[str, str]:
    """What to call the label where the file has a column of that name already."""
    return {"label": "predicted_label"} if "label" in rows else {}
