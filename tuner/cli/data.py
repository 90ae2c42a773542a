"""`tuner data`."""

from typing import Annotated

import typer

from tuner.cli.options import with_settings
from tuner.settings.data import DataConfig
from tuner.settings.declarations import by_path, declared_settings, refuse_idle, validated

_SETTINGS = declared_settings(DataConfig)


@with_settings(setting for setting in _SETTINGS if setting.keyword not in ("data", "vectors"))
def data(
    source: Annotated[
        str | None, typer.Argument(help="A data set's name or a file.", metavar="NAME|PATH")
    ] = None,
    **settings: object,
) -> None:
    """List the named data sets, or show one with its splits. Also shows a file of your own."""
    from tuner.data import summarize
    from tuner.terminal.data_summary import data_summary, named_sources
    from tuner.terminal.tables import plain_console

    asked = validated(DataConfig, by_path(_SETTINGS, {"data": source, **settings}), "flags")
    console = plain_console()
    if source is None:
        refuse_idle(_SETTINGS, settings, "flags", "NAME|PATH")
        console.print(named_sources())
        return
    console.print(data_summary(summarize(asked), console.width))
