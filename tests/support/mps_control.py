"""Stands in for NVIDIA's `nvidia-cuda-mps-control`: a daemon behind a socket, and a client that hands it commands.

`-d` starts the daemon, which leaves its process' number and its socket in the pipe folder; without it, commands are
read from the standard input. The variable MPS_TEST makes it fail: `refuse`, `hang`, `no server`, or `late`, by which
the first command finds no answer.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path

PIPES = Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"])
CONTROL, PID = PIPES / "control", PIPES / "nvidia-cuda-mps-control.pid"
FAULT = os.environ.get("MPS_TEST", "")


def answer(command: str, server: list[str]) -> str:
    if command.startswith("start_server") and FAULT != "no server":
        server[:] = ["4711"]
    if command.startswith("quit"):
        for path in (CONTROL, PID):
            path.unlink()
        Path(os.environ["CUDA_MPS_LOG_DIRECTORY"], "..", "..", "ended").touch()
    return "\n".join(server) if command == "get_server_list" else ""


def serve() -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(CONTROL))
        listening.listen()
        PID.write_text(str(os.getpid()), encoding="ascii")
        server: list[str] = []
        command = ""
        while not command.startswith("quit"):
            connection, _ = listening.accept()
            with connection:
                command = connection.recv(1000).decode().strip()
                connection.sendall(answer(command, server).encode())


def start() -> int:
    if FAULT == "refuse":
        print("Failed to start: the driver does not support MPS", file=sys.stderr)
        return 1
    if CONTROL.exists():
        print("An instance of this daemon is already running")
        return 1
    log = Path(os.environ["CUDA_MPS_LOG_DIRECTORY"], "control.log")
    log.write_text("Starting control daemon\n", encoding="ascii")
    log.with_name("server.log").write_text("no device\n", encoding="ascii")
    with open(PIPES.parent.parent / "started", "a", encoding="ascii") as starts:
        starts.write(os.environ.get("CUDA_VISIBLE_DEVICES", "all") + "\n")
    if os.fork() == 0:
        os.setsid()
        serve()
        return 0
    while not PID.exists():
        time.sleep(0.01)
    return 0


def ask(command: str) -> int:
    late = PIPES / "late"
    if FAULT == "late" and not late.exists():
        late.touch()
        return 1
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(CONTROL))
            connection.sendall(command.encode())
            print(connection.recv(1000).decode())
    except OSError:
        print("Cannot find MPS control daemon process")
        return 1
    return 0


if FAULT == "hang":
    signal.pause()
sys.exit(start() if "-d" in sys.argv else ask(sys.stdin.read().strip()))
