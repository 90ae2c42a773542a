"""Commands typed here that run on a cluster's head: over ssh as `ray up` set it up, or through Ray's job server.

Must not import Keras or Optuna.
"""

import base64
import binascii
import io
import logging
import os
import posixpath
import shlex
import subprocess
import tarfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from tuner.errors import ConfigError, RunFolderError
from tuner.execution import ray_internals
from tuner.extras import Extra, require
from tuner.storage import is_url
from tuner.text import one_line

_MARK = "tuner> "  # before every line that the head's command prints
_POLL_S = 0.5
_FOLLOW_S = 2.0
_TRIES = 5  # of a question to the job server
_NOT_PACKED = ("lock", "stop")
_HOME_RUNS = "runs"  # where searches on a head keep their run folders


@dataclass(frozen=True)
class Answer:
    """What a command on the head came to."""

    code: int
    output: str


class Head(Protocol):
    """A cluster's head."""

    def call(self, arguments: Sequence[str]) -> Answer:
        """Runs `tuner ARGUMENTS` there, in the home folder, and waits for its end."""

    def run(self, arguments: Sequence[str], say: Callable[[str], None]) -> int:
        """Runs `tuner ARGUMENTS` there likewise, passing its lines on as they come; its exit code."""

    def fetch(self, run: str, folder: Path) -> None:
        """Brings a run folder's files home."""


def head_at(*, cluster: str | None, address: str | None) -> Head:
    """The head of the cluster that is named by its file or by its job server's address.

    Raises:
        ConfigError: both or neither is given, or no such file.
    """
    if cluster is not None and address is not None:
        raise ConfigError("--cluster and --address: give one of them")
    if cluster is not None:
        if not os.path.isfile(cluster):
            raise ConfigError(f"--cluster {cluster}: no such file; write the one of `ray up`")
        return SshHead(cluster)
    if address is None:
        raise ConfigError("--cluster or --address: which cluster? give one of them")
    return JobHead(address)


def run_on_head(run: str) -> str:
    """A run's folder on the head: a bare name is one of `~/runs`."""
    return run if "/" in run else posixpath.join(_HOME_RUNS, run)


class SshHead:
    """The head of a cluster that `ray up` made from `cluster`, its file."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    def call(self, arguments: Sequence[str]) -> Answer:
        """See `Head`."""
        done = self._ray("exec", self._cluster, _framed(arguments))
        answer = _marked(done.stdout)
        if answer is None:
            raise ConfigError(f"--cluster {self._cluster}: its head does not answer: {_last(done)}")
        return answer

    def run(self, arguments: Sequence[str], say: Callable[[str], None]) -> int:
        """See `Head`."""
        marked = _MarkedLines(say)
        with subprocess.Popen(
            ray_internals.command("exec", self._cluster, _framed(arguments)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                marked.hear(line)
        code = marked.exit_code()
        if code is None:
            raise ConfigError(
                f"--cluster {self._cluster}: its head does not answer: {one_line(marked.last)[:200]}"
            )
        return code

    def fetch(self, run: str, folder: Path) -> None:
        """See `Head`."""
        answer = self.call(["status", run])
        if answer.code:
            raise RunFolderError(one_line(answer.output.removeprefix("tuner: ")))
        folder.mkdir(parents=True, exist_ok=True)
        done = self._ray("rsync-down", self._cluster, f"{run}/", f"{folder}/")
        if done.returncode:
            raise RunFolderError(f"{run}: cannot be fetched: {_last(done)}")

    def _ray(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ray_internals.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


class JobHead:
    """The head of a running cluster, by the address of its dashboard: `http://HOST:8265`.

    Whoever knows the cluster's token gets in: `~/.ray/auth_token`, or what `RAY_AUTH_TOKEN` says.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        require(Extra.CLUSTER, f"--address {address}")
        try:
            from ray.job_submission import JobSubmissionClient

            # What it packs, and how it gets in, is no news.
            logging.getLogger("ray").setLevel(logging.ERROR)
            ray_internals.present_token_if_there_is_one()
            self._client: Any = JobSubmissionClient(address)
        except Exception as cause:  # unreachable, refused, not a dashboard: Ray raises many kinds
            reason = one_line(str(cause))[:200]
            raise ConfigError(f"--address {address}: no job server answers: {reason}") from cause

    def call(self, arguments: Sequence[str]) -> Answer:
        """See `Head`."""
        job = self._submit(_framed(arguments), f"tuner-{arguments[0]}-{_unique()}")
        self._wait(job)
        answer = _marked(self._ask("get_job_logs", job))
        if answer is None:
            info = self._ask("get_job_info", job)
            raise ConfigError(
                f"--address {self._address}: the command did not run: {one_line(info.message or '')[:200]}"
            )
        with suppress(Exception):
            self._client.delete_job(job)
        return answer

    def run(self, arguments: Sequence[str], say: Callable[[str], None]) -> int:
        """See `Head`."""
        marked = _MarkedLines(say)
        job = self._submit(_framed(arguments), f"tuner-{arguments[0]}-{_unique()}")
        self.follow(job, marked.hear)
        code = marked.exit_code()
        if code is None:
            raise ConfigError(
                f"--address {self._address}: the command did not run: {one_line(marked.last)[:200]}"
            )
        return code

    def fetch(self, run: str, folder: Path) -> None:
        """See `Head`."""
        answer = self.call(["pack", run])
        if answer.code:
            raise RunFolderError(one_line(answer.output.removeprefix("tuner: ")))
        unpack(answer.output, folder)

    def submit(
        self, entrypoint: str, *, name: str, working_dir: Path, environment: Mapping[str, str]
    ) -> str:
        """Starts a job that goes on without us; returns its id."""
        job = f"tuner-{name}-{_unique()}"
        return self._submit(entrypoint, job, working_dir=str(working_dir), env_vars=environment)

    def follow(self, job: str, say: Callable[[str], None]) -> bool:
        """Passes a job's lines on until it ends; whether it succeeded.

        The logs are asked for again and again: following them ends early
        (https://github.com/ray-project/ray/issues/51601).
        """
        shown = 0
        while True:
            status = self._ask("get_job_status", job)
            logs = self._ask("get_job_logs", job)
            whole = len(logs) if status.is_terminal() else logs.rfind("\n") + 1
            for line in logs[shown:whole].splitlines():
                say(line)
            shown = whole
            if status.is_terminal():
                return str(status) == "SUCCEEDED"
            time.sleep(_FOLLOW_S)

    def _ask(self, question: str, job: str) -> Any:
        """What the job server says of a job; it may be starting anew, or the connection be gone for a while.

        Raises:
            ConfigError: it does not answer.
        """
        for attempt in range(_TRIES):
            try:
                return getattr(self._client, question)(job)
            except Exception as cause:
                if attempt == _TRIES - 1:
                    raise ConfigError(
                        f"--address {self._address}: does not answer any more ({one_line(str(cause))[:200]}); "
                        f"job {job} goes on"
                    ) from cause
                time.sleep(2.0**attempt)
        raise AssertionError("unreachable")

    def _submit(self, entrypoint: str, job: str, **runtime_env: Any) -> str:
        try:
            submitted: str = self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=job,
                runtime_env=runtime_env,
                entrypoint_num_cpus=0,
            )
        except Exception as cause:
            reason = one_line(str(cause))[:200]
            raise ConfigError(f"--address {self._address}: refused the job: {reason}") from cause
        return submitted

    def _wait(self, job: str) -> None:
        while not self._ask("get_job_status", job).is_terminal():
            time.sleep(_POLL_S)


