"""Failing writes that a search survives: a copy or a checkpoint that cannot be written.

Once failed, it may work the next time. After the second failure in a row the person is told, and every hour while it
lasts, on the screen and through a hook (`tuner.run.hook`); `tuner status` shows it all the time, from
`logs/troubles.json`. Must not import Ray, Keras or Optuna.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

from pydantic import FiniteFloat, TypeAdapter

from tuner.files import write_atomically
from tuner.run.folder import RunFolder
from tuner.run.hook import call_hook
from tuner.text import format_duration, one_line

_PATIENCE = 2  # failures in a row
_AGAIN_S = 3600.0


@dataclass(frozen=True)
class Trouble:
    """Something that fails."""

    topic: str
    reason: str
    worked: (
        FiniteFloat | None
    )  # when it last worked, in seconds since 1970; None: not in this session
    since: FiniteFloat  # when it failed first

    def text(self, now: float) -> str:
        """A line for the person."""
        lasting = _age(self.since, now)
        if self.worked is None:
            last = f"for {lasting}, and never since this session began"
        else:
            last = f"for {lasting}, the last one that worked is {_age(self.worked, now)} old"
        return f"{self.topic} cannot be written ({last}): {self.reason}"


_FILE = TypeAdapter(tuple[Trouble, ...])


def _age(then: float, now: float) -> str:
    return format_duration(max(0.0, now - then))  # the clock may have been set back


@dataclass
class _Topic:
    """One thing that may fail."""

    worked: float | None = None
    failures: int = 0
    trouble: Trouble | None = None
    told: float | None = None


class Troubles:
    """The troubles of one session.

    Args:
        folder: the run's.
        notify: receives lines for the person.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        folder: RunFolder,
        notify: Callable[[str], None],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._notify = notify
        self._clock = wall_clock
        self._topics: dict[str, _Topic] = {}
        self._write()

    def note(self, topic: str, reason: str | None) -> None:
        """Notes that something failed, or with None that it worked."""
        now, one = self._clock(), self._topics.setdefault(topic, _Topic())
        if reason is None:
            was_told, one.trouble = one.told is not None, None
            one.worked, one.failures, one.told = now, 0, None
            if was_told:
                self._tell(f"{topic} can be written again")
                self._write()
            return
        one.failures += 1
        since = one.trouble.since if one.trouble is not None else now
        one.trouble = Trouble(topic, one_line(reason), one.worked, since)
        if one.failures >= _PATIENCE and (one.told is None or now - one.told >= _AGAIN_S):
            one.told = now
            self._tell(one.trouble.text(now))
            self._write()

    def _tell(self, line: str) -> None:
        self._notify(line)
        call_hook(line, self._folder.path)

    def _write(self) -> None:
        lasting = [
            asdict(one.trouble)
            for one in self._topics.values()
            if one.trouble is not None and one.told is not None
        ]
        file = self._folder.troubles
        if lasting:
            write_atomically(file, json.dumps(lasting, ensure_ascii=False))
        else:
            file.unlink(missing_ok=True)


def read_troubles(folder: RunFolder) -> tuple[Trouble, ...]:
    """The troubles that a running search has, or had when it ended; none where they cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        return _FILE.validate_json(folder.troubles.read_bytes())
    return ()
