"""`tuner status`."""

from enum import StrEnum
from typing import Annotated

import typer

from tuner.cli import heads


class Format(StrEnum):
    """How a state is printed."""

    TEXT = "text"
    JSON = "json"


def status(
    run: Annotated[str, typer.Argument(help="A run folder; on a cluster, a run's name.")],
    format: Annotated[
        Format, typer.Option(help="How to print it.", show_default=True)
    ] = Format.TEXT,
    cluster: heads.Cluster = None,
    address: heads.Address = None,
) -> int:
    """Say what a run is doing: alive or not, trials, budget, best, last event."""
    if heads.is_elsewhere(cluster, address):
        from tuner.remote import run_on_head

        arguments = ["status", run_on_head(run), "--format", format]
        return heads.call(arguments, cluster=cluster, address=address)
    from tuner.run_state import read_run_state
    from tuner.terminal.run_state import state_json, state_lines
    from tuner.terminal.tables import plain_console, printable

    state = read_run_state(run)
    if format is Format.JSON:
        print(state_json(state))
        return 0
    console = plain_console()
    for line in state_lines(state):
        console.print(printable(line), soft_wrap=True)
    return 0
