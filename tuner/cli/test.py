"""`tuner test`."""

from typing import Annotated

import typer


def open_test_split(
    run: Annotated[str, typer.Argument(help="A run folder that was confirmed.")],
    finalist: Annotated[
        int, typer.Option(help="Its rank in finalists.csv.", show_default=True)
    ] = 1,
    ensemble: Annotated[
        int, typer.Option(help="Average so many finalists, from there on.", show_default=True)
    ] = 1,
    data: Annotated[
        str | None, typer.Option(help="Labelled rows instead of the run's own test split.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of their sequences.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of their labels.")] = None,
) -> None:
    """Open the test split: what a finalist is worth on sequences that no part of the run has seen."""
    from tuner.config import DataConfig
    from tuner.finalists.export import Choice, load_choice
    from tuner.finalists.testing import open_test
    from tuner.terminal.finalists import test_lines
    from tuner.terminal.tables import plain_console, printable

    folder, config, dataset, chosen = load_choice(run, Choice(finalist, ensemble))
    asked = None
    if data is not None:
        asked = DataConfig(source=data, text_column=text_column, label_column=label_column)
    opening = open_test(folder, config, dataset, chosen, asked)
    console = plain_console()
    for line in test_lines(opening):
        console.print(printable(line), soft_wrap=True)
    console.print(printable(f"Written down in {folder.tests}"), soft_wrap=True)
