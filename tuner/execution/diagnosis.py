"""Finds out why a trial's process died. If memory ran out, it would run out again; other deaths need not repeat.

A fault that a process met through MPS takes all its clients down, whichever of them caused it. None is charged.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from tuner.errors import (
    DeviceFault,
    GpuMissing,
    MpsFault,
    TrialBroke,
    TrialOutOfMemory,
    TunerError,
)
from tuner.execution.mps import JOINED
from tuner.execution.ray_errors import DeathText, Origin, origin_of
from tuner.machine import oom_kills
from tuner.text import one_line, short_reason
from tuner.training.failures import trial_error

STARTED = "tuner: a process that trains begins its log"
_DIED = "its process died; see the run's logs"
# Ray reports a death within a second; an older kill was of some other process.
_FRESH_S = 10.0
# The last lines that a process writes when a library ends it: TensorFlow (`F0000 … file.cc:226] …`), C++, Python.
_ABORTED = re.compile(
    r"(^|: )F\d* .*:\d+\]|Check failed|terminate called|Fatal Python error", re.MULTILINE
)
# What stands before its words, in the text of a `trial_error`.
_PREFIX = re.compile(rf"{RuntimeError.__name__}: (: )?(F\d* \S.*?:\d+\] )?")
# Behind them stand the traces of the library, of Ray (twice) and of Python with all extension modules.
_LAST_BYTES = 64_000


@dataclass(frozen=True)
class Diagnosis:
    """The reason of a process' death."""

    reason: str
    is_out_of_memory: bool = False
    is_gpu_full: bool = False  # which memory ran out: its GPU's, not the machine's
    is_device_fault: bool = False  # of its GPU, or of MPS
    is_gpu_missing: bool = False  # such as where CUDA is not installed
    is_charged: bool = True  # whether the trial may be the cause


class Diagnostician:
    """Diagnoses the deaths of processes, one after the other.

    Args:
        count_kills: how many processes the kernel has killed so far because memory ran out where trials run.
        clock: seconds, from any start.
        is_cluster: whether trials run on other machines, of which this kernel knows nothing.
        logs: where processes that train on a GPU write, whose last lines tell why they died; None: no GPU.
        host_at: the name of the node at an address, as its logs have it; "" where there is none.
    """

    def __init__(
        self,
        count_kills: Callable[[], int] = oom_kills,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_cluster: bool = False,
        logs: Path | None = None,
        host_at: Callable[[str], str] = lambda address: "",
    ) -> None:
        self._count_kills = count_kills if not is_cluster else lambda: 0
        self._is_cluster = is_cluster
        self._logs = logs
        self._host_at = host_at
        self._faults: dict[str, float] = {}  # by host, the latest that took all clients of MPS down
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
        for kind in (MpsFault, GpuMissing, DeviceFault):
            if kind.__name__ in error:
                words = error.strip().splitlines()[-1].rpartition(f"{kind.__name__}: ")[2]
                return self._device_fault(origin_of(error), kind(words))
        if DeathText.OUT_OF_MEMORY_ERROR in error or DeathText.LOW_MEMORY in error:
            return Diagnosis(
                "Ray ended its process: the node ran out of memory", is_out_of_memory=True
            )
        if DeathText.NODE_DIED in error:
            return Diagnosis("its node died", is_charged=False)
        if self._is_cluster and DeathText.UNREACHABLE in error:
            return Diagnosis("its node could not be reached", is_charged=False)
        if DeathText.SET_UP_FAILED in error:
            return _failure(error)
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
            return self._death(error)
        return _failure(error)

    def _death(self, error: str) -> Diagnosis:
        """The diagnosis of a process that left no error: by the end of its log, and by what its neighbours met."""
        origin = origin_of(error)
        cause = self._last_log_lines(origin)
        if isinstance(cause, DeviceFault):
            return self._device_fault(origin, cause)
        if isinstance(cause, TrialOutOfMemory):
            return Diagnosis(
                f"its process died: {cause}",
                is_out_of_memory=True,
                is_gpu_full=cause.is_gpu_full,
            )
        fault_at = self._faults.get(origin.host)
        if fault_at is not None and self._clock() - fault_at < _FRESH_S:
            return Diagnosis(
                "its process died when a GPU that it shared failed",
                is_device_fault=True,
                is_charged=False,
            )
        if isinstance(cause, TrialBroke):
            words = _PREFIX.sub("", str(cause), count=1)
            return Diagnosis(f"its process died: {short_reason(words)}; see the run's logs")
        return Diagnosis(_DIED)

    def _device_fault(self, origin: Origin, fault: DeviceFault) -> Diagnosis:
        if isinstance(fault, GpuMissing):
            return Diagnosis(one_line(str(fault)), is_device_fault=True, is_gpu_missing=True)
        has_mps = isinstance(fault, MpsFault)
        if has_mps:
            self._faults[origin.host] = self._clock()
        return Diagnosis(
            f"its GPU failed: {short_reason(fault)}",
            is_device_fault=True,
            is_charged=not has_mps,
        )

    def _last_log_lines(self, origin: Origin) -> TunerError | None:
        """The error in the last lines of a process that a library ended, where they can be read from here."""
        if self._logs is None or not origin.pid:
            return None
        with suppress(OSError):
            host = escape(self._host_at(origin.host)) if origin.host else "*"
            logs = self._logs.glob(f"worker-{host}-{origin.pid}.log")
            newest = max(logs, key=lambda log: log.stat().st_mtime, default=None)
            if newest is not None:
                # An earlier process of this number may have written before.
                _, begins, said = newest.read_bytes().rpartition(STARTED.encode())
                end = said[-_LAST_BYTES:].decode(errors="replace") if begins else ""
                aborted = _ABORTED.search(end)
                if aborted is not None:
                    cause = trial_error(RuntimeError(end[aborted.start() :]))
                    is_shared = isinstance(cause, DeviceFault) and JOINED.encode() in said
                    return MpsFault(str(cause)) if is_shared else cause
        return None


def _failure(error: str) -> Diagnosis:
    """The diagnosis of a process that raised an error, by the traceback's last line."""
    last = error.strip().splitlines()[-1]
    return Diagnosis(f"its process failed: {short_reason(last)}")
