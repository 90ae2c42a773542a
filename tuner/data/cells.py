"""Turns the cells of the chosen columns into texts, labels and splits; any other cell is refused with its row."""

import math
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tuner.data.columns import Columns, choose_columns, group_like
from tuner.data.dataset import Split
from tuner.data.files import Table
from tuner.errors import DataError
from tuner.settings.data import DataConfig, TokenMode
from tuner.text import excerpt, quoted_names


@dataclass(frozen=True)
class Rows:
    """Texts with labels.

    Attributes:
        where: their name in errors: a data set's name or a path.
        texts: one per row; lists of integers are written with spaces between them.
        labels: one per row, never empty.
        tokens: how the texts are to be cut.
        given: the split that the source gives to each row, or None where it gives none.
        groups: what each row belongs to, or None where no column was asked for.
        warnings: what a person should know of the rows, without their name.
    """

    where: str
    texts: list[str]
    labels: list[str]
    tokens: TokenMode
    given: list[Split] | None = None
    groups: list[str] | None = None
    warnings: tuple[str, ...] = ()


_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_WHOLE_NUMBER = re.compile(r"\+?(-?[0-9]+)(?:\.0*)?")
_DECIMAL = re.compile(r"[+-]?[0-9]+\.?[0-9]*")
_SPLIT_WORDS: Mapping[str, Split] = MappingProxyType(
    {
        **{split.value: split for split in Split},
        "training": Split.TRAIN,
        "val": Split.VALIDATION,
        "valid": Split.VALIDATION,
        "dev": Split.VALIDATION,
    }
)


def labelled_rows(table: Table, config: DataConfig) -> Rows:
    """The table's rows: text or list of integers, label, and split where a column gives it.

    Raises:
        DataError: a missing column, or a cell that is no text, label or split.
    """
    columns = choose_columns(table, config)
    texts, are_lists = read_texts(table, columns.text)
    labels = [
        _label(table, columns.label, row, cell)
        for row, cell in enumerate(table.column(columns.label))
    ]
    given = None
    if columns.split is not None:
        given = [_split(table, row, cell) for row, cell in enumerate(table.column(columns.split))]
    return Rows(
        where=table.where,
        texts=texts,
        labels=labels,
        tokens=TokenMode.SYMBOLS if are_lists else config.tokens,
        given=given,
        groups=None if columns.group is None else _groups(table, columns.group),
        warnings=(*table.warnings, *_unasked_groups(table, columns)),
    )


def _groups(table: Table, name: str) -> list[str]:
    """The groups as texts; a row without one, also as Python's JSON writes NaN, is a group of its own."""
    cells = [
        None
        if cell is None or (isinstance(cell, float) and math.isnan(cell))
        else str(cell).strip()
        for cell in table.column(name)
    ]
    return [f"={cell}" if cell else f"row {row}" for row, cell in enumerate(cells)]


def _unasked_groups(table: Table, columns: Columns) -> list[str]:
    """Warnings of columns whose values rows share and that nobody named as a group."""
    if columns.group is not None:
        return []
    warnings = []
    for name in group_like(table.names, columns):
        values = {str(cell) for cell in table.column(name)}
        if 1 < len(values) <= table.size / 2:
            warnings.append(
                f"column {excerpt(name)} has {len(values):,} values in {table.size:,} rows; if rows of one value are "
                f"alike, figures flatter unless they share a split: add --group-column {shlex.quote(name)}"
            )
    return warnings


def read_texts(table: Table, name: str) -> tuple[list[str], bool]:
    """The texts of a column, and whether they were lists of integers, written with spaces between them.

    Raises:
        DataError: a cell that is neither, or not as the first one.
    """
    cells = table.column(name)
    are_lists = isinstance(cells[0], list)
    texts = []
    for row, cell in enumerate(cells):
        if are_lists and isinstance(cell, list) and all(type(item) is int for item in cell):
            texts.append(" ".join(map(str, cell)))
        elif not are_lists and isinstance(cell, str):
            texts.append(_without_lone_surrogates(cell))
        else:
            raise _not_a_text(table, name, row, cell, are_lists)
    return texts, are_lists


