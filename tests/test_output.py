"""What reaches the screen while output goes to a log (`tuner/output.py`)."""

import errno
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tuner.output import is_of_lost_terminal

PROGRAM = """
import os, signal, sys
from pathlib import Path
from tuner.output import output_to

with output_to(Path(sys.argv[1])) as screen:
    with screen.at_death("ended in the middle") as take_back:
        print("to the log", flush=True)
        {inside}
    screen("after it")
"""


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        ("pass", "after it\n"),
        ("os._exit(1)", "ended in the middle\n"),  # as C++ code does it
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended in the middle\n"),
        ("take_back(); screen('told'); os._exit(1)", "told\n"),
    ],
)
@pytest.mark.slow
def test_a_line_is_shown_where_a_process_ends_in_the_middle(
    tmp_path: Path, inside: str, shown: str
) -> None:
    log = tmp_path / "log"
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(inside=inside), str(log)],
        capture_output=True,
        text=True,
    )
    assert (ended.stdout, ended.stderr) == ("", shown)
    assert log.read_text() == "to the log\n"


def test_a_terminal_that_has_gone_is_told_from_a_disk_that_fails() -> None:
    failure = OSError(errno.EIO, "Input/output error")
    ours, theirs = pty.openpty()
    assert not is_of_lost_terminal(failure, (theirs,))
    os.close(ours)
    assert is_of_lost_terminal(failure, (theirs,))
    assert not is_of_lost_terminal(OSError(errno.ENOSPC, "No space left on device"), (theirs,))
    os.close(theirs)
    assert not is_of_lost_terminal(failure, (theirs,))
    with open(os.devnull) as nothing:
        assert not is_of_lost_terminal(failure, (nothing.fileno(),))
