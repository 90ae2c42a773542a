"""Tells trials that hang from trials that take long. Knows no Ray; whoever asks ends the processes."""

from collections.abc import Callable

from tuner.text import format_duration

# An epoch may take ten times as long as the slowest one so far, because configurations differ in size; and no less
# than five minutes, because the machine may be busy or a GPU's driver compiling.
_TIMES_SLOWEST = 10
_SHORTEST_S = 300.0
_LOOKS_EVERY_S = 1.0
_VERY_FIRST_S = 3 * 3600.0  # before any epoch has ended, nobody knows how long one takes


class Watchdog:
    """How long each running trial's epoch takes, and which take too long.

    Args:
        timeout_s: seconds that an epoch may take, the model's building included; None derives them as above.
        slowest_epoch_s: the slowest epoch of earlier sittings; 0 before there was one.
        clock: seconds, from any start.
    """

    def __init__(
        self, timeout_s: float | None, slowest_epoch_s: float, clock: Callable[[], float]
    ) -> None:
        self._given_timeout_s = timeout_s
        self._slowest_epoch_s = slowest_epoch_s
        self._clock = clock
        self._looked_at = clock()
        self._began: dict[int, float] = {}  # trial -> when its epoch began
        self._verdicts: dict[int, str] = {}  # trial -> why it is to be ended

    @property
    def timeout_s(self) -> float:
        """How long an epoch may take now."""
        if self._given_timeout_s is not None:
            return self._given_timeout_s
        if not self._slowest_epoch_s:
            return _VERY_FIRST_S
        return max(_SHORTEST_S, _TIMES_SLOWEST * self._slowest_epoch_s)

    def begin(self, number: int) -> None:
        """The trial has got its process; until then it waits, which is no hanging."""
        self._began[number] = self._clock()

    def end_epoch(self, number: int) -> None:
        """One epoch of the trial has ended, the next begins."""
        now = self._clock()
        if number in self._began:
            self._slowest_epoch_s = max(self._slowest_epoch_s, now - self._began[number])
        self._began[number] = now

    def forget(self, number: int) -> str | None:
        """The trial has ended; gives why it had to, if it hung."""
        self._began.pop(number, None)
        return self._verdicts.pop(number, None)

    def newly_hanging(self) -> list[int]:
        """The trials whose epoch takes too long, each told once: their processes are to be ended.

        To be called every second or more often: time in which nobody looked does not count, because this process
        may have been stopped meanwhile (Ctrl-Z, a sleeping laptop) and the epochs' ends wait to be read.
        """
        unseen_s = self._clock() - self._looked_at - _LOOKS_EVERY_S
        self._looked_at = self._clock()
        if unseen_s > 0:
            self._began = {number: began + unseen_s for number, began in self._began.items()}
        latest = self._clock() - self.timeout_s
        numbers = [n for n, began in self._began.items() if began < latest]
        for number in numbers:
            del self._began[number]
            limit = format_duration(self.timeout_s)
            self._verdicts[number] = (
                f"no epoch within {limit}, so its process was ended (--epoch-timeout allows more)"
            )
        return numbers
