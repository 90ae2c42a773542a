"""A note of how far into the journal `leaderboard.csv` reaches: a long leaderboard is then read without a replay.

The study stays the truth. Beside the CSV lies a note: the journal's length and end at the time of writing, the columns'
types, and the texts that the CSV shows changed. The CSV counts only if the note is about this very file and no later
entry of the journal is about the search's trials. Must not import Ray or Keras.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tuner.errors import SpaceError
from tuner.files import write_atomically
from tuner.run.attributes import Attribute
from tuner.run.csv_text import as_written
from tuner.run.ensemble import EnsembleRecord
from tuner.run.folder import RunFolder
from tuner.run.leaderboard import PART, RANKED, columns
from tuner.run.optuna_internals import id_of_study, id_of_trial, trials_of_other_studies
from tuner.run.records import StudyReader
from tuner.run.reference_record import ReferenceRecord, reference_in
from tuner.settings.objectives import Cost, Objectives, make_objectives
from tuner.settings.space import SearchSpace

_LEAST_ROWS = 2000  # below, the journal is read in less than a second
_FORMAT = 2  # 1 was a Parquet file
_END_BYTES = 65536
_MOST_APPENDED_BYTES = 20_000_000
_TYPES = ("Int64", "Float64", "boolean", "object")


@dataclass(frozen=True)
class Point:
    """A place in a journal, and the entries that must not follow it."""

    size: int  # bytes before it
    end: str  # digest of the last ones
    study: int  # the search's, as Optuna numbers studies
    trials: int  # numbers given out so far, as Optuna numbers trials; also to some of studies that are gone
    others: tuple[int, ...]  # those of other studies, as Optuna numbers trials


@dataclass(frozen=True)
class Snapshot:
    """A leaderboard, the space, the objectives, the ensemble and the reference."""

    board: pd.DataFrame
    space: SearchSpace
    objectives: Objectives
    ensemble: EnsembleRecord | None
    reference: ReferenceRecord | None


def point_of(reader: StudyReader, journal: Path) -> Point:
    """The present end of the journal; to be taken before the study is read."""
    size = journal.stat().st_size
    others = tuple(id_of_trial(trial) for trial in trials_of_other_studies(reader.study))
    own = map(id_of_trial, reader.study.get_trials(deepcopy=False))
    trials = 1 + max((*others, *own), default=-1)
    return Point(size, _digest(journal, size), id_of_study(reader.study), trials, others)


def write_note(board: pd.DataFrame, reader: StudyReader, point: Point, folder: RunFolder) -> None:
    """Notes that `leaderboard.csv`, just written, is `board`, the leaderboard of `reader` at `point`.

    Writes nothing where it is short, or has a column of several types.
    """
    if len(board) < _LEAST_ROWS or not all(_is_of_one_type(board[name]) for name in board.columns):
        return
    ensemble, reference = reader.ensemble, reference_in(reader.study.user_attrs)
    changed = {str(name): _changed(board[name]) for name in board.columns}
    note = {
        "format": _FORMAT,
        "csv": hashlib.sha256(folder.leaderboard.read_bytes()).hexdigest(),
        "point": asdict(point),
        "space": reader.space.to_mapping(),
        "ensemble": ensemble.model_dump(mode="json") if ensemble is not None else None,
        "reference": reference.model_dump(mode="json") if reference is not None else None,
        "cost": next(iter(reader.objectives.costs), None),
        "ranked": board.attrs[RANKED],
        "types": {str(name): str(dtype) for name, dtype in board.dtypes.items()},
        "changed": {name: texts for name, texts in changed.items() if texts},
    }
    write_atomically(folder.leaderboard_note, json.dumps(note))


def read_snapshot(folder: RunFolder) -> Snapshot | None:
    """The run's leaderboard, if `leaderboard.csv` is known to agree with the study."""
    try:
        return _read(folder)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SpaceError):
        # No note, an earlier version's, or a damaged one: the study is read instead. Of a note that is nested too
        # deeply Python raises a RuntimeError, of cells that Arrow cannot convert Arrow does.
        return None


