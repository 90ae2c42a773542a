"""The output of a command that ran on a head, distinguished from Ray's own by a mark before every line."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MARK = "tuner> "


@dataclass(frozen=True)
class Answer:
    """The output of a command on the head, and its exit code."""

    code: int
    output: str


def marking_command(arguments: Sequence[str]) -> str:
    """A shell command that prints the output of `tuner ARGUMENTS` and then its exit code, every line with a mark."""
    words = shlex.join(["tuner", *arguments])
    return f"cd; {{ {words}; code=$?; echo; echo $code; }} 2>&1 | sed -u 's/^/{_MARK}/'"


def read_answer(output: str) -> Answer | None:
    """The answer in the marked lines of `output`; None where the command did not end."""
    lines = [line.rstrip("\r") for line in output.split("\n")]
    *printed, code = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)] or [""]
    return Answer(int(code), "\n".join(printed).strip("\n")) if code.isdecimal() else None


class MarkedLines:
    """Passes marked lines on as they come, all but the exit code.

    Args:
        show: receives each line without its mark.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._held: list[str] = []  # the last two may be the line end and the exit code
        self.last_unmarked = "no answer"  # Ray's complaint, perhaps

    def add(self, line: str) -> None:
        """Takes one line of the output."""
        line = line.rstrip("\r\n")
        if not line.startswith(_MARK):
            self.last_unmarked = line.strip() or self.last_unmarked
            return
        self._held.append(line.removeprefix(_MARK))
        if len(self._held) > 2:
            self._show(self._held.pop(0))

    def exit_code(self) -> int | None:
        """The command's exit code, after the last line; None where the command did not end."""
        *rest, code = self._held or [""]
        for line in filter(None, rest):
            self._show(line)
        return int(code) if code.isdecimal() else None
