"""Lines of a pipe with its pauses, so that rows that have come need not wait for others.

A pause is an empty line, which no file has: its lines have ends.
"""

import queue
import select
import threading
from collections.abc import Iterator
from typing import IO

PAUSE = ""
_AHEAD = 10_000  # lines that are read before they are used
_END = object()


def with_pauses(lines: Iterator[str], pause_s: float) -> Iterator[str]:
    """The lines, and a `PAUSE` after every so many seconds without one; what reading raises, this raises."""
    read: queue.Queue[object] = queue.Queue(_AHEAD)

    def work() -> None:
        try:
            for line in lines:
                read.put(line)
        except Exception as error:
            read.put(error)
        read.put(_END)

    threading.Thread(target=work, name="lines", daemon=True).start()
    while True:
        try:
            item = read.get(timeout=pause_s)
        except queue.Empty:
            yield PAUSE
            continue
        if isinstance(item, str):
            yield item
        elif isinstance(item, Exception):
            raise item
        else:
            return


def pauses(pipe: IO[bytes], pause_s: float) -> bool:
    """Whether nothing comes for so many seconds; the end of a pipe comes at once."""
    return not select.select([pipe], [], [], pause_s)[0]
