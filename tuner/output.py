"""Keeps the output of Ray and TensorFlow off the screen: it goes to the run's logs."""

import errno
import os
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_WAIT = 'read -r _; printf "%s\\n" "$0" >&2'  # for the end of this process, which closes its input


@dataclass(frozen=True)
class Screen:
    """The standard error that this process had before its output went to a log; called, it writes a line there."""

    handle: int

    def __call__(self, line: str) -> None:
        """Writes a line."""
        with suppress(OSError):
            os.write(self.handle, f"{line}\n".encode(errors="backslashreplace"))

    @contextmanager
    def at_death(self, line: str) -> Iterator[Callable[[], None]]:
        """Writes a line if this process ends in the `with` block, even where a library ends it or it is killed.

        Yields a function after which no line is written.
        """
        with subprocess.Popen(
            ["/bin/sh", "-c", _WAIT, line],
            stdin=subprocess.PIPE,
            stderr=self.handle,
            start_new_session=True,  # no Ctrl-C ends it
        ) as waiting:
            try:
                yield waiting.kill
            finally:
                waiting.kill()


@contextmanager
def output_to(log: Path) -> Iterator[Screen]:
    """Appends what this process and its children write to their standard output and error to `log`.

    A duplicate of the terminal's handle made before still writes to the terminal.
    """
    _flush()
    saved = [(number, os.dup(number)) for number in (1, 2)]
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for number, _ in saved:
            os.dup2(target, number)
        yield Screen(saved[1][1])
    finally:
        _flush()
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
        os.close(target)


def is_of_lost_terminal(error: OSError, streams: tuple[int, ...] = (0, 1, 2)) -> bool:
    """Whether this error may come from a terminal that has gone, not from a disk, which fails in the same way.

    Args:
        streams: the standard streams' numbers.
    """
    return error.errno == errno.EIO and any(map(_is_lost_terminal, streams))


def _is_lost_terminal(stream: int) -> bool:
    try:
        termios.tcgetattr(stream)
    except termios.error as error:
        return error.args[0] in (errno.EIO, errno.ENXIO)  # others: closed, or no terminal
    return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
