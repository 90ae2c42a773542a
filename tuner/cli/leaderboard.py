"""`tuner leaderboard`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, assert_never

import typer

from tuner.errors import UsageError


class Format(StrEnum):
    """The form in which a leaderboard is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"


def leaderboard(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Run folders; several are merged.", metavar="RUN")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.TABLE,
    top: Annotated[
        int | None, typer.Option(help="Print so many rows only.", min=1, metavar="N")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Sort by this column; with - before it, largest first.", metavar="COLUMN"
        ),
    ] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="With two objectives: only the trials on the front.")
    ] = False,
) -> None:
    """Show the trials of one or several runs, best first."""
    from tuner.run.csv_text import to_csv
    from tuner.run.folder import runs_near
    from tuner.run.leaderboard import sort_by, to_json
    from tuner.run.merged_board import read_merged_board
    from tuner.terminal.ensemble import board_footer
    from tuner.terminal.tables import leaderboard_table, markdown_table, plain_console, printable

    if not runs:
        raise UsageError(f"name one or several run folders; {runs_near(Path())}")
    merged = read_merged_board(runs, pareto=pareto)
    board = merged.trials
    if sort is not None:
        board = sort_by(board, sort)
    if top is not None:
        board = board.head(top)
    match format:
        case Format.CSV:
            print(to_csv(board), end="")
        case Format.JSON:
            print(to_json(board))
        case Format.MARKDOWN:
            print(markdown_table(board))
        case Format.TABLE:
            console = plain_console()
            console.print(leaderboard_table(board, merged.parameters, merged.objectives))
            if board.empty:
                console.print(merged.nothing)
            for line in board_footer(merged):
                console.print(printable(line), soft_wrap=True)
        case _:
            assert_never(format)
