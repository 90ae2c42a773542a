"""`tuner dashboard`."""

from typing import Annotated

import typer


def dashboard(
    run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    port: Annotated[
        int | None,
        typer.Option(
            help="Port on 127.0.0.1; default 8080, or a free one where that is taken.",
            min=1,
            max=65535,
            metavar="PORT",
        ),
    ] = None,
) -> int:
    """Show a run in the browser, for reading only: the search may go on meanwhile. Ctrl-C ends the showing only."""
    from tuner.run import Run
    from tuner.run.dashboard import Dashboard

    server = Dashboard(Run(run, read_only=True), port)
    print(f"{server.url}\nCtrl-C ends it.", flush=True)
    try:
        server.serve()
    except KeyboardInterrupt:
        return 130
    return 0
