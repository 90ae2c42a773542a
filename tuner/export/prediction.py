"""Classifies the rows of a file, piece by piece, so that its size does not matter, and writes them with predictions."""

import os
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from tuner.data.cells import read_texts
from tuner.data.columns import choose_text_column
from tuner.data.files import DataFile, Table
from tuner.errors import DataError
from tuner.export.classifier import Classifier
from tuner.files import STANDARD_INPUT, atomic_file
from tuner.run.csv_text import to_csv
from tuner.text import excerpt

_ROWS = 2000  # at a time


def predict_file(
    classifier: Classifier,
    source: Path,
    target: Path | None,
    text_column: str | None,
    *,
    encoding: str | None = None,
    raw: bool = False,
) -> int:
    """Writes the rows of `source` with their predictions to `target`, or to standard output; how many.

    Args:
        source: any file of rows that `tuner search` reads, or a pipe.
        encoding: of the file, if it is none of Unicode's.
        raw: whether to write each cell as it was read, even one that a spreadsheet would run as a formula.

    Raises:
        DataError: the file cannot be read, or has no such column.
        OSError: the target cannot be written.
    """
    with _output(target) as file:
        return _predict(classifier, source, file, text_column, encoding, raw)


@contextmanager
def _output(target: Path | None) -> Iterator[IO[str]]:
    """Where to write; a file is replaced only when all is written."""
    if target is None:
        yield sys.stdout
        return
    if target.exists() and not target.is_file():  # a device, a pipe: nothing to replace
        with open(target, "w", encoding="utf-8", newline="") as file:
            yield file
        return
    target = Path(os.path.realpath(target))
    with (
        atomic_file(target) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        yield file


def _predict(
    classifier: Classifier,
    source: Path,
    target: IO[str],
    text_column: str | None,
    encoding: str | None,
    raw: bool,
) -> int:
    console = Console(stderr=True)
    count = 0
    chosen = ""
    names: list[str] = []
    unchanged: Collection[int] = ()
    with (
        _opened(source) as file,
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        data = DataFile(file, name=source.name, where=str(source), encoding=encoding)
        task = bar.add_task("predicting", total=_size(file))
        for rows in data.pieces(_ROWS):
            if not rows.size:
                break
            if not count:  # later pieces may have other columns
                chosen = choose_text_column(rows, text_column)
            texts, _ = read_texts(rows, chosen)
            predictions = classifier.predict(texts).round(6)
            if not count:
                names = list(rows.names)
                heading = [*names, *_free(names, list(predictions.columns))]
                # A predicted label must compare equal to the true one, even if it looks like a formula.
                unchanged = range(len(heading)) if raw else {len(names)}
                target.write(
                    to_csv(pd.DataFrame([heading], dtype=object), header=False, unchanged=unchanged)
                )
            table = pd.concat([_frame(rows, names), predictions], axis=1, ignore_index=True)
            target.write(to_csv(table, header=False, unchanged=unchanged))
            target.flush()  # a pipe's reader gets each piece at once
            count += rows.size
            bar.update(task, completed=data.bytes_read)
    if not count:
        raise DataError(f"{source}: the file has no rows; write texts into it")
    return count


def _opened(source: Path) -> IO[bytes]:
    try:
        if (
            source == STANDARD_INPUT
        ):  # opening the name would begin anew, before what others have read
            return open(0, "rb", buffering=0, closefd=False)
        return open(source, "rb", buffering=0)
    except IsADirectoryError as cause:
        raise DataError(f"{source}: must be a file, got a folder; name a file in it") from cause
    except OSError as cause:
        problem = "no such file" if isinstance(cause, FileNotFoundError) else cause.strerror
        raise DataError(f"{source}: {problem}; name a file of texts") from cause


def _size(file: IO[bytes]) -> int | None:
    """Bytes of the file; None of a pipe, whose size is unknown."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _frame(rows: Table, names: Sequence[str]) -> pd.DataFrame:
    """The cells of the columns `names`, which are named by their positions here: two may have one name."""
    surplus = [name for name in rows.names if name not in names]
    if surplus:
        raise DataError.at(
            rows.where,
            f"column {excerpt(surplus[0])} comes first after {rows.first:,} rows, when the columns were written "
            f"already; add it to one of the first {rows.first:,} rows, or leave it out",
        )
    is_same = list(rows.names) == list(names)
    columns = {
        at: pd.Series(rows.cells(at) if is_same else rows.column(name), dtype=object)
        for at, name in enumerate(names)
    }
    return pd.DataFrame(columns)


def _free(names: Sequence[str], predictions: Sequence[str]) -> list[str]:
    """Names of the columns of predictions, changed where the file has a column of that name."""
    free = []
    for name in predictions:
        while name in names:
            name = f"predicted_{name}"
        free.append(name)
    return free
