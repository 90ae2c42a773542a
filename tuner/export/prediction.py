"""Classifies the rows of a file, piece by piece, so that its size does not matter, and writes them with predictions."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress

from tuner.data.cells import read_texts
from tuner.data.columns import choose_text_column
from tuner.data.files import DataFile, Table, no_rows
from tuner.errors import DataError
from tuner.export.classifier import Classifier
from tuner.export.formats import PredictionFormat
from tuner.export.prediction_output import Writer, make_writer, output_file
from tuner.files import STANDARD_INPUT

_ROWS = 2000  # at a time
_PAUSE_S = 1.0  # a slow pipe's rows are answered when no other has come for so long


def predict_file(
    classifier: Classifier,
    source: Path,
    target: Path | None,
    text_column: str | None,
    *,
    encoding: str | None = None,
    raw: bool = False,
    form: PredictionFormat = PredictionFormat.CSV,
) -> int:
    """Writes the rows of `source` with their predictions to `target`, or to standard output; how many.

    Args:
        source: any file of rows that `tuner search` reads, or a pipe.
        text_column: None is the model's where the file has it, or else the one with an unmistakable name.
        encoding: of the file, if it is none of Unicode's.
        raw: whether CSV has each cell as it was read, even one that a spreadsheet would run as a formula.

    Raises:
        DataError: the file cannot be read, or has no such column.
        OSError: the target cannot be written.
    """
    with output_file(target) as file:
        writer = make_writer(form, file, raw=raw)
        return _predict(classifier, source, writer, file, text_column, encoding)


def predict_texts(
    classifier: Classifier,
    texts: Sequence[str],
    target: Path | None,
    *,
    raw: bool = False,
    form: PredictionFormat = PredictionFormat.CSV,
) -> None:
    """Writes texts with their predictions, as `predict_file` writes rows."""
    rows = Table("texts", ["text"], len(texts), lambda _: list(texts))
    with output_file(target) as file:
        make_writer(form, file, raw=raw).write(rows, _predictions(classifier, texts))


def _predict(
    classifier: Classifier,
    source: Path,
    writer: Writer,
    target: IO[str],
    text_column: str | None,
    encoding: str | None,
) -> int:
    console = Console(stderr=True)
    where = "-" if source == STANDARD_INPUT else str(source)
    count = 0
    chosen = ""
    heading: Sequence[str] = ()
    with (
        _opened(source) as file,
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        data = DataFile(file, name=source.name, where=where, encoding=encoding, pause_s=_PAUSE_S)
        task = bar.add_task("predicting", total=_size(file))
        for rows in data.pieces(_ROWS):
            if not rows.size:
                heading = rows.names
                break
            if not count:  # later pieces may have other columns
                chosen = choose_text_column(rows, text_column, classifier.text_column)
            texts, _ = read_texts(rows, chosen)
            writer.write(rows, _predictions(classifier, texts))
            target.flush()  # a pipe's reader gets each piece at once
            count += rows.size
            bar.update(task, completed=data.bytes_read)
    if not count:
        raise no_rows(where, heading, "write a line such as `text`, and texts below it")
    return count


def _predictions(classifier: Classifier, texts: Sequence[str]) -> pd.DataFrame:
    """The labels and probabilities, these with six decimals."""
    predicted = classifier.predict(texts)
    # As float64: the nearest float32 to a rounded number has more digits again.
    return predicted.astype(dict.fromkeys(predicted.columns[1:], np.float64)).round(6)


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