def fetch_from_storage(place: str, folder: Path) -> None:
    """Brings home the run folder that a search keeps behind a URL.

    Raises:
        RunFolderError: there is none.
    """
    from tuner.run.copies import take_over
    from tuner.run.folder import RunFolder
    from tuner.storage import Storage

    assert is_url(place)
    home = RunFolder(folder)
    if not take_over(home, Storage(place)):
        raise RunFolderError(f"{place}: no run there (no {home.journal.name} in it)")


def pack(folder: Path) -> str:
    """A run folder as text: a compressed archive in base64."""
    content = io.BytesIO()
    # The journal last: whoever has it has what the other files say, too. A search may be writing meanwhile.
    files = sorted(folder.rglob("*"), key=lambda path: (path.name == "study.journal", path))
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in files:
            with suppress(FileNotFoundError):
                if path.is_file() and path.name not in _NOT_PACKED and path.suffix != ".tmp":
                    read = path.read_bytes()
                    member = tarfile.TarInfo(str(path.relative_to(folder)))
                    member.size = len(read)
                    member.mtime = int(path.stat().st_mtime)
                    archive.addfile(member, io.BytesIO(read))
    return base64.encodebytes(content.getvalue()).decode()


def unpack(text: str, folder: Path) -> None:
    """The inverse of `pack`.

    Raises:
        RunFolderError: `text` is damaged, or would write outside of `folder`.
    """
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            folder.mkdir(parents=True, exist_ok=True)
            archive.extractall(folder, filter="data")
    except (binascii.Error, tarfile.TarError, EOFError, zlib.error) as cause:
        raise RunFolderError(
            f"what came home is damaged ({one_line(str(cause))}); fetch it again"
        ) from cause


def _framed(arguments: Sequence[str]) -> str:
    """A shell command that prints what `tuner ARGUMENTS` prints, then its exit code, with a mark before every line."""
    words = shlex.join(["tuner", *arguments])
    return f"cd; {{ {words}; code=$?; echo; echo $code; }} 2>&1 | sed -u 's/^/{_MARK}/'"


def _marked(output: str) -> Answer | None:
    """What the marked lines say; among them Ray has its own say."""
    lines = [line.rstrip("\r") for line in output.split("\n")]
    *said, code = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)] or [""]
    return Answer(int(code), "\n".join(said).strip("\n")) if code.isdecimal() else None


class _MarkedLines:
    """What `_framed` prints, as it comes: passes the marked lines on, all but the exit code."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._held: list[str] = []  # the last two may be the line end and the exit code
        self.last = "no answer"  # of the lines that are not marked: Ray's complaint, perhaps

    def hear(self, line: str) -> None:
        """One line of the output."""
        line = line.rstrip("\r\n")
        if not line.startswith(_MARK):
            self.last = line.strip() or self.last
            return
        self._held.append(line.removeprefix(_MARK))
        if len(self._held) > 2:
            self._say(self._held.pop(0))

    def exit_code(self) -> int | None:
        """When all is heard; None where the command did not end."""
        *rest, code = self._held or [""]
        for line in filter(None, rest):
            self._say(line)
        return int(code) if code.isdecimal() else None


def _last(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return one_line(lines[-1])[:200] if lines else f"exit code {done.returncode}"


def _unique() -> str:
    return f"{time.strftime('%H%M%S')}-{uuid4().hex[:4]}"
