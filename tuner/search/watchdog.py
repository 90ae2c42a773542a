"""Finds the trials that hang, in an epoch or before the first; its caller ends their processes.

Must not import Ray or Keras.
"""

from collections.abc import Callable

from tuner.text import format_duration

# A trial may go without progress for ten times the slowest epoch so far, because configurations differ in size, and for
# at least five minutes, because the machine may be busy or a GPU's driver may compile.
_TIMES_SLOWEST = 10
_SHORTEST_S = 300.0
_CALLED_EVERY_S = 1.0
_VERY_FIRST_S = 3 * 3600.0  # before any epoch has ended, its duration is unknown
# A process imports Keras, gets the data and joins MPS; on a GPU that has failed it rests first, for at most 5 minutes.
_LONGEST_START_S = 1200.0


class Watchdog:
    """Finds the trials whose process hangs.

    Epochs of one search may differ a hundredfold, as when it moves from GPUs to CPUs. So where no limit is given, the
    time counts from the trial's last progress, not from the start of its epoch.

    Args:
        timeout_s: seconds that an epoch may take, including building the model; None derives them as above.
        slowest_epoch_s: the slowest epoch of earlier sessions; 0 where there was none.
        clock: seconds, from any start.
    """

    def __init__(
        self, timeout_s: float | None, slowest_epoch_s: float, clock: Callable[[], float]
    ) -> None:
        self._given_timeout_s = timeout_s
        self._slowest_epoch_s = slowest_epoch_s
        self._clock = clock
        self._called_at = clock()
        self._began: dict[int, float] = {}  # trial -> when its epoch began
        self._counted_from: dict[int, float] = {}  # trial -> from when on its seconds count
        self._starting: dict[int, float] = {}  # trial -> when its process was found to start
        self._reasons: dict[int, str] = {}  # trial -> why its process has to be ended

    @property
    def timeout_s(self) -> float:
        """Seconds that an epoch may take now, or a part of one where they are derived."""
        if self._given_timeout_s is not None:
            return self._given_timeout_s
        if not self._slowest_epoch_s:
            return _VERY_FIRST_S
        return max(_SHORTEST_S, _TIMES_SLOWEST * self._slowest_epoch_s)

    def start(self, number: int) -> None:
        """The trial's process is starting; may be told again. Until then the trial waited, which is not hanging."""
        self._starting.setdefault(number, self._clock())

    @property
    def starts_any(self) -> bool:
        """Whether the process of a trial is starting."""
        return bool(self._starting)

    def begin(self, number: int) -> None:
        """The trial has its process now."""
        self._starting.pop(number, None)
        self._began[number] = self._counted_from[number] = self._clock()

    def continue_epoch(self, number: int) -> None:
        """The trial has got further in its epoch."""
        if self._given_timeout_s is None and number in self._counted_from:
            self._counted_from[number] = self._clock()

    def end_epoch(self, number: int) -> None:
        """An epoch of the trial has ended, and the next one begins."""
        now = self._clock()
        if number in self._began:
            self._slowest_epoch_s = max(self._slowest_epoch_s, now - self._began[number])
        self._began[number] = self._counted_from[number] = now

    def has_ended(self, number: int) -> bool:
        """Whether this trial's process was found to hang."""
        return number in self._reasons

    def forget(self, number: int) -> str | None:
        """The trial has ended; returns why its process had to be ended, None if it did not hang."""
        self._starting.pop(number, None)
        self._began.pop(number, None)
        self._counted_from.pop(number, None)
        return self._reasons.pop(number, None)

    def newly_hanging(self) -> list[int]:
        """The trials that hang in an epoch or in their start, each returned once: their processes have to be ended.

        To be called at least once per second. Time between two calls beyond that does not count: this process may have
        been stopped (Ctrl-Z, a sleeping laptop), and the epochs' ends wait to be read.
        """
        missed_s = self._clock() - self._called_at - _CALLED_EVERY_S
        self._called_at = self._clock()
        if missed_s > 0:
            for moments in (self._began, self._counted_from, self._starting):
                for number in moments:
                    moments[number] += missed_s
        latest = self._clock() - self.timeout_s
        numbers = [n for n, since in self._counted_from.items() if since < latest]
        for number in numbers:
            del self._began[number], self._counted_from[number]
            limit = format_duration(self.timeout_s)
            self._reasons[number] = (
                f"no progress within {limit}, so its process was ended (--epoch-timeout sets a limit for whole epochs "
                "instead)"
                if self._given_timeout_s is None
                else f"no epoch within {limit}, so its process was ended (--epoch-timeout allows more)"
            )
        latest = self._clock() - _LONGEST_START_S
        stuck = [
            n for n, since in self._starting.items() if since < latest and n not in self._reasons
        ]
        for number in stuck:
            limit = format_duration(_LONGEST_START_S)
            self._reasons[number] = f"its process did not start within {limit}, so it was ended"
        return [*numbers, *stuck]
