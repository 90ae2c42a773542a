"""NVIDIA MPS (Multi-Process Service) on this machine, for processes that share a GPU: started, joined, ended.

Without it the processes on a GPU take turns; with it their kernels run side by side. One control daemon serves a
user's processes on a machine, of all searches, in a folder of its own below /tmp. The first process that shares a GPU
starts it, before it touches CUDA. Every process that uses it holds a lock on a file there for its life, so that
`tuner.execution.mps_keeper` ends the daemon when the last one is gone, however it went. A daemon that the person runs
is used and left alone.

Must not import Ray, Keras or TensorFlow: the keeper lives as long as a search.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tuner.files import lock_file, make_private
from tuner.nvidia import MpsMode, ask_driver, first_gpu
from tuner.text import one_line

PIPES = "CUDA_MPS_PIPE_DIRECTORY"
_LOGS = "CUDA_MPS_LOG_DIRECTORY"
_PROGRAM = "nvidia-cuda-mps-control"
_ROOT = Path("/tmp")  # a socket's path has 107 bytes, so TMPDIR may be too long
_GRACE_S = 15.0  # between two processes of a search, or two searches
_ANSWER_S = 20.0  # of the control program
_TRIES = 3  # to reach a daemon that has clients
_AGAIN_S = 1.0  # between them
_SERVER_S = 60.0  # without persistence mode each GPU is started first
_STARTING_S = 180.0  # of another process that is at it
_FAILURE_S = 300.0  # until it is tried again
_POLL_S = 0.2
_VOLTA = 7, 0  # on older GPUs a client may write into the memory of another
_FAILURE = "failure"
JOINED = "This process uses its GPU through NVIDIA MPS."  # in the log of one that does
_held: list[IO[str]] = []  # open until this process ends


@dataclass(frozen=True)
class MpsState:
    """Whether this process' kernels run through MPS."""

    is_running: bool
    reason: str = ""  # why not, in one line


def ensure(wanted: MpsMode, *, root: Path = _ROOT, grace_s: float = _GRACE_S) -> MpsState:
    """Has this process use MPS, which is started where it does not run. Call it before anything touches CUDA.

    Args:
        root: where the folder of the daemon is.
        grace_s: how long the daemon outlives the last process that uses it.
    """
    if wanted is MpsMode.OFF:
        return MpsState(False, "--mps off")
    folder = _folder(root)
    try:
        state = _without_start(root)
        if state is not None:
            return state
        reason = _join(folder, grace_s)
    except (OSError, subprocess.SubprocessError) as error:
        reason = _reason_of(error)
    if reason is not None:
        return MpsState(False, reason)
    os.environ.update(_environment(folder))
    return MpsState(True)


def mps_state(*, root: Path = _ROOT) -> MpsState:
    """Whether MPS runs that `ensure` would use; without a reason where `ensure` would start it. Starts nothing."""
    pipes = _folder(root) / "pipe"
    try:
        state = _without_start(root)
        return state or MpsState(pipes.is_dir() and _answers(pipes))
    except (OSError, subprocess.SubprocessError) as error:
        return MpsState(False, _reason_of(error))


def lock(folder: Path) -> IO[str]:
    """The lock on starting and ending MPS in `folder`, held while the file is open.

    Raises:
        FileNotFoundError: the folder is gone.
        TimeoutError: another process does not let it go.
    """
    file = open(folder / "lock", "a", encoding="ascii")  # noqa: SIM115 - its owner closes it
    if not lock_file(file, wait_s=_STARTING_S):
        file.close()
        raise TimeoutError(f"{folder}: another process is starting MPS since {_STARTING_S:g} s")
    try:
        if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / "lock")):
            return file
    except FileNotFoundError:
        pass
    file.close()  # whoever had the lock has removed the folder
    raise FileNotFoundError(folder)


