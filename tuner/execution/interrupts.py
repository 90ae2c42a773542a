"""Ways to end a search from outside: Ctrl-C, SIGTERM, `tuner stop`, the time budget, another host.

They take effect between two of Tune's steps.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

# SIGHUP: the terminal or connection has gone.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _caught() -> tuple[signal.Signals, ...]:
    """All of them, except SIGHUP where it is ignored, as under `nohup`."""
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
    """Remembers the first signal that came, and checks whether `tuner stop` was called.

    Args:
        stop_request: a file that asks the search to stop while it exists.
    """

    def __init__(self, stop_request: Path) -> None:
        self._signal_number: int | None = None
        self._stop_request = stop_request
        self._checks: list[Callable[[], None]] = []

    def also(self, check: Callable[[], None]) -> None:
        """Adds a check; what it raises ends the search like a signal."""
        self._checks.append(check)

    def check(self) -> None:
        """Raises Interrupted or StopRequested if requested; called only while study and files are consistent."""
        for check in self._checks:
            check()
        if self._signal_number is not None:
            raise Interrupted(self._signal_number)
        if self._stop_request.exists():
            raise StopRequested

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Catches SIGINT, SIGTERM and SIGHUP meanwhile; in the main thread only, as Python allows it."""
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
        """Blocks signals while `ray.init` sets handlers that would abort this process, then catches them again."""
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
def signals_in_main_thread_only() -> Iterator[None]:
    """Keeps signals from threads that are started inside, such as NumPy's; see `InterruptFlag.held`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def receive_signals() -> None:
    """Undoes `InterruptFlag.held` in a process that was started meanwhile and has inherited the mask."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
