"""`tuner submit`."""

import os
import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import Modules, shown


def submit(
    config: Annotated[
        Path,
        typer.Argument(help="A YAML file of the settings of `tuner search`.", metavar="CONFIG"),
    ],
    address: Annotated[
        str, typer.Option(help="Address of the cluster's dashboard.", metavar="URL")
    ] = "http://localhost:8265",
    detach: Annotated[
        bool, typer.Option("--detach", help="Return at once instead of showing the search.")
    ] = False,
    modules: Modules = None,
) -> int:
    """Search on a running Ray cluster, as a job. It continues without this terminal."""
    from tuner.execution.job_head import JobHead
    from tuner.execution.submission import pack_submission
    from tuner.run.folder import RUN_FILE
    from tuner.settings.config import make_config
    from tuner.training.own_modules import check_own_space, name_modules

    name_modules(modules or ())
    config = Path(os.path.expanduser(config))
    settings = make_config({}, config_file=config)
    check_own_space(settings, config)
    with tempfile.TemporaryDirectory() as folder:
        pack_submission(settings, Path(folder))
        head = JobHead(address)
        job = head.submit(
            f"tuner search --address auto --config {RUN_FILE}",
            name=settings.run_name,
            working_dir=Path(folder),
            environment={"COLUMNS": "120"},
        )
    run = settings.run_name if settings.out == "runs" else settings.place
    where = f"{shlex.quote(run)} --address {address}"
    print(f"Submitted as {job}. It continues without this terminal:")
    for command in ("status", "stop", "fetch"):
        print(f"  tuner {command} {where}")
    if detach:
        return 0
    return 0 if head.follow(job, lambda line: print(shown(line))) else 1
