"""A cluster's head, on which commands typed here run: over ssh as `ray up` set it up, or through Ray's job server."""

import os
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tuner.errors import ConfigError
from tuner.execution.job_head import JobHead
from tuner.execution.marked_output import Answer
from tuner.execution.ssh_head import SshHead

_HOME_RUNS = "runs"  # where searches on a head keep their run folders


class Head(Protocol):
    """A cluster's head.

    Its methods raise ConfigError where the head cannot be reached or the command does not run.
    """

    def capture(self, arguments: Sequence[str]) -> Answer:
        """Runs `tuner ARGUMENTS` there, in the home folder, and waits for its end."""

    def stream(self, arguments: Sequence[str], show: Callable[[str], None]) -> int:
        """Runs `tuner ARGUMENTS` there, passes its lines on as they come, and returns its exit code."""

    def fetch(self, run: str, folder: Path) -> None:
        """Copies the files of a run folder there into `folder`."""


def head_at(*, cluster: str | None, address: str | None) -> Head:
    """The head of the cluster that is named by its file or by its job server's address.

    Raises:
        ConfigError: both or neither is given, or there is no such file.
    """
    if cluster is not None and address is not None:
        raise ConfigError("--cluster and --address: give one of them")
    if cluster is not None:
        if not os.path.isfile(cluster):
            raise ConfigError(
                f"--cluster {cluster}: no such file; name the cluster file that you gave to `ray up`"
            )
        return SshHead(cluster)
    if address is None:
        raise ConfigError("--cluster or --address: the cluster is not named; give one of them")
    return JobHead(address)


def run_on_head(run: str) -> str:
    """A run's folder on the head: a bare name means one in `~/runs`."""
    return run if "/" in run else posixpath.join(_HOME_RUNS, run)
