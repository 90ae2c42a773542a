"""`tuner leaderboard`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tuner.errors import UsageError


class Format(StrEnum):
    """How a leaderboard is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"


def leaderboard(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Run folders; several are merged.")
    ] = None,
    format: Annotated[
        Format, typer.Option(help="How to print it.", show_default=True)
    ] = Format.TABLE,
    top: Annotated[int | None, typer.Option(help="So many rows only.", min=1)] = None,
    sort: Annotated[
        str | None, typer.Option(help="By this column; with - before it, largest first.")
    ] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Of two objectives: the trials on the front only.")
    ] = False,
) -> None:
    """Show the trials of one or several runs, best first."""
    from tuner.csv_text import to_csv
    from tuner.leaderboard import merge, only_front, sort_by, to_json
    from tuner.run import Run
    from tuner.run_folder import runs_near
    from tuner.terminal.tables import leaderboard_table, markdown_table, plain_console

    if not runs:
        raise UsageError(f"name one or several run folders; {runs_near(Path())}")
    opened = {name: Run(name) for name in dict.fromkeys(run.rstrip("/") for run in runs)}
    boards = {name: run.leaderboard() for name, run in opened.items()}
    spaces = [run.space for run in opened.values()]
    metrics = {(space.metric.name, space.metric.mode) for space in spaces}
    if len(metrics) > 1:
        names = ", ".join(sorted(str(name) for name, _ in metrics))
        raise UsageError(
            f"runs with different metrics ({names}) have no common order; name one run"
        )
    first, *others = {run.objectives for run in opened.values()}
    shared = None if others else first
    if pareto and shared is None:
        few = "runs with different objectives have" if others else "a search by one objective has"
        remedy = "name one run" if others else "search with --objectives METRIC,COST"
        raise UsageError(f"--pareto: {few} no front; {remedy}")
    board = (
        next(iter(boards.values()))
        if len(boards) == 1
        else merge(boards, spaces[0].metric.mode, shared)
    )
    nothing = "no trial is on the front yet" if len(board) else "no trial has been started yet"
    if pareto:
        board = only_front(board)
    if sort is not None:
        board = sort_by(board, sort)
    if top is not None:
        board = board.head(top)
    if format is Format.CSV:
        print(to_csv(board), end="")
    elif format is Format.JSON:
        print(to_json(board))
    elif format is Format.MARKDOWN:
        print(markdown_table(board))
    else:
        parameters = dict.fromkeys(name for space in spaces for name in space.parameter_names)
        console = plain_console()
        console.print(leaderboard_table(board, list(parameters), shared))
        if board.empty:
            console.print(nothing)
