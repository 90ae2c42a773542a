"""Leaderboards as tables and as Markdown, without characters that a terminal would obey."""

import errno
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tuner.text import OBEYED, cost_text, number_text, score_text

if TYPE_CHECKING:
    import pandas as pd

    from tuner.settings.objectives import Objectives

_CONTROL = re.compile(rf"[\x00-\x1f{OBEYED}]")
STATUS_STYLES = {
    "complete": "green",
    "pruned": "dim",
    "running": "cyan",
    "failed": "red",
    "diverged": "red",
    "out_of_memory": "red",
}
_TIMES = ("best_epoch", "epochs", "seconds")  # left out first where a screen is narrow
_GAP = 2  # characters between columns
_INDENT = 6  # of lines below a row
_LEAST_FOR_PARAMETERS = 40  # characters; a narrower column would make rows of many lines
_COSTS = {"seconds_per_epoch", "weights"}
_LEFT = {"run", "status", "architecture", "pareto", "parameters"}


def printable(text: object) -> Text:
    """`text` with control characters made visible; brackets in it are no markup."""
    return Text(_CONTROL.sub("�", str(text)))


def on_one_line(text: object) -> Text:
    """`text` as `printable` makes it, truncated where the line or the column ends."""
    line = printable(text)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def leaderboard_table(
    board: "pd.DataFrame", parameters: Sequence[str], objectives: "Objectives"
) -> RenderableType:
    """The columns of a leaderboard that fit a screen, with the cost where it is an objective.

    All parameters of a row are in one column, or on lines below the row where the screen is narrow. A narrower one has
    fewer columns; rank, trial and score are always there.
    """
    columns = ["rank", "trial", "status", "architecture", "score", *_TIMES]
    if "run" in board:
        columns.insert(1, "run")
    at = columns.index("score") + 1
    columns[at:at] = [*map(str, objectives.costs), *objectives.marks]
    has_several_codes = "code" in board and board["code"].nunique() > 1
    rows = [
        {
            **{name: _cell(name, row[name]) for name in columns},
            "parameters": _parameters(row, parameters, shows_code=has_several_codes),
        }
        for row in board.to_dict(orient="records")
    ]
    without_times = [name for name in columns if name not in _TIMES]
    words = [name for name in ("run", "status", "architecture") if name in columns]
    numbers = [name for name in without_times if name not in words]
    return FirstThatFits(
        [
            RowsOfTable([*columns, "parameters"], rows),
            RowsOfTable([*without_times, "parameters"], rows),
            RowsOfTable(columns, rows, below=["parameters"]),
            RowsOfTable(without_times, rows, below=["parameters"]),
            RowsOfTable(numbers, rows, below=[*words, "parameters"]),
        ]
    )


@dataclass(frozen=True)
class RowsOfTable:
    """Rows of trials: some columns side by side, others on lines below each row."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, Text]]
    below: Sequence[str] = ()

    @property
    def width(self) -> int:
        """The characters that it needs, of parameters beside other columns no more than make a readable column."""
        widths = [self._width_of(name) for name in self.columns]
        return sum(widths) + _GAP * (len(widths) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table, with the lines below each row."""
        table = Table(box=None, pad_edge=False)
        for name in self.columns:
            table.add_column(
                name.replace("_", " "),
                justify="left" if name in _LEFT else "right",
                no_wrap=name != "parameters",
                overflow="fold" if name == "parameters" else "ellipsis",
            )
        for row in self.rows:
            table.add_row(*(row[name] for name in self.columns))
        if not self.below:
            yield table
            return
        heading, *lines = console.render_lines(table, options, pad=False)
        yield from (*heading, Segment.line())
        for line, row in zip(lines, self.rows, strict=True):
            yield from (*line, Segment.line())
            cells = [row[name] for name in self.below if row[name].plain]
            yield Padding(Text("  ").join(cells), (0, 0, 0, _INDENT), expand=False)

    def _width_of(self, name: str) -> int:
        cells = [Text(name), *(row[name] for row in self.rows)]
        width = max(cell.cell_len for cell in cells)
        return min(width, _LEAST_FOR_PARAMETERS) if name == "parameters" else width


@dataclass(frozen=True)
class FirstThatFits:
    """The first of several forms for which the screen is wide enough; the last where none is."""

    forms: Sequence[RowsOfTable]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields that form."""
        fitting = (each for each in self.forms if each.width <= options.max_width)
        yield next(fitting, self.forms[-1])


def _cell(name: str, value: Any) -> Text:
    """One cell of a leaderboard, as its column wants it."""
    import pandas as pd

    if pd.isna(value):
        return Text("")
    if name == "status":
        return Text(str(value), style=STATUS_STYLES.get(str(value), ""))
    if name == "score":
        return Text(score_text(float(value)), style="bold")
    if name == "seconds":
        return Text(f"{float(value):.0f}")
    if name == "pareto":
        return Text("*" if value else "")
    return Text(cost_text(value)) if name in _COSTS else printable(value)


def _parameters(row: Mapping[Any, Any], parameters: Sequence[str], *, shows_code: bool) -> Text:
    """The last cell: the parameters that the trial has, and what else is to be known of it."""
    import pandas as pd

    shown = {name: row.get(name) for name in parameters}
    parts = [f"{name}={number_text(value)}" for name, value in shown.items() if not pd.isna(value)]
    starter = row.get("starter")  # absent in the leaderboard of an earlier version
    if starter is not None and not pd.isna(starter):
        parts.append(f"(as {starter})")
    elif str(row["baseline"]) == "True":
        parts.append("(baseline)")
    if shows_code and not pd.isna(row["code"]):
        parts.append(f"(code {row['code']})")
    if not pd.isna(row["error"]):
        parts.append(str(row["error"]))
    return printable("  ".join(parts))


def markdown_table(board: "pd.DataFrame") -> str:
    """A leaderboard as a Markdown table."""
    import pandas as pd

    def cell(value: object) -> str:
        text = "" if pd.isna(value) else number_text(value)  # type: ignore[call-overload]
        return _CONTROL.sub(" ", text).replace("|", "\\|")

    lines = [
        "| " + " | ".join(str(name) for name in board.columns) + " |",
        "|" + "|".join(" --- " for _ in board.columns) + "|",
    ]
    lines += [
        "| " + " | ".join(cell(value) for value in row) + " |"
        for row in board.itertuples(index=False)
    ]
    return "\n".join(lines)


def plain_table(*columns: str) -> Table:
    """An empty table with faint headings and no frame."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column)
    return table


class _PlainConsole(Console):
    """A console that leaves a reader that has gone to the command; Rich exits with 1."""

    def on_broken_pipe(self) -> None:
        """Called while Rich handles the error of the write."""
        raise BrokenPipeError(errno.EPIPE, "the reader of the output has gone")


def print_line(line: str) -> None:
    """Prints a line on standard output as it is, at once."""
    plain_console().print(printable(line), soft_wrap=True)


def plain_console() -> Console:
    """A console on standard output; wide enough for a table where there is no terminal."""
    console = _PlainConsole(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    return console
