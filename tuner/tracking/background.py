"""Keeps exporters up to date while a search runs, each in a thread, so that none holds up the search or another one."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tuner.run.records import StudyReader
from tuner.text import short_reason
from tuner.tracking.exporter import Exporter

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_EVERY_S = 1.0
_POLL_S = 0.1
_FIRST_PAUSE_S = 2.0  # after a failure; doubled until
_LONGEST_PAUSE_S = 60.0
_LONGEST_CALL_S = 60.0  # one that lasts longer is told: a server may accept calls and never answer


class ExportThread:
    """Keeps one exporter up to date with a study, in a thread.

    A trial that the exporter refuses twice, though it could be opened in between, is passed over until it changes.

    Args:
        pause: waits so many seconds at most, or until the event.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        exporter: Exporter,
        reader: StudyReader,
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exporter = exporter
        self._reader = reader
        self._pause = pause
        self._clock = clock
        self._called_at: float | None = None  # when the call began that has not ended
        self._known: list[
            FrozenTrial | None
        ] = []  # as the exporter has them, or as it refused them
        self._refused: dict[int, FrozenTrial] = {}  # once or for good
        self._is_open = False
        self.written = 0  # how often a trial was brought up to date
        self._has_changed = threading.Event()
        self._is_ending = threading.Event()
        self._failure: str | None = None
        self._is_failure_noted = False
        self._is_complete = False
        self._thread = threading.Thread(target=self._run, name=f"to {exporter.name}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Tells it to read the study again, which has changed."""
        self._has_changed.set()

    def end(self) -> None:
        """Tells it to end once the exporter is up to date or has failed once more."""
        self._is_ending.set()
        self._has_changed.set()

    def join(self, timeout_s: float) -> None:
        """Waits until it has ended."""
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def notes(self) -> Iterator[str]:
        """Notes for a person, each once: that the exporter fails, and in the end that something is missing."""
        called_at = self._called_at
        if called_at is not None and self._clock() - called_at > _LONGEST_CALL_S:
            self._failure = f"no answer for {_LONGEST_CALL_S:.0f} s"
        failure = self._failure
        if failure is not None and not self._is_failure_noted:
            self._is_failure_noted = True
            yield f"{self._exporter.name} cannot be written: {failure}; the search continues and tries again"
        if self._is_ending.is_set() and not self._is_complete:
            yield (
                f"not everything is in {self._exporter.name}; "
                "the same search command adds what is missing"
            )

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            is_last_time = self._is_ending.is_set()
            self._has_changed.clear()
            if self._catch_up():
                pause_s = _FIRST_PAUSE_S
                if not is_last_time:
                    self._pause(self._has_changed, 3600.0)
                    self._pause(self._is_ending, _EVERY_S)  # several epochs at once
            else:
                if not is_last_time:
                    self._pause(self._is_ending, pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            if is_last_time:
                break
        self._close()

    def _catch_up(self) -> bool:
        """Writes the trials that have changed; False where the exporter failed."""
        self._is_complete = False
        try:
            if not self._is_open:
                with self._timed():
                    self._exporter.open()
                self._is_open = True
            trials = self._reader.study.get_trials(deepcopy=False)
        except Exception as error:  # of any library or server
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
                with self._timed():
                    self._exporter.write(record)
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

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._called_at = self._clock()
        try:
            yield
        finally:
            self._called_at = None

    def _close(self) -> None:
        try:
            self._exporter.close()
        except Exception as error:
            self._note(error)
            self._is_complete = False

    def _note(self, error: Exception) -> None:
        self._failure = short_reason(str(error) or repr(error))


class Tracking:
    """All exporters of a search."""

    def __init__(self, exporters: Sequence[Exporter], reader: StudyReader) -> None:
        self._threads = [ExportThread(exporter, reader) for exporter in exporters]

    def start(self) -> None:
        """Starts their threads."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Tells them to read the study again, which has changed."""
        for thread in self._threads:
            thread.wake()

    def finish(
        self,
        timeout_s: float,
        check: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Tells them to end once everything is written, and waits at most so long.

        Args:
            check: raises where this was asked to end. With it the time begins anew with every trial that is written.
        """
        for thread in self._threads:
            thread.end()
        until, written = clock() + timeout_s, -1
        while any(thread.is_alive for thread in self._threads) and clock() < until:
            for thread in self._threads:
                thread.join(_POLL_S)
            if check is not None:
                check()
                if (now_written := sum(thread.written for thread in self._threads)) != written:
                    until, written = clock() + timeout_s, now_written

    def notes(self) -> Iterable[str]:
        """See `ExportThread.notes`."""
        return [note for thread in self._threads for note in thread.notes()]
