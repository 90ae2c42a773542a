"""The leaderboard: study -> DataFrame -> CSV. The columns are a contract; README lists them.

Must not import Ray, Keras or TensorFlow.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tuner.errors import UsageError
from tuner.run_folder import write_atomically
from tuner.space import Mode
from tuner.study import StudyReader, TrialRecord, ranked

_BEFORE_PARAMETERS = (
    "rank",
    "trial",
    "status",
    "architecture",
    "score",
    "val_accuracy",
    "val_loss",
    "best_epoch",
    "epochs",
    "seconds",
    "seconds_per_epoch",
    "weights",
)
_AFTER_PARAMETERS = ("baseline", "seed", "host", "device", "started", "error")
_DIGITS = {
    "score": 6,
    "val_accuracy": 6,
    "val_loss": 6,
    "seconds": 3,
    "seconds_per_epoch": 3,
}
# Characters that make a spreadsheet run a cell as a formula (CWE-1236).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def leaderboard(reader: StudyReader) -> pd.DataFrame:
    """Every trial of a study, best first; one column a parameter, empty where a trial has none."""
    names = reader.space.parameter_names
    rows = [
        _row(rank, record, names)
        for rank, record in enumerate(ranked(reader.records(), reader.space.metric.mode), start=1)
    ]
    return _typed(rows, [*_BEFORE_PARAMETERS, *names, *_AFTER_PARAMETERS])


def curves(reader: StudyReader) -> pd.DataFrame:
    """A row a trial and epoch: trial, epoch, loss, accuracy, val_loss, val_accuracy, val_f1, seconds."""
    metrics = ("loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "seconds")
    rows = [
        {"trial": record.number, "epoch": epoch, **{name: values.get(name) for name in metrics}}
        for record in reader.records()
        for epoch, values in record.curve.items()
    ]
    return _typed(rows, ["trial", "epoch", *metrics])


def merge(boards: Mapping[str, pd.DataFrame], mode: Mode) -> pd.DataFrame:
    """One leaderboard of several runs, ranked anew, with a first column `run`."""
    frames = [board.assign(run=name) for name, board in boards.items()]
    merged = pd.concat(frames, ignore_index=True)
    broken = ~merged["status"].isin(["complete", "pruned", "running"]) | merged["score"].isna()
    order = merged.assign(
        _broken=broken, _score=merged["score"] * (-1 if mode is Mode.MAX else 1)
    ).sort_values(["_broken", "_score", "run", "trial"], kind="stable", na_position="last")
    merged = merged.loc[order.index].reset_index(drop=True)
    merged["rank"] = pd.array(range(1, len(merged) + 1), dtype="Int64")
    ends = [name for name in _AFTER_PARAMETERS if name in merged]
    middle = [c for c in merged.columns if c not in {*_BEFORE_PARAMETERS, *ends, "run"}]
    return merged[["run", *_BEFORE_PARAMETERS, *middle, *ends]]


def sort_by(board: pd.DataFrame, column: str) -> pd.DataFrame:
    """The leaderboard by another column, ascending, empty cells last; equal ones keep their rank's order.

    Raises:
        UsageError: no such column.
    """
    descending = column.startswith("-")
    name = column.removeprefix("-")
    if name not in board:
        raise UsageError(f"--sort: no column {name!r}; write one of {', '.join(board.columns)}")
    values = board[name]
    key = None if pd.api.types.is_numeric_dtype(values) else lambda cells: cells.astype("string")
    return board.sort_values(
        name, ascending=not descending, kind="stable", na_position="last", key=key
    )


def to_csv(frame: pd.DataFrame) -> str:
    """RFC 4180 text; cells that a spreadsheet would run are given a leading apostrophe."""
    safe = frame.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(_neutral, na_action="ignore")
    safe.columns = pd.Index([_neutral(str(name)) for name in safe.columns])
    text: str = safe.to_csv(index=False, lineterminator="\r\n")
    return text


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes `frame` so that a reader never sees half a file."""
    write_atomically(path, to_csv(frame))


def _row(rank: int, record: TrialRecord, names: Sequence[str]) -> dict[str, Any]:
    best = record.curve.get(record.best_epoch or 0, {})
    return {
        "rank": rank,
        "trial": record.number,
        "status": str(record.status),
        "architecture": record.architecture,
        "score": record.score,
        "val_accuracy": best.get("val_accuracy"),
        "val_loss": best.get("val_loss"),
        "best_epoch": record.best_epoch,
        "epochs": len(record.curve),
        "seconds": record.seconds,
        "seconds_per_epoch": record.seconds_per_epoch,
        "weights": record.weights,
        **{name: record.parameters.get(name) for name in names},
        "baseline": record.baseline,
        "seed": record.seed,
        "host": record.host,
        "device": record.device,
        "started": record.started.isoformat(timespec="seconds") if record.started else None,
        "error": record.error,
    }


def _typed(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    """A frame whose integers stay integers where cells are empty."""
    frame = {}
    for name in columns:
        cells = [row.get(name) for row in rows]
        present = [cell for cell in cells if cell is not None]
        if not present:
            dtype = "object"
        elif all(isinstance(cell, bool) for cell in present):
            dtype = "boolean"
        elif all(isinstance(cell, int) and not isinstance(cell, bool) for cell in present):
            dtype = "Int64"
        elif all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in present):
            dtype = "Float64"
        else:
            dtype = "object"
        series = pd.Series(cells, dtype=dtype)
        frame[name] = (
            series.round(_DIGITS[name]) if dtype == "Float64" and name in _DIGITS else series
        )
    return pd.DataFrame(frame)


def _neutral(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return f"'{cell}"
    return cell
