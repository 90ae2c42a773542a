"""The forms in which predictions are written, rows of the input with them: CSV and JSON lines."""

import json
import math
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, TextIO

import pandas as pd

from tuner.data.files import Table
from tuner.errors import DataError
from tuner.export.formats import PredictionFormat
from tuner.files import atomic_file
from tuner.run.csv_text import to_csv
from tuner.text import escaped_json, excerpt


class Writer(Protocol):
    """Writes pieces of rows with their predictions, one after the other."""

    def write(self, rows: Table, predictions: pd.DataFrame) -> None:
        """Writes a piece; `predictions` has the label first, one row per row."""


def make_writer(form: PredictionFormat, file: IO[str], *, raw: bool) -> Writer:
    """The writer of a form.

    Args:
        raw: whether CSV has each cell as it was read, even one that a spreadsheet would run as a formula.
    """
    return (
        JsonLinesWriter(file) if form is PredictionFormat.JSON_LINES else CsvWriter(file, raw=raw)
    )


class CsvWriter:
    """Writes CSV, whose columns are those of the first piece.

    A terminal would obey control characters in cells, so there they are replaced; files and pipes have them.
    """

    def __init__(self, file: IO[str], *, raw: bool) -> None:
        self._file = file
        self._keeps_controls = not file.isatty()
        self._raw = raw
        self._names: list[str] | None = None
        self._unchanged: Collection[int] = ()

    def write(self, rows: Table, predictions: pd.DataFrame) -> None:
        """See `Writer`.

        Raises:
            DataError: the rows have a column that the first ones had not.
        """
        if self._names is None:
            self._names = list(rows.names)
            heading = [*self._names, *_free(self._names, list(predictions.columns))]
            # A predicted label must compare equal to the true one, even if it looks like a formula.
            self._unchanged = range(len(heading)) if self._raw else {len(self._names)}
            self._append(pd.DataFrame([heading], dtype=object))
        frame = _frame(rows, self._names)
        self._append(pd.concat([frame, predictions], axis=1, ignore_index=True))

    def _append(self, frame: pd.DataFrame) -> None:
        self._file.write(
            to_csv(
                frame,
                header=False,
                unchanged=self._unchanged,
                keeps_controls=self._keeps_controls,
            )
        )


class JsonLinesWriter:
    """Writes one object per row: its cells under their names, then the predictions."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, rows: Table, predictions: pd.DataFrame) -> None:
        """See `Writer`."""
        own = _free((), list(rows.names), suffix=True)
        names = [*own, *_free(own, list(predictions.columns))]
        columns = [
            *map(rows.cells, range(len(own))),
            *(predictions.iloc[:, at].tolist() for at in range(predictions.shape[1])),
        ]
        for cells in zip(*columns, strict=True):
            record = dict(zip(names, cells, strict=True))
            self._file.write(escaped_json(_json(record)) + "\n")


@contextmanager
def output_file(target: Path | None) -> Iterator[IO[str]]:
    """The file to write to, in UTF-8; one that exists is replaced only when all is written. None: standard output."""
    if target is None:
        with _standard_output() as file:
            yield file
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


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    """UTF-8, as files are written, but for a terminal, which is shown what it cannot show as escape sequences."""
    stdout = sys.stdout
    reconfigure = getattr(stdout, "reconfigure", None)
    if reconfigure is None:  # a notebook's
        yield stdout
        return
    encoding, errors = stdout.encoding, stdout.errors
    if stdout.isatty():
        reconfigure(errors="backslashreplace")
    else:
        reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        yield stdout
    finally:
        reconfigure(encoding=encoding, errors=errors)


def _frame(rows: Table, names: Sequence[str]) -> pd.DataFrame:
    """The cells of the columns `names`, which are named by their positions here: two may have one name."""
    surplus = [name for name in rows.names if name not in names]
    if surplus:
        raise DataError.at(
            rows.where,
            f"column {excerpt(surplus[0])} comes first after {rows.first:,} rows, when the columns were written "
            f"already; add it to one of the first {rows.first:,} rows, leave it out, or write JSON lines",
        )
    is_same = list(rows.names) == list(names)
    columns = {}
    for at, name in enumerate(names):
        cells = rows.cells(at) if is_same else rows.column(name)
        columns[at] = pd.Series([_text(cell) for cell in cells], dtype=object)
    return pd.DataFrame(columns)


def _text(cell: object) -> object:
    """An object or a list as JSON, which has no other form in CSV; any other cell as it is."""
    return _json(cell) if isinstance(cell, Mapping | list) else cell


def _free(taken: Sequence[str], names: Sequence[str], *, suffix: bool = False) -> list[str]:
    """`names`, changed where they are taken; with a `suffix` also where one of them comes twice."""
    free: list[str] = []
    for name in names:
        number, changed = 1, name
        while changed in taken or (suffix and changed in free):
            number += 1
            changed = f"{name}_{number}" if suffix else f"predicted_{changed}"
        free.append(changed)
    return free


def _json(content: object) -> str:
    return json.dumps(_plain(content), ensure_ascii=False, default=str)


def _plain(cell: object) -> object:
    """The cell as JSON has it: numbers that are none become null, other kinds of things texts."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    if isinstance(cell, Mapping):
        return {str(name): _plain(each) for name, each in cell.items()}
    if isinstance(cell, list):
        return [_plain(each) for each in cell]
    return cell
