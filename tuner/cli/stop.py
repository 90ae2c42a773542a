"""`tuner stop`."""

from typing import Annotated

import typer

from tuner.cli import options
from tuner.errors import ConfigError


def stop(
    run: Annotated[
        str, typer.Argument(help="A run folder; on a cluster, the name of a run.", metavar="RUN")
    ],
    timeout: Annotated[
        str, typer.Option(help="Longest wait for the search to end.", metavar="TIME")
    ] = "60s",
    cluster: options.Cluster = None,
    address: options.Address = None,
) -> int:
    """End a running search from another terminal. Finished trials are kept, and the search can be continued."""
    if options.is_elsewhere(cluster, address):
        from tuner.execution.head import run_on_head

        arguments = ["stop", run_on_head(run), "--timeout", timeout]
        return options.print_from_head(arguments, cluster=cluster, address=address)
    from tuner.run.folder import RunFolder
    from tuner.run.stop import stop_search
    from tuner.settings.quantities import parse_duration

    try:
        timeout_s = parse_duration(timeout)
    except ValueError as cause:
        raise ConfigError(f"--timeout: {cause}") from cause
    folder = RunFolder.existing(run, may_be_starting=True)
    searcher = stop_search(folder, timeout_s=timeout_s)
    print(f"Stopped {run} ({searcher}); the same search command continues it.")
    return 0
