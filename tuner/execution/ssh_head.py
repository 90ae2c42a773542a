"""The head of a cluster that `ray up` made, reached over ssh by Ray's own commands."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tuner.errors import ConfigError, RunFolderError
from tuner.execution import ray_internals
from tuner.execution.marked_output import Answer, MarkedLines, marking_command, read_answer
from tuner.text import one_line, short_reason


class SshHead:
    """See `tuner.execution.head.Head`.

    Args:
        cluster: the file that `ray up` made the cluster from.
    """

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    def capture(self, arguments: Sequence[str]) -> Answer:
        """See `Head`."""
        done = self._ray("exec", self._cluster, marking_command(arguments))
        answer = read_answer(done.stdout)
        if answer is None:
            raise self._no_answer(_last_line(done))
        return answer

    def stream(self, arguments: Sequence[str], show: Callable[[str], None]) -> int:
        """See `Head`."""
        marked = MarkedLines(show)
        with subprocess.Popen(
            ray_internals.command("exec", self._cluster, marking_command(arguments)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                marked.add(line)
        code = marked.exit_code()
        if code is None:
            raise self._no_answer(short_reason(marked.last_unmarked))
        return code

    def fetch(self, run: str, folder: Path) -> None:
        """See `Head`."""
        answer = self.capture(["status", run])
        if answer.code:
            raise RunFolderError(one_line(answer.output.removeprefix("tuner: ")))
        folder.mkdir(parents=True, exist_ok=True)
        done = self._ray("rsync-down", self._cluster, f"{run}/", f"{folder}/")
        if done.returncode:
            raise RunFolderError(f"{run}: cannot be fetched: {_last_line(done)}")

    def _ray(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ray_internals.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def _no_answer(self, reason: str) -> ConfigError:
        return ConfigError(f"--cluster {self._cluster}: its head does not answer: {reason}")


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return short_reason(lines[-1]) if lines else f"exit code {done.returncode}"
