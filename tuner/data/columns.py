"""Finds the columns of a table that hold the text, the label and the split."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.data.files import Table
from tuner.errors import DataError
from tuner.settings.data import DataConfig
from tuner.text import excerpt, quoted_names

# The plainest names first: the first one that a table has is taken.
_TEXT_NAMES = (
    "text", "review", "sentence", "sequence", "content", "tokens", "document", "body", "comment", "message",
    "tweet", "utterance", "question", "phrase",
)  # fmt: skip
_LABEL_NAMES = (
    "label", "labels", "class", "sentiment", "target", "category", "polarity", "rating", "intent", "topic", "y",
)  # fmt: skip
_SPLIT_NAME = "split"
# Columns of these names say what a row belongs to; rows that belong together are alike.
_GROUP_NAMES = frozenset(
    {
        name + ending
        for name in (
            "film",
            "movie",
            "patient",
            "author",
            "user",
            "speaker",
            "document",
            "doc",
            "session",
            "subject",
        )
        for ending in ("", "_id", "id", " id")
    }
    | {"group", "group_id", "groupid", "group id"}
)


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read; None where the table has none, or none is asked for."""

    text: str
    label: str
    split: str | None
    group: str | None = None


def choose_columns(table: Table, config: DataConfig) -> Columns:
    """The columns that `config` names, or else those with unmistakable names.

    If one of two columns has such a name, the other one follows. If neither has, the one with fewer distinct values is
    the label.

    Raises:
        DataError: a column that does not exist, exists twice, or cannot be guessed.
    """
    for asked in (config.text_column, config.label_column, config.group_column):
        if asked is not None and asked not in table.names:
            raise _unknown(table, asked)
    free = [name for name in table.names if _may_be_guessed(name)]
    text = config.text_column or _guess(free, _TEXT_NAMES, config.label_column)
    label = config.label_column or _guess(free, _LABEL_NAMES, text)
    if len(free) == 2 and (text is None or label is None):
        text, label = _of_two(table, free, text, label)
    if text is None or label is None:
        raise _not_plain(table, "label" if label is None else "text")
    if text == label:
        raise DataError.at(
            table.where, f"the text and the label must be two columns, got {excerpt(text)} for both"
        )
    split = next((name for name in table.names if name.lower() == _SPLIT_NAME), None)
    split = None if split in (text, label) else split
    _refuse_twice(table, text, label, split, config.group_column)
    if config.group_column in (text, label):
        raise DataError.at(
            table.where,
            f"the group must be another column than text and label, got {excerpt(config.group_column)}",
        )
    return Columns(text, label, split, config.group_column)


def group_like(names: Sequence[str], columns: Columns) -> list[str]:
    """The columns whose names say that rows belong together, apart from the chosen ones."""
    taken = {columns.text, columns.label, columns.split, columns.group}
    return [name for name in names if name.lower() in _GROUP_NAMES and name not in taken]


def possible_columns(config: DataConfig, names: Sequence[str]) -> set[str]:
    """The columns among `names` that `choose_columns` may read or choose; the cells of others need not be kept."""
    free = [name for name in names if _may_be_guessed(name)]
    plain = {*_TEXT_NAMES, *_LABEL_NAMES, _SPLIT_NAME, *_GROUP_NAMES}
    possible = {name for name in names if name.lower() in plain}
    asked = (config.text_column, config.label_column, config.group_column)
    possible.update(filter(None, asked))
    return possible.union(free) if len(free) <= 2 else possible


def with_columns_of(config: DataConfig, earlier: DataConfig, names: Sequence[str]) -> DataConfig:
    """The same settings with the text and the label column of `earlier`, where they name none and `names` has it."""
    taken = {config.text_column, config.label_column}
    text, label = (
        name if name in names and name not in taken else None
        for name in (earlier.text_column, earlier.label_column)
    )
    return config.model_copy(
        update={
            "text_column": config.text_column or text,
            "label_column": config.label_column or label,
        }
    )


def choose_text_column(table: Table, asked: str | None, learned_from: str | None = None) -> str:
    """The column `asked`, or else the one with an unmistakable name, as `choose_columns` does without counting values.

    Args:
        learned_from: the column that was asked for when the model learned; it comes before names, where it exists.

    Raises:
        DataError: it does not exist, exists twice, or cannot be guessed.
    """
    if asked is not None and asked not in table.names:
        raise _unknown(table, asked)
    if asked is None and learned_from in table.names:
        asked = learned_from
    free = [name for name in table.names if _may_be_guessed(name)]
    text = asked or _guess(free, _TEXT_NAMES, None)
    label = _guess(free, _LABEL_NAMES, text)
    if text is None and label is not None and len(free) == 2:
        text, _ = _of_two(table, free, text, label)
    if text is None:
        raise _not_plain(table, "text")
    _refuse_twice(table, text)
    return text


def _refuse_twice(table: Table, *names: str | None) -> None:
    for name in names:
        if name is not None and table.names.count(name) > 1:
            raise DataError.at(
                table.where, f"column {excerpt(name)} exists twice; rename one of them"
            )


def _may_be_guessed(name: str) -> bool:
    """False for the split, and for the row numbers that pandas writes into CSV and Parquet files."""
    return bool(name) and name.lower() != _SPLIT_NAME and not name.startswith("__index_level_")


def _guess(names: list[str], plain: tuple[str, ...], taken: str | None) -> str | None:
    by_lower_case = {name.lower(): name for name in reversed(names) if name != taken}
    return next((by_lower_case[name] for name in plain if name in by_lower_case), None)


def _of_two(
    table: Table, names: list[str], text: str | None, label: str | None
) -> tuple[str | None, str | None]:
    if text is None and label is None:
        return _by_distinct_values(table, names)
    known = text or label
    if known not in names:
        return text, label
    other = names[1] if known == names[0] else names[0]
    return text or other, label or other


def _by_distinct_values(table: Table, names: list[str]) -> tuple[str | None, str | None]:
    if any(name.lstrip("+-").isdigit() or len(name) > 60 for name in names):
        raise DataError.at(
            table.where,
            f"the first line must name the columns, got {quoted_names(names)}; write a line such as `text,label`",
        )
    cells = [{str(cell).strip() for cell in table.column(name)} for name in names]
    if own := [name for name, among in zip(names, cells, strict=True) if name in among]:
        raise DataError.at(
            table.where,
            f"the first line must name the columns, got {quoted_names(names)}, and {excerpt(own[0])} is also a cell of "
            "its column; write a line such as `text,label`, or, if these are names, choose with --text-column and "
            "--label-column",
        )
    first, second = map(len, cells)
    if first == second:
        return None, None
    return (names[0], names[1]) if first > second else (names[1], names[0])


def _unknown(table: Table, asked: str) -> DataError:
    return DataError.at(
        table.where,
        f"there is no column {excerpt(asked)}; its columns are {quoted_names(table.names)}; name one "
        "of them",
    )


def _not_plain(table: Table, what: str) -> DataError:
    hint = " (the first line of the file has to name them)" if len(table.names) == 1 else ""
    return DataError.at(
        table.where,
        f"cannot tell which column is the {what}; its columns are {quoted_names(table.names)}{hint}; "
        f"name it with --{what}-column",
    )
