"""The leaderboard as it was at a point of the journal, so that reading a long one replays no million entries.

The study stays the truth. A snapshot says how long the journal was and how it ended there, and it counts only while
nothing that was appended since is about the search's trials. It is a Parquet file, whose columns keep their types. Must
not import Ray or Keras.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tuner.errors import SpaceError
from tuner.files import write_bytes_atomically
from tuner.run.folder import RunFolder
from tuner.run.leaderboard import columns
from tuner.run.optuna_internals import id_of_study, id_of_trial, trials_of_other_studies
from tuner.run.records import Attribute, StudyReader
from tuner.settings.objectives import Cost, Objectives, make_objectives
from tuner.settings.space import SearchSpace

_LEAST_ROWS = 2000  # below, the journal is read in less than a second
_KEY = b"tuner"
_FORMAT = 1
_END_BYTES = 65536
_MOST_APPENDED_BYTES = 20_000_000
_TYPES = ("Int64", "Float64", "boolean", "object")


@dataclass(frozen=True)
class Point:
    """A place in a journal, and what must not be written of behind it."""

    size: int  # bytes before it
    end: str  # digest of the last ones
    study: int  # the search's, as Optuna numbers studies
    trials: int  # of all studies
    others: tuple[int, ...]  # those of other studies, as Optuna numbers trials


@dataclass(frozen=True)
class Snapshot:
    """A leaderboard, and what was searched."""

    board: pd.DataFrame
    space: SearchSpace
    objectives: Objectives


def point_of(reader: StudyReader, journal: Path) -> Point:
    """Where the journal ends now; to be asked before the study is read."""
    size = journal.stat().st_size
    others = tuple(id_of_trial(trial) for trial in trials_of_other_studies(reader.study))
    trials = len(others) + len(reader.study.get_trials(deepcopy=False))
    return Point(size, _digest(journal, size), id_of_study(reader.study), trials, others)


def write_snapshot(board: pd.DataFrame, reader: StudyReader, point: Point, path: Path) -> None:
    """Writes `board`, the leaderboard of `reader` at `point`.

    Writes nothing where it is short, or holds what a file of types cannot.
    """
    if len(board) < _LEAST_ROWS or not all(_is_storable(board[name]) for name in board.columns):
        return
    import pyarrow as pa
    import pyarrow.parquet

    about = {
        "format": _FORMAT,
        "point": asdict(point),
        "space": reader.space.to_mapping(),
        "cost": next(iter(reader.objectives.costs), None),
        "types": {str(name): str(dtype) for name, dtype in board.dtypes.items()},
    }
    sink = pa.BufferOutputStream()
    try:
        table = pa.Table.from_pandas(board, preserve_index=False)
        table = table.replace_schema_metadata({_KEY: json.dumps(about).encode()})
        pa.parquet.write_table(table, sink)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return  # an error's text that is no UTF-8, say: the search must not end for a copy
    write_bytes_atomically(path, sink.getvalue().to_pybytes())


def read_snapshot(folder: RunFolder) -> Snapshot | None:
    """The run's leaderboard, if its snapshot still says what the study does."""
    try:
        return _read(folder)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SpaceError):
        return None  # none there, an earlier version's, or damaged: the study is read instead


def _read(folder: RunFolder) -> Snapshot | None:
    if not folder.snapshot.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet

    with open(folder.snapshot, "rb") as file:
        parquet = pa.parquet.ParquetFile(file)
        about = json.loads(parquet.schema_arrow.metadata[_KEY])
        point = Point(**about["point"])
        if about["format"] != _FORMAT or not _is_current(folder.journal, point):
            return None
        table = parquet.read()
    space = SearchSpace.from_mapping(about["space"], str(folder.snapshot))
    cost = about["cost"]
    objectives = make_objectives(space.metric, Cost(cost) if cost is not None else None)
    if table.column_names != columns(space, objectives):
        return None
    types = {
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    board = table.to_pandas(ignore_metadata=True, types_mapper=types.get)
    typed = pd.DataFrame({n: _as(board[n], t) for n, t in about["types"].items()})
    return Snapshot(typed, space, objectives)


def _as(column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    cells: pd.Series[Any] = column.astype(pd.api.types.pandas_dtype(kind))
    return cells.where(cells.notna(), None) if kind == "object" else cells


def _is_storable(column: "pd.Series[Any]") -> bool:
    if str(column.dtype) not in _TYPES:
        return False
    return column.dtype != "object" or all(isinstance(cell, str) for cell in column.dropna())


def _digest(journal: Path, size: int) -> str:
    """Of the bytes before a point."""
    with open(journal, "rb") as file:
        file.seek(max(0, size - _END_BYTES))
        return hashlib.sha256(file.read(min(size, _END_BYTES))).hexdigest()


def _is_current(journal: Path, point: Point) -> bool:
    """Whether this is the journal, and nothing that was appended since is about the search's trials."""
    appended = journal.stat().st_size - point.size
    if not 0 <= appended <= _MOST_APPENDED_BYTES or _digest(journal, point.size) != point.end:
        return False
    others = set(point.others)
    return not any(_is_about_trials(entry, point, others) for entry in _entries(journal, point))


def _entries(journal: Path, point: Point) -> Iterator[dict[str, Any]]:
    with open(journal, "rb") as file:
        file.seek(point.size)
        for line in file:
            if line.endswith(b"\n"):  # else somebody is writing it
                yield json.loads(line)


def _is_about_trials(entry: dict[str, Any], point: Point, others: set[int]) -> bool:
    """Whether an entry may change the leaderboard: any but for other studies' and the seconds searched."""
    if "trial_id" in entry:
        trial = entry["trial_id"]
        return trial < point.trials and trial not in others  # a later one is told by its making
    if "study_id" not in entry:
        return "study_name" not in entry  # a new study
    return entry["study_id"] == point.study and set(entry.get("user_attr", ())) != {
        str(Attribute.SECONDS)
    }
