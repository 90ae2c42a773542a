"""Why a trial's process died: of too little memory, which happens again, or of anything else, perhaps bad luck."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tuner.execution.ray_internals import DeathText
from tuner.machine import oom_kills
from tuner.text import one_line

_REASON_LENGTH = 200
_DIED = "its process died; see the run's logs"
# Ray tells of a death within a second; an older kill was of a process that is none of ours.
_FRESH_S = 10.0


@dataclass(frozen=True)
class Death:
    """What ended a process."""

    reason: str
    is_out_of_memory: bool = False
    is_the_nodes: bool = False  # no fault of the trial's


class Inquest:
    """Finds out why processes died, one death after the other.

    Args:
        count_kills: how many processes the kernel has killed so far because memory ran out where trials run.
        clock: seconds, from any start.
        is_cluster: whether trials run on other machines than this one, of which the kernel tells nothing.
    """

    def __init__(
        self,
        count_kills: Callable[[], int] = oom_kills,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_cluster: bool = False,
    ) -> None:
        self._count_kills = count_kills if not is_cluster else lambda: 0
        self._is_cluster = is_cluster
        self._clock = clock
        self._counted = self._count_kills()
        self._kills: list[float] = []  # when they were seen; each explains one death

    def watch(self) -> None:
        """Looks whether the kernel has killed again; to be called every second or more often."""
        now, counted = self._clock(), self._count_kills()
        self._kills = [seen for seen in self._kills if now - seen < _FRESH_S]
        self._kills += [now] * (counted - self._counted)
        self._counted = counted

    def why(self, error: str) -> Death:
        """The cause of a death that just happened, from what Ray says of it."""
        self.watch()
        if DeathText.OUT_OF_MEMORY_ERROR in error or DeathText.LOW_MEMORY in error:
            return Death("Ray ended its process: the node ran out of memory", is_out_of_memory=True)
        if DeathText.NODE_DIED in error:
            return Death("its node died", is_the_nodes=True)
        if self._is_cluster and DeathText.UNREACHABLE in error:
            return Death("its node could not be reached", is_the_nodes=True)
        if self._kills:
            self._kills.pop(0)
            return Death(
                "its process died when the kernel killed one because memory ran out",
                is_out_of_memory=True,
            )
        if (
            not error.strip()
            or DeathText.ACTOR_DIED_ERROR in error
            or DeathText.DIED in error
            or DeathText.UNREACHABLE in error
        ):
            return Death(_DIED)
        last = error.strip().splitlines()[-1]
        return Death(f"its process failed: {one_line(last)[:_REASON_LENGTH]}")