def is_used(folder: Path) -> bool:
    """Whether a living process uses MPS in `folder`."""
    with open(folder / "clients", "a", encoding="ascii") as file:
        return not lock_file(file)


def end(folder: Path) -> None:
    """Ends MPS in `folder` and removes it; only while its lock is held."""
    pipes = folder / "pipe"
    with suppress(OSError, subprocess.SubprocessError):
        _ask("quit", pipes)
    _kill_all(pipes)
    shutil.rmtree(folder, ignore_errors=True)


def _folder(root: Path) -> Path:
    return root / f"tuner-mps-{os.getuid()}"


def _without_start(root: Path) -> MpsState | None:
    """What holds without starting anything; None where MPS in this user's own folder decides."""
    folder = _folder(root)
    given = os.environ.get(PIPES)
    if given and Path(given) != folder / "pipe":
        if _answers(Path(given)):
            return MpsState(True)
        return MpsState(False, f"{PIPES} is {given}, but no MPS answers there; unset it")
    persons = root / "nvidia-mps"  # where CUDA looks by itself
    if _is_trusted(persons) and _answers(persons):
        return MpsState(True)
    if shutil.which(_PROGRAM) is None:
        return MpsState(False, f"{_PROGRAM} is missing, which comes with NVIDIA's driver")
    reason = _what_the_gpu_lacks() or _recent_failure(folder)
    return None if reason is None else MpsState(False, reason)


def _join(folder: Path, grace_s: float) -> str | None:
    """Starts MPS in `folder` unless it runs there, and uses it; why that is not possible, or None."""
    with _claim(folder):
        if (
            reason := _recent_failure(folder)
        ) is not None:  # just now, by the last to hold the lock
            return reason
        has_others = is_used(folder)
        clients = open(folder / "clients", "a", encoding="ascii")  # noqa: SIM115 - for this process' life
        lock_file(clients, shared=True, wait_s=_ANSWER_S)  # the keeper asks now and then
        try:
            reason = None if _lives(folder / "pipe", has_others) else _start(folder)
            if reason is None:
                try:
                    _keep(folder, grace_s)
                except (OSError, subprocess.SubprocessError):
                    if not has_others:  # else the next process to join tries again
                        raise
                _held.append(clients)
                return None
        except (OSError, subprocess.SubprocessError) as error:
            reason = _reason_of(error)
        clients.close()
        if not is_used(folder):
            end(folder)
            make_private(folder)
        (folder / _FAILURE).write_text(reason, encoding="utf-8", errors="backslashreplace")
        return reason


def _recent_failure(folder: Path) -> str | None:
    """Why MPS did not start a short time ago: each try takes up to a minute, and every process of a search tries."""
    failure = folder / _FAILURE
    with suppress(FileNotFoundError):
        if time.time() - failure.stat().st_mtime < _FAILURE_S:
            return failure.read_text(encoding="utf-8")
    return None


def _is_trusted(folder: Path) -> bool:
    """Whether this user or root has made a folder, in a place where all may write."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid in (0, os.getuid())


def _what_the_gpu_lacks() -> str | None:
    """Why this process' GPU is not for MPS; None where it is, or nothing is known of it."""
    gpu = first_gpu(os.environ, ask_driver)
    if gpu is not None and gpu.uuid.startswith("MIG-"):
        return "it is not started for the slices of a GPU (MIG)"
    if gpu is not None and gpu.capability is not None and gpu.capability < _VOLTA:
        return f"it needs a GPU from 2017 on (Volta), and {gpu.name} is older"
    return None


def _claim(folder: Path) -> IO[str]:
    """The folder's lock; makes the folder."""
    while True:
        make_private(folder)
        with suppress(FileNotFoundError):  # the keeper has just removed it
            return lock(folder)


def _environment(folder: Path) -> dict[str, str]:
    return {PIPES: str(folder / "pipe"), _LOGS: str(folder / "log")}


