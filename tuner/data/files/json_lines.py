"""JSON lines: one object per line, whose names are the columns."""

import json
from collections.abc import Iterator, Sequence

from tuner.data.files.pauses import PAUSE
from tuner.data.files.table import Table
from tuner.errors import DataError
from tuner.text import excerpt


def json_lines(lines: Iterator[str], where: str, size: int) -> Iterator[Table]:
    """The rows, `size` at a time, or fewer in a pause; each piece has the columns of its own rows.

    Raises:
        DataError: a line is no object; the message names the line.
    """
    records: list[dict[str, object]] = []
    numbers: list[int] = []
    first = number = 0
    for line in lines:
        if line != PAUSE:
            number += 1
        if line.strip():
            records.append(_object(line, where, number))
            numbers.append(number)
        if len(records) == size or (line == PAUSE and records):
            yield _table(records, numbers, where, first)
            first += len(records)
            records, numbers = [], []
    if records or not first:
        yield _table(records, numbers, where, first)


def is_json_object(line: str) -> bool:
    """Whether the line is an object, so that the file is JSON lines, whatever its name is."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _table(
    records: Sequence[dict[str, object]], numbers: Sequence[int], where: str, first: int
) -> Table:
    names = list(dict.fromkeys(name for record in records for name in record))

    def cells(at: int) -> list[object]:
        return [record.get(names[at]) for record in records]

    return Table(where, names, len(records), cells, numbers, first)


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these members; of a name that is given twice, `dict` would lose the first value."""
    record = dict(members)
    if len(record) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{excerpt(twice)} is given twice")
    return record


def _object(line: str, where: str, number: int) -> dict[str, object]:
    try:
        record = json.loads(line, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error  # no "line 1"
        raise DataError.at(
            where, f"line {number} is not JSON ({reason}); write one object per line"
        ) from error
    if not isinstance(record, dict):
        raise DataError.at(
            where,
            f'line {number} must be an object such as {{"text": …, "label": …}}, got {excerpt(record)}; '
            "write one object per line",
        )
    return record
