"""`tuner search`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import Modules, interrupt_on_signals, with_settings
from tuner.settings.config import SearchConfig
from tuner.settings.declarations import by_path, declared_settings

_SETTINGS = declared_settings(SearchConfig)


@with_settings(_SETTINGS)
def search(
    space: Annotated[
        str | None,
        typer.Argument(
            help="A YAML file, or a built-in space: see `tuner spaces`.", metavar="SPACE"
        ),
    ] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option(help="A YAML file of these settings; flags win over it.", metavar="PATH"),
    ] = None,
    modules: Modules = None,
    **settings: object,
) -> int:
    """Search for the best classifier of your data. The same command again continues toward the budget."""
    from tuner.execution.fork_server import fork_server
    from tuner.execution.interrupts import signals_in_main_thread_only
    from tuner.settings.config import make_config
    from tuner.settings.settings_files import refuse_odd_name
    from tuner.terminal.live import make_listener, terminal_stream
    from tuner.training.own_modules import check_own_space, name_modules

    interrupt_on_signals()
    name_modules(modules or ())
    config = None if config is None else Path(os.path.expanduser(config))
    refuse_odd_name(config)
    asked = make_config(
        {"space": space, **by_path(_SETTINGS, settings)}, config_file=config, names="flags"
    )
    if space is None:
        check_own_space(asked, config)
    with terminal_stream() as terminal, make_listener(terminal) as listener:
        listener.show("reading the data and starting Ray …")
        with fork_server(asked):
            with signals_in_main_thread_only():
                from tuner.execution.search import run_search

            outcome = run_search(asked, listener)
    from tuner.terminal.outcome import print_outcome

    return print_outcome(outcome, asked)