def _answers(pipes: Path) -> bool:
    """Whether a control daemon answers in this folder."""
    if shutil.which(_PROGRAM) is None:  # a container whose host runs MPS
        return (pipes / "control").exists()
    try:
        return _ask("get_server_list", pipes).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _lives(pipes: Path, has_clients: bool) -> bool:
    """Whether a control daemon answers. On a busy machine it may be late, and to replace it ends all its clients."""
    patience = _TRIES if has_clients and any(_processes_of(pipes)) else 1
    for tries in range(patience):
        if tries:
            time.sleep(_AGAIN_S)
        if _answers(pipes):
            return True
    return False


def _ask(command: str, pipes: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [_PROGRAM],
        input=f"{command}\n",
        env={**os.environ, PIPES: str(pipes)},
        capture_output=True,
        text=True,
        check=False,
        timeout=_ANSWER_S,
        start_new_session=True,  # a signal for the search is not for it
    )


def _start(folder: Path) -> str | None:
    """Starts control daemon and server; why they do not run, or None."""
    pipes, logs = folder / "pipe", folder / "log"
    (folder / _FAILURE).unlink(missing_ok=True)
    _kill_all(pipes)  # one that does not answer
    for each in (pipes, logs):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(mode=0o700)
    # It serves all GPUs, in the order of their slots, as its clients count them.
    environment = {**os.environ, **_environment(folder), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    # From driver 615 on a person may prefer version 3, which has other commands.
    environment["CUDA_MPS_PROTOCOL_VERSION"] = "2"
    said = logs / "start.txt"  # no pipe: the daemon may keep it open
    with open(said, "wb") as output:
        started = subprocess.run(
            [_PROGRAM, "-d"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            timeout=_ANSWER_S,
            start_new_session=True,
        )
    if started.returncode != 0 or not _answers(pipes):
        return _reason(f"{_PROGRAM} does not start", said, logs / "control.log")
    # Where no server can run, CUDA would find no GPU at all.
    _ask(f"start_server -uid {os.getuid()}", pipes)
    until = time.monotonic() + _SERVER_S
    while not any(word.isdecimal() for word in _ask("get_server_list", pipes).stdout.split()):
        if time.monotonic() >= until:
            return _reason("NVIDIA's MPS server does not start", logs / "server.log")
        time.sleep(_POLL_S)
    return None


def _reason_of(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{' '.join(error.cmd)} does not answer within {_ANSWER_S:g} s"
    return one_line(str(error))


def _reason(problem: str, *logs: Path) -> str:
    """The problem, with the last line of the first log that has one."""
    for log in logs:
        with suppress(OSError):
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines:
                return f"{problem}: {one_line(lines[-1])}"
    return problem


def _keep(folder: Path, grace_s: float) -> None:
    """Starts the keeper unless one lives. It inherits the lock that shows that."""
    modules = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    with open(folder / "keeper", "a", encoding="ascii") as file:
        if lock_file(file):
            subprocess.run(
                [sys.executable, "-m", "tuner.execution.mps_keeper", str(folder), str(grace_s)],
                pass_fds=[file.fileno()],
                env={**os.environ, "PYTHONPATH": modules},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                check=True,
                timeout=_SERVER_S,
                start_new_session=True,
            )


def _kill_all(pipes: Path) -> None:
    """Kills control daemon and servers of this folder."""
    for pid in _processes_of(pipes):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes_of(pipes: Path) -> Iterator[int]:
    wanted = os.fsencode(f"{PIPES}={pipes}")
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it has ended, or is another user's
                words = (process / "cmdline").read_bytes().split(b"\0")
                programs = [
                    os.path.basename(word) for word in words[:3]
                ]  # a script's name is not the first
                is_mps = any(name.startswith(b"nvidia-cuda-mps-") for name in programs)
                if is_mps and wanted in (process / "environ").read_bytes().split(b"\0"):
                    yield int(process.name)
