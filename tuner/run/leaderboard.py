"""The leaderboard: study -> DataFrame -> CSV. The columns are a contract, listed in `docs/reference/run-folder.md`.

The leaderboard of a search by two objectives has one more, `pareto`; one whose validation rows rotate has `part`, and
one with an architecture of one's own `code`.

Must not import Ray, Keras or TensorFlow.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from tuner.errors import UsageError
from tuner.run.records import StudyReader, TrialRecord, on_front, ranked
from tuner.run.score_errors import ValidationRows, score_error
from tuner.settings.hyperparameters import is_custom
from tuner.settings.metric import MetricName
from tuner.settings.objectives import PARETO, Objectives
from tuner.settings.space import SearchSpace
from tuner.text import escaped_json

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
_AFTER_PARAMETERS = (
    *("baseline", "tries", "seed", "host", "device", "started", "error", "score_error", "starter"),
)
# The last columns, where there are any. A parameter of one's own architecture may have such a name and wins.
PART = "part"  # of the rows, which scored the trial
CODE = "code"
_DIGITS = {
    "score": 6,
    "score_error": 6,
    "val_accuracy": 6,
    "val_loss": 6,
    "seconds": 3,
    "seconds_per_epoch": 3,
}
RANKED = (
    "ranked"  # the attribute of a leaderboard: how many rows have a ranked score; they come first
)
# The columns' types where no cell is filled yet, so that they sort and merge as they will later.
_EMPTY_TYPES = {
    **dict.fromkeys(
        ("rank", "trial", "best_epoch", "epochs", "weights", "tries", "seed", "epoch", PART),
        "Int64",
    ),
    **dict.fromkeys(("score", "score_error", "seconds", "seconds_per_epoch"), "Float64"),
    **dict.fromkeys(("loss", "accuracy", *map(str, MetricName)), "Float64"),
    **dict.fromkeys(("baseline", PARETO), "boolean"),
}


def leaderboard(reader: StudyReader) -> pd.DataFrame:
    """Every trial of a study, best first; one column per parameter, empty where a trial has none."""
    rows = ValidationRows.of(reader.study.user_attrs)
    return board_of(reader.records(), reader.space, reader.objectives, rows)


def board_of(
    records: Iterable[TrialRecord],
    space: SearchSpace,
    objectives: Objectives,
    scored_on: ValidationRows,
) -> pd.DataFrame:
    """The leaderboard of trials that were read before."""
    names = space.parameter_names
    in_order = ranked(records, space.metric)
    rows = [_row(rank, record, names) for rank, record in enumerate(in_order, start=1)]
    leaders = {record.number for record in on_front(in_order, objectives)}
    for row, record in zip(rows, in_order, strict=True):
        row[PARETO] = record.number in leaders
        row["score_error"] = score_error(record, space.metric.name, scored_on)
    board = _typed(rows, columns(space, objectives, rotates=scored_on.parts is not None))
    board.attrs[RANKED] = sum(record.ranked_score is not None for record in in_order)
    return board


def columns(space: SearchSpace, objectives: Objectives, *, rotates: bool) -> list[str]:
    """The leaderboard's columns.

    Args:
        rotates: whether parts of the rows score the trials by turns.
    """
    # Of an architecture of one's own, the code is a part of what the figures depend on.
    has_own = any(map(is_custom, space.architectures))
    last = {PART: rotates, CODE: has_own}
    return [
        *(*_BEFORE_PARAMETERS, *objectives.marks, *space.parameter_names, *_AFTER_PARAMETERS),
        *(
            name
            for name, is_there in last.items()
            if is_there and name not in space.parameter_names
        ),
    ]


def curves(reader: StudyReader) -> pd.DataFrame:
    """One row per trial and epoch: trial, epoch, loss, accuracy, val_loss, val_accuracy, val_f1, seconds.

    Where the run is scored by another metric, that is the last column.
    """
    scored_by = reader.space.metric.name
    metrics = dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "seconds", str(scored_by))
    )
    rows = [
        {"trial": record.number, "epoch": epoch, **{name: values.get(name) for name in metrics}}
        for record in reader.records()
        for epoch, values in record.curve.items()
    ]
    return _typed(rows, ["trial", "epoch", *metrics])


def merge(boards: Mapping[str, pd.DataFrame], objectives: Objectives) -> pd.DataFrame:
    """One leaderboard of several runs, ranked anew, with a first column `run`.

    Args:
        boards: by the run's name.
        objectives: that all runs share.
    """

    def key(row: Mapping[str, Any]) -> tuple[tuple[bool, float], str, int]:
        score = row["score"] if row["rank"] <= boards[row["run"]].attrs[RANKED] else None
        return objectives.metric.sort_key(score), row["run"], row["rank"]

    rows = [{"run": name, **row} for name, board in boards.items() for row in _rows(board)]
    rows.sort(key=key)
    names = dict.fromkeys(name for board in boards.values() for name in board.columns)
    fixed = {*_BEFORE_PARAMETERS, PARETO, *_AFTER_PARAMETERS, PART, CODE}
    parameters = [name for name in names if name not in fixed]
    _mark_front(rows, objectives)
    columns = ["run", *_BEFORE_PARAMETERS, *objectives.marks, *parameters, *_AFTER_PARAMETERS]
    columns += [name for name in (PART, CODE) if name in names]
    return _typed([{**row, "rank": rank} for rank, row in enumerate(rows, start=1)], columns)


def _mark_front(rows: Sequence[dict[str, Any]], objectives: Objectives) -> None:
    """Keeps the mark only on the trials that no trial of another run's front beats."""
    leaders = [row for row in rows if row.get(PARETO)]
    values = [[row[name] for name in ("score", *objectives.costs)] for row in leaders]
    for row in rows:
        row[PARETO] = False
    for position in objectives.front(values):
        leaders[position][PARETO] = True


