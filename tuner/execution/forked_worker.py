"""The program that Ray runs in place of its own to start a worker: the fork server makes the worker, this one ends.

Where the server does not, this process becomes the worker, as if there were no server. Run by its path, in every
worker that Ray starts: it must import nothing of tuner, and little else.
"""

import contextlib
import json
import os
import runpy
import socket
import sys
from pathlib import Path

SERVER = "TUNER_FORK_SERVER"  # the variable that names the server's socket
PROGRAM = "TUNER_WORKER_PROGRAM"  # and the one that names Ray's own program
FORKED = b"forked"
_TIMEOUT_S = 40.0  # of the minute after which Ray gives a worker up


def main() -> None:
    """Has a worker forked, or becomes one."""
    if not _is_forked():
        become(sys.argv)


def become(arguments: list[str]) -> None:
    """Runs Ray's own program with these arguments."""
    program = os.environ[PROGRAM]
    sys.argv = [program, *arguments[1:]]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


def _is_forked() -> bool:
    with contextlib.suppress(OSError, KeyError), socket.socket(socket.AF_UNIX) as server:
        server.settimeout(_TIMEOUT_S)
        server.connect(os.environ[SERVER])
        request = {
            "arguments": sys.argv,
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "oom_score": Path("/proc/self/oom_score_adj").read_text(encoding="ascii"),
        }
        socket.send_fds(server, [b"\n"], [0, 1, 2])
        server.sendall(json.dumps(request).encode("ascii"))
        server.shutdown(socket.SHUT_WR)
        return server.recv(len(FORKED)) == FORKED
    return False


if __name__ == "__main__":
    main()
