"""`tuner data`."""

from typing import Annotated

import typer

from tuner.settings.config import TokenMode


def data(
    source: Annotated[
        str | None, typer.Argument(help="A data set's name or a file.", metavar="[NAME|PATH]")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the sequences.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    tokens: Annotated[
        TokenMode, typer.Option(help="How text becomes tokens.", show_default=True)
    ] = TokenMode.WORDS,
    sample: Annotated[int | None, typer.Option(help="Use so many rows.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the splits.")] = 0,
) -> None:
    """List the named data sets, or show one: size, classes, lengths, splits and a few rows."""
    from tuner.data import summarize
    from tuner.settings.config import DataConfig
    from tuner.terminal.data_summary import data_summary, named_sources
    from tuner.terminal.tables import plain_console

    console = plain_console()
    if source is None:
        console.print(named_sources())
        return
    config = DataConfig(
        source=source,
        text_column=text_column,
        label_column=label_column,
        tokens=tokens,
        sample=sample,
    )
    console.print(data_summary(summarize(config, seed=seed)))
