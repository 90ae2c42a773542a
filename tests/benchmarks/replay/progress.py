"""How far the replays are, a line per tenth of them."""

import time
from collections.abc import Callable
from typing import TextIO


class Progress:
    """Writes a line whenever another tenth of the replays is done.

    Args:
        of_what: what is replayed.
        replays: how many there will be.
    """

    def __init__(
        self,
        of_what: str,
        replays: int,
        stream: TextIO,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._of_what = of_what
        self._replays = replays
        self._stream = stream
        self._clock = clock
        self._began_s = clock()
        self._tenths = 0

    def __call__(self, done: int) -> None:
        tenths = 10 * done // self._replays
        if tenths == self._tenths:
            return
        self._tenths = tenths
        seconds = self._clock() - self._began_s
        left_s = seconds * (self._replays - done) / done
        self._stream.write(
            f"{self._of_what}: {done:,} of {self._replays:,} replays, {seconds:,.0f} s; "
            f"about {left_s:,.0f} s left\n"
        )
        self._stream.flush()
