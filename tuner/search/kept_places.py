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
        self._larger: dict[
            int, float
        ] = {}  # trials that wait for a larger share of a GPU, since when
        self._made: list[float] = []  # when room was made for a trial that must run on another node

    def wait_for_larger_share(self, number: int) -> None:
        """Keeps all that becomes free for this trial until it begins or ends."""
        self._larger[number] = self._clock()

    def make_room(self) -> None:
        """Keeps a place that has just become free for a trial that must not run on some nodes."""
        self._made.append(self._clock())

    @property
    def made(self) -> int:
        """Places that are still kept for trials that must not run on some nodes."""
        latest = self._clock() - _LONGEST_S
        self._made = [since for since in self._made if since > latest]
        return len(self._made)

    def begin(self, number: int, *, avoids_nodes: bool) -> None:
        """The trial has its process now."""
        self._larger.pop(number, None)
        if avoids_nodes and self._made:
            self._made.pop(0)

    def forget(self, number: int) -> None:
        """The trial has ended."""
        self._larger.pop(number, None)

    @property
    def are_any(self) -> bool:
        """Whether no new trial may start now, which would take such a place."""
        latest = self._clock() - _LONGEST_S
        return self.made > 0 or any(since > latest for since in self._larger.values())
