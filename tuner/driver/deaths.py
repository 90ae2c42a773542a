"""Why a trial's process died: of too little memory, which happens again, or of anything else, perhaps bad luck."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tuner.machine import oom_kills
from tuner.validation import one_line

_REASON_LENGTH = 200


@dataclass(frozen=True)
class Death:
    """What ended a process."""

    reason: str
    is_out_of_memory: bool = False


class Inquest:
    """Finds out why processes died, one death after the other.

    Args:
        count_kills: how many processes the kernel has killed so far because memory ran out here.
    """

    def __init__(self, count_kills: Callable[[], int] = oom_kills) -> None:
        self._count_kills = count_kills
        self._kills = count_kills()

    def why(self, error: str) -> Death:
        """The cause of a death that just happened, from what Ray says of it."""
        before, self._kills = self._kills, self._count_kills()
        if "OutOfMemoryError" in error or "running low on memory" in error:
            return Death("Ray ended its process: the node ran out of memory", is_out_of_memory=True)
        if self._kills > before:
            return Death(
                "the kernel killed its process: memory ran out here", is_out_of_memory=True
            )
        if "ActorDiedError" in error or "actor died" in error or "worker process has died" in error:
            return Death("its process died; see the run's logs")
        last = re.split(r"\n+", error.strip())[-1]
        return Death(f"its process could not begin: {one_line(last)[:_REASON_LENGTH]}")
