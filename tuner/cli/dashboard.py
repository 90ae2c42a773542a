"""`tuner dashboard`."""

from typing import Annotated

import typer


def dashboard(
    run: Annotated[str, typer.Argument(help="A run folder.", metavar="RUN")],
    port: Annotated[
        int | None,
        typer.Option(
            help="Port on 127.0.0.1. Default: 8080, or a free one if that is taken.",
            min=1,
            max=65535,
            metavar="PORT",
        ),
    ] = None,
) -> int:
    """Show a run in the browser, read-only. The search may continue meanwhile; Ctrl-C ends the dashboard only."""
    from tuner.run import Run
    from tuner.run.dashboard import Dashboard

    server = Dashboard(Run(run, read_only=True), port)
    print(f"{server.url}\nCtrl-C ends it.", flush=True)
    try:
        server.serve()
    except KeyboardInterrupt:
        return 130
    return 0