def _read(folder: RunFolder) -> Snapshot | None:
    note = json.loads(folder.leaderboard_note.read_bytes())
    if note["format"] != _FORMAT or not _is_current(folder.journal, Point(**note["point"])):
        return None
    content = folder.leaderboard.read_bytes()
    if hashlib.sha256(content).hexdigest() != note["csv"]:
        return None
    space = SearchSpace.from_mapping(note["space"], str(folder.leaderboard_note))
    cost = note["cost"]
    objectives = make_objectives(space.metric, Cost(cost) if cost is not None else None)
    names = columns(space, objectives, rotates=PART in note["types"])
    if list(note["types"]) != names:
        return None
    table = _parse(content, note["types"])
    board = pd.DataFrame(
        {
            name: _typed(table[name], kind, note["changed"].get(name, {}))
            for name, kind in note["types"].items()
        }
    )
    board.attrs[RANKED] = int(note["ranked"])
    # A note of an earlier version knows neither.
    ensemble, reference = note.get("ensemble"), note.get("reference")
    return Snapshot(
        board,
        space,
        objectives,
        EnsembleRecord.model_validate(ensemble) if ensemble is not None else None,
        ReferenceRecord.model_validate(reference) if reference is not None else None,
    )


def _parse(content: bytes, types: Mapping[str, str]) -> pd.DataFrame:
    """The CSV by Arrow, which is exact and takes a quarter of the time that pandas does."""
    import pyarrow as pa
    import pyarrow.csv

    arrow = {"Int64": pa.int64(), "Float64": pa.float64(), "boolean": pa.bool_()}
    table = pa.csv.read_csv(
        pa.BufferReader(content),
        pa.csv.ReadOptions(column_names=list(types), skip_rows=1),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(
            column_types={name: arrow.get(kind, pa.string()) for name, kind in types.items()},
            null_values=[""],
            true_values=["True"],
            false_values=["False"],
            strings_can_be_null=True,
        ),
    )
    dtypes = {arrow[kind]: pd.api.types.pandas_dtype(kind) for kind in arrow}
    frame: pd.DataFrame = table.to_pandas(types_mapper=dtypes.get)
    return frame


def _typed(column: "pd.Series[Any]", kind: str, changed: Mapping[str, str]) -> "pd.Series[Any]":
    if kind != "object":
        return column
    text = column.astype("object")
    cells = text.where(text.notna(), None)
    for row, cell in changed.items():
        cells.iloc[int(row)] = cell
    return cells


def _is_of_one_type(column: "pd.Series[Any]") -> bool:
    if str(column.dtype) not in _TYPES:
        return False
    return column.dtype != "object" or all(isinstance(cell, str) for cell in column.dropna())


def _changed(column: "pd.Series[Any]") -> dict[int, str]:
    """The texts, by row, that are not in the CSV as they are."""
    if column.dtype != "object":
        return {}
    return {
        row: cell
        for row, cell in enumerate(column)
        if isinstance(cell, str) and (not cell or as_written(cell) != cell)
    }


def _digest(journal: Path, size: int) -> str:
    """The digest of the last bytes before a point."""
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
            if line.endswith(b"\n"):  # else it is being written
                yield json.loads(line)


def _is_about_trials(entry: dict[str, Any], point: Point, others: set[int]) -> bool:
    """Whether an entry may change the leaderboard: any but for other studies' and the seconds searched."""
    if "trial_id" in entry:
        trial = entry["trial_id"]
        return (
            trial < point.trials and trial not in others
        )  # a later one is known by the entry that made it
    if "study_id" not in entry:
        return "study_name" not in entry  # a new study
    return entry["study_id"] == point.study and set(entry.get("user_attr", ())) != {
        str(Attribute.SECONDS)
    }
