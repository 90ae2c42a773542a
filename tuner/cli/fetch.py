"""`tuner fetch`."""

import os
import posixpath
import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli import options
from tuner.errors import RunFolderError


def fetch(
    run: Annotated[
        str,
        typer.Argument(
            help="The run's name or folder on the head, or a URL such as s3://bucket/runs/name.",
            metavar="RUN",
        ),
    ],
    cluster: options.Cluster = None,
    address: options.Address = None,
    out: Annotated[
        str, typer.Option(help="Folder of the runs on this machine.", metavar="PATH")
    ] = "runs",
) -> None:
    """Copy a run from a cluster to this machine. The same command again updates the copy."""
    from tuner.execution.fetching import fetch_from_storage
    from tuner.execution.head import head_at, run_on_head
    from tuner.run.copies import adopt
    from tuner.run.folder import RunFolder
    from tuner.storage import is_url

    name = posixpath.basename(run.rstrip("/"))
    if name in {"", ".", ".."}:
        raise RunFolderError(f"{run}: names no run; write the run's name after it")
    head = None if is_url(run) else head_at(cluster=cluster, address=address)
    folder = RunFolder(Path(os.path.expanduser(out)) / name)
    with tempfile.TemporaryDirectory(prefix="tuner-fetched-") as fetched:
        if head is None:
            fetch_from_storage(run, Path(fetched))
        else:
            head.fetch(run_on_head(run), Path(fetched))
        adopt(folder, Path(fetched))
    print(f"Leaderboard: {folder.leaderboard}")
    print(f"Next:        tuner leaderboard {shlex.quote(str(folder.path))}")
