"""The process that workers are forked from: it has imported what they need, while the driver reads data and starts Ray.

Workers that import TensorFlow themselves take 4 to 10 s each, after Ray has started. Here all share one import, which
begins with the command. Nothing runs on Keras' backend and no thread of Ray's or TensorFlow's exists before a fork.

Must not import Ray or Keras at module level: the driver starts the server before it has either.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.execution import ray_internals
from tuner.execution.default_gpus import with_default_gpus
from tuner.execution.forked_worker import FORKED, become
from tuner.execution.worker_internals import FIXED_AT_IMPORT
from tuner.machine import keras_backend
from tuner.settings.config import SearchConfig, TrainerName

_SOCKET = "w"  # short, because paths of sockets have 103 bytes
_KERAS, _NO_KERAS = "keras", "no-keras"
# Not `-m`, which would look for modules in the current folder.
_PROGRAM = (
    "import sys; sys.path.append(sys.argv.pop()); from tuner.execution.fork_server import main; "
    "main()"
)


@dataclass(frozen=True)
class ForkServer:
    """A running server, as the driver sees it."""

    _control: socket.socket
    _process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, *, with_keras: bool) -> "ForkServer":
        """Starts one, which imports at once what needs no Ray.

        Args:
            with_keras: imports Keras on TensorFlow, too.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [
                    *[sys.executable, "-P", *(["-s"] if sys.flags.no_user_site else [])],
                    *["-c", _PROGRAM, _KERAS if with_keras else _NO_KERAS],
                    str(Path(__file__).parents[2]),  # where this package is not installed
                ],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # a terminal's Ctrl-C is the driver's
            )
        return cls(ours, process)

    def listen(self, folder: Path) -> Path:
        """The socket in `folder` at which workers may be requested from now on."""
        path = folder / _SOCKET
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(128)
            with contextlib.suppress(OSError):  # it has ended: workers do without
                socket.send_fds(self._control, [b"\n"], [listener.fileno()])
        return path

    def close(self) -> None:
        """Ends the server, not the workers."""
        self._control.close()
        self._process.kill()
        self._process.wait()


_running: ForkServer | None = None  # Ray, too, is the process's


@contextmanager
def fork_server(config: SearchConfig) -> Iterator[None]:
    """Has a server run meanwhile, unless one does or workers have to start by themselves.

    They have to on clusters, where CUDA may be involved, which does not survive a fork, and on systems where libraries
    do not expect one.
    """
    global _running
    is_possible = sys.platform == "linux" and with_default_gpus(config).gpus == 0
    if (
        _running is not None
        or ray_internals.runs_already()
        or config.address is not None
        or not is_possible
    ):
        yield
        return
    _running = ForkServer.start(with_keras=_imports_keras(config))
    try:
        yield
    finally:
        _running.close()
        _running = None


def running_fork_server() -> ForkServer | None:
    """The server that runs, if any."""
    return _running


def _imports_keras(config: SearchConfig) -> bool:
    backend = keras_backend()[0]
    # The other backends start threads, or read variables that a worker sets, when they are imported.
    return config.trainer is TrainerName.KERAS and backend in ("tensorflow", None)


# -- in the server ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Request:
    """A worker that Ray wants, as `forked_worker.py` describes it."""

    client: socket.socket  # which waits for an answer
    files: list[int]  # standard input, output and error
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    oom_score: str


def main() -> None:
    """Imports, forks a worker per request, and ends with the driver."""
    gc.disable()  # a sixth of the imports' time; workers enable it
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # of a driver that holds signals back
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    _import_beside_ray(with_keras=sys.argv[1] == _KERAS)
    _, files, _, _ = socket.recv_fds(control, 1, 1)
    if not files:
        return
    listener = socket.socket(fileno=files[0])
    request = _serve(control, listener)
    control.close()
    listener.close()
    if request is not None:
        _become(request)


def _import_beside_ray(*, with_keras: bool) -> None:
    """Imports all that workers need and that does not import Ray."""
    import pandas  # noqa: F401 - Tune's
    import pyarrow.fs  # noqa: F401 - Tune's

    if with_keras:
        from tuner.training.keras_internals import import_keras_without_scikit_learn

        import_keras_without_scikit_learn()
        import tuner.training.trial  # noqa: F401


def _serve(control: socket.socket, listener: socket.socket) -> _Request | None:
    """In a forked process the worker to become; None in the server, when the driver has gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    fixed: list[str | None] | None = None
    while True:
        ready, _, _ = select.select([control, listener], [], [])
        if control in ready:
            return None
        request = _receive(listener.accept()[0])
        if request is None:
            continue
        wanted = [request.environment.get(name) for name in FIXED_AT_IMPORT]
        if fixed is None:
            fixed = wanted
            _import_ray(request.environment)
        if wanted == fixed and not os.fork():
            return request
        request.client.close()  # without an answer the client becomes the worker
        for file in request.files:
            os.close(file)


def _receive(client: socket.socket) -> _Request | None:
    """The request of a client; None from one that was ended meanwhile."""
    try:
        _, files, _, _ = socket.recv_fds(client, 1, 3)
        with client.makefile("rb") as stream:
            return _Request(client, files, **json.load(stream))
    except (OSError, ValueError, TypeError):
        client.close()
        return None


def _import_ray(environment: dict[str, str]) -> None:
    """Imports Ray as in the first worker, and what imports Ray; see `FIXED_AT_IMPORT`."""
    os.environ.clear()
    os.environ.update(environment)
    import tuner.execution.trainable  # noqa: F401

    gc.freeze()  # so that workers share the memory of what was imported


def _become(request: _Request) -> None:
    """Makes this forked process what Ray wanted to start, and answers."""
    import numpy as np

    os.setpgid(0, 0)  # as Ray does: it ends a worker together with its group
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(request.files):
        os.dup2(file, number)
        os.close(file)
    Path("/proc/self/oom_score_adj").write_text(request.oom_score, encoding="ascii")
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    gc.enable()
    np.random.seed()  # a person's own architecture may draw from it
    with request.client as client:
        client.sendall(FORKED)
    sys.path.insert(0, "")
    become(request.arguments)
