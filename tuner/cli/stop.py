"""`tuner stop`."""

import shlex
import time
from typing import Annotated

import typer

from tuner.errors import RunFolderError, SearchError

_POLL_S = 0.1


def stop(
    run: Annotated[str, typer.Argument(help="A run folder.")],
    timeout: Annotated[str, typer.Option(help="Wait so long for the search to end.")] = "60s",
) -> None:
    """End a running search from another terminal; it keeps what is finished and can be continued."""
    from tuner.config import format_duration
    from tuner.run_folder import RunFolder

    folder = RunFolder.existing(run)
    wait_s = _seconds(timeout)
    owner = folder.owner
    if owner is None:
        raise RunFolderError(
            f"{run}: no search is running in it; `tuner status {shlex.quote(run)}` says more"
        )
    folder.stop_request.touch()
    until = time.monotonic() + wait_s
    while folder.owner == owner:
        if time.monotonic() > until:
            raise SearchError(
                f"{run}: its search ({owner}) has not ended within {format_duration(wait_s)}; "
                "it may be killed, the same command continues"
            )
        time.sleep(_POLL_S)
    print(f"Stopped {run} ({owner}); the same search command continues it.")


def _seconds(text: str) -> float:
    from tuner.config import parse_duration
    from tuner.errors import ConfigError

    try:
        return parse_duration(text)
    except ValueError as cause:
        raise ConfigError(f"--timeout: {cause}") from cause
