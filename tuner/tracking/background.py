"""Keeps sinks up to date while a search runs, each in a thread, so that none holds up the search or another one."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tuner.run.records import StudyReader
from tuner.text import one_line
from tuner.tracking.exporter import Sink

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_EVERY_S = 1.0
_LOOK_S = 0.1
_FIRST_PAUSE_S = 2.0  # after a failure; doubled until
_LONGEST_PAUSE_S = 60.0


class Feed:
    """Brings one sink up to a study again and again.

    A trial that the sink refuses twice, though it could be opened in between, is passed over until it changes.

    Args:
        pause: waits so many seconds at most, or until the event.
    """

    def __init__(
        self,
        sink: Sink,
        reader: StudyReader,
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._sink = sink
        self._reader = reader
        self._pause = pause
        self._known: list[FrozenTrial | None] = []  # as the sink has them, or as it refused them
        self._refused: dict[int, FrozenTrial] = {}  # once or for good
        self._is_open = False
        self.written = 0  # how often a trial was brought up to date
        self._news = threading.Event()
        self._is_ending = threading.Event()
        self._failure: str | None = None
        self._has_told = False
        self._is_complete = False
        self._thread = threading.Thread(target=self._run, name=f"to {sink.name}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wake(self) -> None:
        """Something happened in the study."""
        self._news.set()

    def end(self) -> None:
        """Has it end once the sink is up to date or has failed once more."""
        self._is_ending.set()
        self._news.set()

    def join(self, timeout_s: float) -> None:
        """Waits for that."""
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def notes(self) -> Iterator[str]:
        """What a person should know, once: that the sink fails, and in the end that something is missing."""
        failure = self._failure
        if failure is not None and not self._has_told:
            self._has_told = True
            yield f"{self._sink.name} cannot be written: {failure}; the search goes on, and tries again"
        if self._is_ending.is_set() and not self._is_complete:
            yield f"not everything is in {self._sink.name}; the same search command adds what is missing"

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            is_last_time = self._is_ending.is_set()
            self._news.clear()
            if self._catch_up():
                pause_s = _FIRST_PAUSE_S
                if not is_last_time:
                    self._pause(self._news, 3600.0)
                    self._pause(self._is_ending, _EVERY_S)  # several epochs at once
            else:
                if not is_last_time:
                    self._pause(self._is_ending, pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            if is_last_time:
                break
        self._close()

    def _catch_up(self) -> bool:
        """Writes what is new; False where the sink failed."""
        self._is_complete = False
        try:
            if not self._is_open:
                self._sink.open()
                self._is_open = True
            trials = self._reader.study.get_trials(deepcopy=False)
        except Exception as error:  # of whatever library or server
            self._note(error)
            return False
        self._known += [None] * (len(trials) - len(self._known))
        for number, trial in enumerate(trials):
            if trial is not self._known[number] and not self._write(trial):
                return False
            self._known[number] = trial
        self._is_complete = not self._refused
        return True

    def _write(self, trial: "FrozenTrial") -> bool:
        try:
            record = self._reader.record(trial)
            if self._reader.is_suggested(record):
                self._sink.write(record)
                self.written += 1
            self._refused.pop(trial.number, None)
        except Exception as error:
            self._note(error)
            if self._refused.get(trial.number) is trial:
                return True
            self._refused[trial.number] = trial
            self._is_open = False
            return False
        return True

    def _close(self) -> None:
        try:
            self._sink.close()
        except Exception as error:
            self._note(error)
            self._is_complete = False

    def _note(self, error: Exception) -> None:
        self._failure = one_line(str(error) or repr(error))[:200]


class Feeds:
    """All of a search's."""

    def __init__(self, sinks: Sequence[Sink], reader: StudyReader) -> None:
        self._feeds = [Feed(sink, reader) for sink in sinks]

    def start(self) -> None:
        """Begins."""
        for feed in self._feeds:
            feed.start()

    def wake(self) -> None:
        """Something happened in the study."""
        for feed in self._feeds:
            feed.wake()

    def finish(
        self,
        timeout_s: float,
        check: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Has them end with everything written, and waits so long for that.

        Args:
            check: raises where this was asked to end. With it the time begins anew with every trial that is written.
        """
        for feed in self._feeds:
            feed.end()
        until, written = clock() + timeout_s, -1
        while any(feed.is_alive for feed in self._feeds) and clock() < until:
            for feed in self._feeds:
                feed.join(_LOOK_S)
            if check is not None:
                check()
                if (now_written := sum(feed.written for feed in self._feeds)) != written:
                    until, written = clock() + timeout_s, now_written

    def notes(self) -> Iterable[str]:
        """See `Feed.notes`."""
        return [note for feed in self._feeds for note in feed.notes()]