def only_front(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of the trials on the front, of a leaderboard by two objectives."""
    return board[board[PARETO].astype(bool)]


def sort_by(board: pd.DataFrame, column: str) -> pd.DataFrame:
    """The leaderboard by a column, largest first where it begins with `-`; empty cells last, equal ones in rank order.

    Raises:
        UsageError: no such column.
    """
    descending = column.startswith("-")
    name = column.removeprefix("-")
    if name not in board:
        near = difflib.get_close_matches(name, board.columns, n=1)
        advice = f"did you mean {near[0]}?" if near else f"write one of {', '.join(board.columns)}"
        raise UsageError(f"--sort: no column {name!r}; {advice}")
    values = board[name]
    key = None if pd.api.types.is_numeric_dtype(values) else lambda cells: cells.astype("string")
    return board.sort_values(
        name, ascending=not descending, kind="stable", na_position="last", key=key
    )


def to_json(frame: pd.DataFrame) -> str:
    """A list of objects, every number with all its digits (pandas would round to ten places)."""
    return escaped_json(json.dumps(_rows(frame), indent=2, ensure_ascii=False, allow_nan=False))


def _row(rank: int, record: TrialRecord, names: Sequence[str]) -> dict[str, Any]:
    best = record.curve.get(record.best_epoch or 0, {})
    return {
        PART: record.part,  # a parameter may have this name, or the next one
        CODE: record.code,
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
        "tries": record.tries,
        "seed": record.seed,
        "host": record.host,
        "device": record.device,
        "started": record.started.isoformat(timespec="seconds") if record.started else None,
        "error": record.error,
        "starter": record.starter,
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The cells as plain Python values; None where empty."""
    cells = frame.astype("object")
    records = cells.where(frame.notna(), None).to_dict(orient="records")
    return [{str(name): cell for name, cell in row.items()} for row in records]


def _typed(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    """A frame whose integers stay integers where cells are empty."""
    frame = {}
    for name in columns:
        cells = [row.get(name) for row in rows]
        present = [cell for cell in cells if cell is not None]
        if not present:
            dtype = _EMPTY_TYPES.get(name, "object")
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
