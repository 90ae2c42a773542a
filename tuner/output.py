"""Keeps the output of Ray and TensorFlow off the screen: it goes to the run's logs."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def output_to(log: Path) -> Iterator[Callable[[str], None]]:
    """Appends what this process and its children write to their standard output and error to `log`.

    The function that this yields writes a line to the former standard error. A duplicate of the terminal's handle made
    before still writes to the terminal.
    """
    _flush()
    saved = [(number, os.dup(number)) for number in (1, 2)]
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for number, _ in saved:
            os.dup2(target, number)
        yield lambda line: _write_line(saved[1][1], line)
    finally:
        _flush()
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
        os.close(target)


def _write_line(handle: int, line: str) -> None:
    with suppress(OSError):
        os.write(handle, f"{line}\n".encode(errors="backslashreplace"))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
