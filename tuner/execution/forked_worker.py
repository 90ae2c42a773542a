"""The program that Ray runs in place of its own to set a worker up: the fork server makes the worker, this one ends.

Ray's own imports Ray, half a second of a core, and then runs the worker's program. Where the server makes none, or
where there is more to set up, Ray's own takes over, as if there were no server. Run by its path, for every worker that
Ray starts: it must import nothing of tuner, and little else.
"""

import contextlib
import json
import os
import runpy
import socket
import sys
from pathlib import Path

SERVER = "TUNER_FORK_SERVER"  # the variable that names the server's socket
SETUP = "TUNER_WORKER_SETUP"  # and the one that names Ray's own program
FORKED = b"forked"
# Ray's own takes these two away from the worker's arguments (ray/_private/workers/setup_worker.py).
RUNTIME_ENVIRONMENT = "--serialized-runtime-env-context"
LANGUAGE = "--language"
_TIMEOUT_S = 40.0  # of the minute after which Ray gives a worker up


def main() -> None:
    """Has a worker forked, or has Ray's own program set one up."""
    if not _is_forked():
        os.execv(sys.executable, [sys.executable, os.environ[SETUP], *sys.argv[1:]])


def become(arguments: list[str]) -> None:
    """Runs a program of Python's, the first of these arguments, with the others."""
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).parent)
    runpy.run_path(arguments[0], run_name="__main__")


def _is_forked() -> bool:
    # Refused is what Ray's own program has to do, and where there is no server.
    with (
        contextlib.suppress(OSError, KeyError, ValueError),
        socket.socket(socket.AF_UNIX) as server,
    ):
        arguments, variables = _worker(sys.argv[1:])
        server.settimeout(_TIMEOUT_S)
        server.connect(os.environ[SERVER])
        request = {
            "arguments": arguments,
            "environment": {**os.environ, **variables},
            "folder": os.getcwd(),
            "oom_score": Path("/proc/self/oom_score_adj").read_text(encoding="ascii"),
        }
        socket.send_fds(server, [b"\n"], [0, 1, 2])
        server.sendall(json.dumps(request).encode("ascii"))
        server.shutdown(socket.SHUT_WR)
        return server.recv(len(FORKED)) == FORKED
    return False


def _worker(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """A worker's program with its arguments, and its own variables.

    Raises:
        ValueError: more has to be set up than variables.
    """
    options = {LANGUAGE: "", RUNTIME_ENVIRONMENT: "{}"}
    arguments: list[str] = []
    for word in words:
        name, _, value = word.partition("=")
        if name in options:
            options[name] = value
        elif arguments or not word.startswith("-"):
            arguments.append(word)
        # else an option of the interpreter, which the server has, too
    context = json.loads(options[RUNTIME_ENVIRONMENT])
    variables: dict[str, str] = context.pop("env_vars", {})
    is_plain = context.pop("py_executable", sys.executable) == sys.executable
    if options[LANGUAGE] != "PYTHON" or not is_plain or any(context.values()):
        raise ValueError
    if any("$" in value for value in variables.values()):  # Ray puts other variables in
        raise ValueError
    return arguments, variables


if __name__ == "__main__":
    main()
