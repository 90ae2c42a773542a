"""Commands that train or predict, each in a process of its own, forked from one that has imported TensorFlow.

That takes 4 s of a core less per command. Nothing runs on TensorFlow before the fork, so every command configures it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.commands import Ended


class KerasCommands:
    """Runs `tuner WORDS` as an installed command: the current folder is not on Python's path."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server

    def __call__(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        errors: Path | None = None,
    ) -> Ended:
        """How the command ended; standard error goes to `errors`, such as a terminal, if that is given."""
        variables = {**os.environ, **(environment or {})}
        with tempfile.TemporaryDirectory() as printed:
            out, err = Path(printed) / "out", Path(printed) / "err"
            err.touch()
            request = [[*words], str(folder), variables, str(out), str(errors or err)]
            print(json.dumps(request), file=self._server.stdin, flush=True)
            assert self._server.stdout
            code = int(self._server.stdout.readline())
            return Ended(code, out.read_text("utf-8"), err.read_text("utf-8"))


@contextmanager
def keras_commands() -> Iterator[KerasCommands]:
    """What runs commands as long as this is open."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", "from support.forked_keras import serve; serve()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        yield KerasCommands(server)


def serve() -> None:
    """Forks a process per request on standard input, and writes its exit code."""
    from tuner.training.keras_internals import import_keras_without_scikit_learn

    import_keras_without_scikit_learn()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tuner.export.prediction
    import tuner.training.trial  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(
    words: Sequence[str], folder: str, environment: Mapping[str, str], out: str, err: str
) -> None:
    from tuner.cli import main

    flags = os.O_WRONLY | os.O_CREAT | os.O_NOCTTY
    for path, number in ((out, 1), (err, 2)):
        handle = os.open(path, flags)
        os.dup2(handle, number)
        os.close(handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tuner", *words]
    main()
