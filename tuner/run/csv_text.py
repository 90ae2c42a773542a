"""Tables as CSV that a spreadsheet may open: no cell runs as a formula, and no cell controls a terminal."""

import re
from collections.abc import Collection, Hashable
from pathlib import Path

import pandas as pd

from tuner.files import write_atomically

# Escape sequences in an error's text would be obeyed by the terminal that shows the file. Tabs and line ends stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Characters that make a spreadsheet run a cell as a formula (CWE-1236).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER_OR_SIGN = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?|[+-]")


def to_csv(
    frame: pd.DataFrame,
    *,
    header: bool = True,
    unchanged: Collection[Hashable] = (),
    keeps_controls: bool = False,
) -> str:
    """RFC 4180 text; cells that a spreadsheet would run are given a leading apostrophe.

    Args:
        header: whether the first line names the columns.
        unchanged: columns whose cells are written as they are, such as labels.
        keeps_controls: whether control characters stay, but for zeros, which no text file has; for cells of a person's
            own that no terminal shows. Otherwise each becomes U+FFFD.
    """
    safe = frame.copy()
    for name in safe.columns:
        if name not in unchanged and not pd.api.types.is_numeric_dtype(safe[name]):
            # Of type object throughout: pandas would make 1 and a missing one 1.0.
            cells = [_neutral(cell, keeps_controls) for cell in safe[name]]
            safe[name] = pd.Series(cells, index=safe.index, dtype=object)
    safe.columns = pd.Index([_neutral(str(name)) for name in safe.columns], dtype=object)
    return _encodable(safe.to_csv(index=False, header=header, lineterminator="\r\n"))


def write_csv(frame: pd.DataFrame, path: Path, *, unchanged: Collection[Hashable] = ()) -> None:
    """Writes `frame` so that a reader never sees half a file; `unchanged` as for `to_csv`."""
    write_atomically(path, to_csv(frame, unchanged=unchanged))


def as_written(text: str) -> str:
    """The text that a CSV shows for this one."""
    return _encodable(str(_neutral(text)))


def _encodable(text: str) -> str:
    """The text with half an emoji, or a byte that is no UTF-8, as an escape sequence: no file could hold it."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _neutral(cell: object, keeps_controls: bool = False) -> object:
    if not isinstance(cell, str):
        return cell
    shown = cell.replace("\0", "�") if keeps_controls else _CONTROL.sub("�", cell)
    visible = _CONTROL.sub("", shown)  # a spreadsheet may pass over the others
    if visible.startswith(_FORMULA_STARTS) and not _NUMBER_OR_SIGN.fullmatch(visible):
        return f"'{shown}"
    return shown
