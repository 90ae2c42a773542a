"""`tuner test`."""

from typing import Annotated

import typer

from tuner.cli.options import exit_on_sigterm


def open_test_split(
    run: Annotated[str, typer.Argument(help="A run folder that was confirmed.")],
    finalist: Annotated[
        int, typer.Option(help="Its rank in finalists.csv.", min=1, show_default=True)
    ] = 1,
    ensemble: Annotated[
        int,
        typer.Option(help="Average so many finalists, from there on.", min=1, show_default=True),
    ] = 1,
    data: Annotated[
        str | None, typer.Option(help="Labelled rows instead of the run's own test split.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of their sequences.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of their labels.")] = None,
) -> None:
    """Open the test split: what a finalist is worth on sequences that no part of the run has seen."""
    from tuner.finalists.choice import FinalistChoice, load_chosen
    from tuner.finalists.testing import open_test
    from tuner.settings.config import DataConfig
    from tuner.terminal.finalists import opening_lines, since_lines
    from tuner.terminal.tables import plain_console, printable

    exit_on_sigterm()
    chosen = load_chosen(run, FinalistChoice(finalist, ensemble))
    asked = None
    if data is not None:
        asked = DataConfig(source=data, text_column=text_column, label_column=label_column)
    opening = open_test(chosen, asked)
    console = plain_console()
    written = f"Written down in {chosen.folder.tests}"
    for line in (*opening_lines(opening), *since_lines(chosen), written):
        console.print(printable(line), soft_wrap=True)
