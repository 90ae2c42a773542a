"""A machine's /tmp and the processes that share its GPU through NVIDIA MPS."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GRACE_S = 0.5
JOIN = """
import os, sys
from pathlib import Path
from tuner.execution import mps
state = mps.ensure(mps.MpsMode.AUTO, root=Path(sys.argv[1]), grace_s=float(sys.argv[2]))
print(state.is_running, state.reason, os.environ.get(mps.PIPES), flush=True)
sys.stdin.read()
"""


class Node:
    """A machine's /tmp, and the processes that use MPS there."""

    def __init__(self, program: str = JOIN) -> None:
        """`program` is what a process does that shares a GPU, until its input ends."""
        self.root = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))  # a socket's path is short
        self.folder = self.root / f"tuner-mps-{os.getuid()}"
        self.program = program
        self.clients: list[subprocess.Popen[str]] = []

    def client(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        """A process that shares a GPU."""
        started = subprocess.Popen(
            [sys.executable, "-c", self.program, str(self.root), str(GRACE_S), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.clients.append(started)
        return started

    def answer(self, **environment: str) -> str:
        return read(self.client(**environment))

    @property
    def joined(self) -> str:
        return f"True  {self.folder / 'pipe'}"

    @property
    def starts(self) -> int:
        return len((self.root / "started").read_text(encoding="ascii").splitlines())

    @property
    def daemon(self) -> int:
        pid = self.folder / "pipe" / "nvidia-cuda-mps-control.pid"
        return int(pid.read_text(encoding="ascii"))

    @property
    def keeper(self) -> int:
        (found,) = processes(b"tuner.execution.mps_keeper", str(self.folder).encode())
        return found

    def wait_until_clear(self) -> None:
        wait_for(lambda: not self.folder.exists())
        wait_for(lambda: processes(str(self.folder).encode()) == [])

    def close(self) -> None:
        for client in self.clients:
            client.kill()
            client.communicate()
        for pid in processes(str(self.root).encode()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root)


def read(client: "subprocess.Popen[str]") -> str:
    assert client.stdout is not None
    return client.stdout.readline().strip()


def processes(*words: bytes) -> list[int]:
    """The processes in whose command line or environment these words are, but for this one."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            with suppress(OSError):
                text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                if all(word in text for word in words):
                    found.append(int(process.name))
    return found


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)
