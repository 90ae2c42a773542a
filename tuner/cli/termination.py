"""How commands that write files end when they are asked to: with what they were making removed."""

import signal
import sys
from types import FrameType


def exit_on_sigterm() -> None:
    """Has SIGTERM end the command as Ctrl-C does, exit code 143; searches and confirmations have their own way."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