def _not_a_text(table: Table, name: str, row: int, cell: object, are_lists: bool) -> DataError:
    expected = "a list of integers" if are_lists else "a text"
    if are_lists and row:
        expected += ", as in the first row"
    received = "nothing" if cell is None else excerpt(cell)
    advice = (
        "write texts or lists of integers in every row, or name another column with --text-column"
    )
    if are_lists and isinstance(cell, list) and any(isinstance(item, str) for item in cell):
        advice = "join words with spaces to a text, and add --tokens symbols"
    return DataError.at(
        table.where,
        f"{table.place(row)}: column {excerpt(name)} must be {expected}, got {received}; {advice}",
    )


def _label(table: Table, name: str, row: int, cell: object) -> str:
    """The label as text. Whole numbers lose their decimals: pandas writes integers with gaps as floats."""
    label = ""
    if isinstance(cell, bool):
        label = str(cell).lower()
    elif isinstance(cell, int) or (isinstance(cell, float) and cell.is_integer()):
        label = str(int(cell))
    elif isinstance(cell, float) and math.isfinite(cell):  # as a text file shows it
        label = repr(cell)
    elif isinstance(cell, Decimal) and cell.is_finite():
        label = str(int(cell)) if cell == int(cell) else format(cell, "f")
    elif isinstance(cell, date | time):  # with a time of day, too
        label = str(cell)
    elif isinstance(cell, str):
        label = _without_lone_surrogates(cell.strip())
    if not label:
        received = "nothing" if cell is None or cell == "" else excerpt(cell)
        raise DataError.at(
            table.where,
            f"{table.place(row)}: column {excerpt(name)} must be a label, a word or a number, got "
            f"{received}; fill it in or remove the row",
        )
    return label


def _split(table: Table, row: int, cell: object) -> Split:
    split = _SPLIT_WORDS.get(cell.strip().lower()) if isinstance(cell, str) else None
    if split is None:
        raise DataError.at(
            table.where,
            f"{table.place(row)}: column 'split' must be one of {', '.join(_SPLIT_WORDS)}, got "
            f"{excerpt(cell)}; write one of them or rename the column",
        )
    return split


def _without_lone_surrogates(text: str) -> str:
    """Half an emoji, as JSON allows, becomes U+FFFD: nothing could write or print it."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def class_names_of(labels: Sequence[str]) -> tuple[str, ...]:
    """The distinct labels, sorted: as numbers if all of them are integers, else as texts.

    A class has its label's spelling; where one class is spelled in several ways, the simplest.
    """
    spellings: defaultdict[str, set[str]] = defaultdict(set)
    for label in set(labels):
        spellings[_simplest(label)].add(label)
    distinct = {
        simplest if len(spelled) > 1 else next(iter(spelled))
        for simplest, spelled in spellings.items()
    }
    if all(_INTEGER.fullmatch(label) for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))


def alike(class_names: Sequence[str]) -> list[tuple[str, ...]]:
    """Classes of different spelling that are perhaps one: by capitals, blanks, or as `1.50` and `1.5`."""
    groups: defaultdict[object, list[str]] = defaultdict(list)
    for name in class_names:
        groups[_folded(name)].append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _folded(label: str) -> object:
    if _DECIMAL.fullmatch(label):
        return Decimal(label)  # a float tells apart integers of 15 digits only
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def class_numbers(
    labels: Sequence[str], class_names: Sequence[str], where: str
) -> NDArray[np.int32]:
    """The class of each label, `(n_labels,)` int32, as an index into `class_names`, however it is spelled.

    Raises:
        DataError: a label that is none of these classes.
    """
    by_name = {name: number for number, name in enumerate(class_names)}
    by_simplest = {_simplest(name): number for name, number in by_name.items()}
    numbers = {
        label: by_name.get(label, by_simplest.get(_simplest(label))) for label in set(labels)
    }
    unknown = sorted(label for label, number in numbers.items() if number is None)
    if unknown:
        near = [name for name in class_names if _folded(name) == _folded(unknown[0])]
        advice = f"write {excerpt(near[0])}; " if near else ""
        raise DataError.at(
            where,
            f"the model knows no class {excerpt(unknown[0])}; {advice}it knows {quoted_names(class_names)}",
        )
    return np.array([numbers[label] for label in labels], dtype=np.int32)


def _simplest(label: str) -> str:
    """One spelling for labels that formats and programs write differently: `1` for `1.0` and `+1`, `true` for `True`.

    pandas writes whole numbers with decimals where one is missing, and booleans with capitals.
    """
    if whole := _WHOLE_NUMBER.fullmatch(label):
        return whole[1]
    return label.lower() if label.lower() in ("true", "false") else label
