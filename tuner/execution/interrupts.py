"""What ends a search from outside: Ctrl-C, SIGTERM, `tuner stop`, the time budget.

Acted on between two of Tune's steps.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

# The last: the terminal or connection has gone.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _caught() -> tuple[signal.Signals, ...]:
    """All of them, but for SIGHUP where it is ignored: `nohup` asks for that."""
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(each for each in _SIGNALS if each is not signal.SIGHUP or not is_nohup)


class Interrupted(BaseException):
    """The search was asked to end. Not an Exception: nothing of Tune's may catch it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class TimeIsUp(BaseException):
    """The time budget is used up. Not an Exception, as above."""


class StopRequested(BaseException):
    """`tuner stop` asked the search to end. Not an Exception, as above."""


class InterruptFlag:
    """Remembers the first signal that came, and looks for `tuner stop`'s request.

    Args:
        stop_request: the file by whose being there the search is asked to stop.
    """

    def __init__(self, stop_request: Path) -> None:
        self._signal_number: int | None = None
        self._stop_request = stop_request

    def check(self) -> None:
        """Raises Interrupted or StopRequested if so; called where everything is in order."""
        if self._signal_number is not None:
            raise Interrupted(self._signal_number)
        if self._stop_request.exists():
            raise StopRequested

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Takes SIGINT, SIGTERM and SIGHUP for the time being (in the main thread; elsewhere Python allows it not)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._note) for number in _caught()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Has signals wait while somebody else sets handlers, then takes them again.

        `ray.init` has SIGTERM abort this process.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            yield
        finally:
            for number in _caught():
                signal.signal(number, self._note)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _note(self, signal_number: int, frame: FrameType | None) -> None:
        self._signal_number = self._signal_number or signal_number


@contextmanager
def only_the_main_thread_hears() -> Iterator[None]:
    """Threads that are started inside, such as NumPy's, are never handed a signal; see `InterruptFlag.held`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def receive_signals() -> None:
    """Undoes `InterruptFlag.held` in a process that was started meanwhile: it inherits the mask."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
