"""`tuner status`."""

from enum import StrEnum
from typing import Annotated

import typer

from tuner.cli import options


class Format(StrEnum):
    """The form in which a state is printed."""

    TEXT = "text"
    JSON = "json"


def status(
    run: Annotated[
        str, typer.Argument(help="A run folder; on a cluster, the name of a run.", metavar="RUN")
    ],
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.TEXT,
    cluster: options.Cluster = None,
    address: options.Address = None,
) -> int:
    """Show whether a run is alive and how far it is."""
    if options.is_elsewhere(cluster, address):
        from tuner.execution.head import run_on_head

        arguments = ["status", run_on_head(run), "--format", format]
        return options.print_from_head(arguments, cluster=cluster, address=address)
    from tuner.run import Run
    from tuner.run.state import read_run_state
    from tuner.terminal.run_state import state_json, state_lines
    from tuner.terminal.tables import plain_console, printable

    state = read_run_state(Run(run, read_only=True))
    if format is Format.JSON:
        print(state_json(state))
        return 0
    console = plain_console()
    for line in state_lines(state):
        console.print(printable(line), soft_wrap=True)
    return 0
