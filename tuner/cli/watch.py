"""`tuner watch`."""

from typing import Annotated

import typer


def watch(run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")]) -> int:
    """Follow a search that runs elsewhere until it ends. Ctrl-C ends the watching, not the search."""
    from tuner.run import Run
    from tuner.run.state import read_run_state
    from tuner.run.watch import watch as watch_run
    from tuner.terminal.live import make_listener, terminal_stream
    from tuner.terminal.run_state import state_lines
    from tuner.terminal.tables import plain_console, printable

    watched = Run(run, read_only=True)
    console = plain_console()
    try:
        with (
            terminal_stream() as terminal,
            make_listener(terminal, ends_with_reader=True) as listener,
        ):
            was_alive = watch_run(watched, listener)
    except KeyboardInterrupt:
        console.print("No longer watching; the search continues.")
        return 130
    console.print("The search has ended." if was_alive else f"No search is running in {run}.")
    watched.look_again()
    for line in state_lines(read_run_state(watched)):
        console.print(printable(line), soft_wrap=True)
    return 0
