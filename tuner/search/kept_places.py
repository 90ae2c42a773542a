"""Which places no new trial takes for a while, because a trial that runs again waits for one."""

from collections.abc import Callable

# No longer than this: trials on other GPUs end meanwhile, and another search on the cluster may take the place.
_LONGEST_S = 60.0


class KeptPlaces:
    """What is kept free for trials that wait for a process of their own.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Trials, and since when; those that wait for a larger share of a GPU get all that becomes free.
        self._larger: dict[int, float] = {}
        self._made: dict[int, float] = {}

    def wait_for_larger_share(self, number: int) -> None:
        """Keeps what becomes free for this trial."""
        self._larger[number] = self._clock()

    def make_room(self, number: int) -> None:
        """Keeps a place that has just become free for this trial, which must not run on some nodes."""
        self._made[number] = self._clock()

    def has_room_made(self, number: int) -> bool:
        """Whether a place is kept for this trial."""
        return self._is_kept(self._made.get(number))

    def release(self, number: int) -> None:
        """The trial has a place now, or has ended."""
        self._larger.pop(number, None)
        self._made.pop(number, None)

    @property
    def are_any(self) -> bool:
        """Whether no new trial may start now, which would take such a place."""
        return any(map(self._is_kept, (*self._larger.values(), *self._made.values())))

    def _is_kept(self, since: float | None) -> bool:
        return since is not None and self._clock() - since < _LONGEST_S
