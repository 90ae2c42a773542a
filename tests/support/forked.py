"""Commands whose process is forked from one that has imported everything: a start takes 0.3 s of a core, not 3.

Their trials run in that very process, without Ray.
"""

import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

from tuner.cli import main

_FORKING = multiprocessing.get_context("forkserver")


class Forked:
    """A running `tuner WORDS`, with as much of `subprocess.Popen` as tests need."""

    def __init__(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        _start_server()
        with tempfile.NamedTemporaryFile(delete=False) as errors:
            self._errors = Path(errors.name)
        variables = {**os.environ, **(environment or {})}
        given = (words, str(folder), variables, str(self._errors))
        self._process = _FORKING.Process(target=_run, args=given)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Negative where a signal ended it; None before its end."""
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has written on standard error, once it has ended; standard output is not kept.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired("tuner", timeout or 0.0)
        error = self._errors.read_text(encoding="utf-8")
        self._errors.unlink()
        return "", error

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


@functools.cache
def _start_server() -> None:
    """The process that is forked. It gets its path from the environment alone, and imports nothing without."""
    _FORKING.set_forkserver_preload(["support.in_process"])
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        forkserver.ensure_running()


def _run(words: Sequence[str], folder: str, environment: Mapping[str, str], errors: str) -> None:
    from support.in_process import trials_in_this_process

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((os.devnull, 1), (errors, 2)):
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = ["tuner", *words]
    with trials_in_this_process():
        main()
