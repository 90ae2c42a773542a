"""`tuner fetch`."""

import os
import posixpath
import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli import on_head


def fetch(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's name on the head, its folder there, or an s3:// URL and the like."
        ),
    ],
    cluster: on_head.Cluster = None,
    address: on_head.Address = None,
    out: Annotated[str, typer.Option(help="Folder of the runs here.", show_default=True)] = "runs",
) -> None:
    """Bring a run home from a cluster: leaderboard, journal, curves, logs. Again, it brings what is new."""
    from tuner.remote import fetch_from_storage, head_at, run_on_head
    from tuner.run_folder import RunFolder
    from tuner.storage import is_url

    folder = Path(os.path.expanduser(out)) / posixpath.basename(run.rstrip("/"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetched-") as fetched:
        if is_url(run):
            fetch_from_storage(run, Path(fetched))
        else:
            head_at(cluster=cluster, address=address).fetch(run_on_head(run), Path(fetched))
        RunFolder(folder).adopt(Path(fetched))
    print(f"Leaderboard: {folder / 'leaderboard.csv'}")
    print(f"Next:        tuner leaderboard {shlex.quote(str(folder))}")
