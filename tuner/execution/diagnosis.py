"""Finds out why a trial's process died. If memory ran out, it would run out again; other deaths need not repeat."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tuner.execution.ray_internals import DeathText
from tuner.machine import oom_kills
from tuner.text import one_line

_REASON_LENGTH = 200
_DIED = "its process died; see the run's logs"
# Ray reports a death within a second; an older kill was of some other process.
_FRESH_S = 10.0


@dataclass(frozen=True)
class Diagnosis:
    """The reason of a process' death."""

    reason: str
    is_out_of_memory: bool = False
    is_node_failure: bool = False  # not the trial's fault


class Diagnostician:
    """Diagnoses the deaths of processes, one after the other.

    Args:
        count_kills: how many processes the kernel has killed so far because memory ran out where trials run.
        clock: seconds, from any start.
        is_cluster: whether trials run on other machines, of which this kernel knows nothing.
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
        """Counts the kernel's kills; to be called every second or more often."""
        now, counted = self._clock(), self._count_kills()
        self._kills = [seen for seen in self._kills if now - seen < _FRESH_S]
        self._kills += [now] * (counted - self._counted)
        self._counted = counted

    def diagnose(self, error: str) -> Diagnosis:
        """The diagnosis of a death that just happened, by Ray's error and the kernel's count."""
        self.watch()
        if DeathText.OUT_OF_MEMORY_ERROR in error or DeathText.LOW_MEMORY in error:
            return Diagnosis(
                "Ray ended its process: the node ran out of memory", is_out_of_memory=True
            )
        if DeathText.NODE_DIED in error:
            return Diagnosis("its node died", is_node_failure=True)
        if self._is_cluster and DeathText.UNREACHABLE in error:
            return Diagnosis("its node could not be reached", is_node_failure=True)
        if self._kills:
            self._kills.pop(0)
            return Diagnosis(
                "its process died when the kernel killed one because memory ran out",
                is_out_of_memory=True,
            )
        if (
            not error.strip()
            or DeathText.ACTOR_DIED_ERROR in error
            or DeathText.DIED in error
            or DeathText.UNREACHABLE in error
        ):
            return Diagnosis(_DIED)
        last = error.strip().splitlines()[-1]
        return Diagnosis(f"its process failed: {one_line(last)[:_REASON_LENGTH]}")
