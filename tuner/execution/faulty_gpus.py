"""Lets a GPU rest that failed again and again, where others can train in its place.

A broken GPU ends its trials at once, so it is always the first to be free: without a rest, trial after trial would use
up its tries there. How often a GPU failed in a row is kept in a file on its machine, because each fault ends the
process that met it.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tuner.files import make_private

_ONE_EVENT_S = 30.0  # all trials that share a GPU meet the same fault
_PATIENCE = 3  # faults in a row
_FIRST_REST_S = 60.0
_LONGEST_REST_S = 300.0


@dataclass(frozen=True)
class FaultyGpu:
    """The faults of this process' GPU since a trial last finished an epoch on it."""

    root: Path = Path("/tmp")
    name: str = field(default_factory=lambda: os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    clock: Callable[[], float] = time.time  # as of the file's time

    @property
    def _file(self) -> Path:
        name = self.name.replace("/", "-") or "all"
        return self.root / f"tuner-faulty-gpus-{os.getuid()}" / name

    def count_fault(self) -> None:
        """Counts a fault, once for all processes that meet it."""
        with suppress(OSError, ValueError):
            make_private(self._file.parent)
            faults, last = self._read()
            if self.clock() - last >= _ONE_EVENT_S:
                self._file.write_text(str(faults + 1), encoding="ascii")
                os.utime(self._file, (self.clock(), self.clock()))

    def forget_faults(self) -> None:
        """Notes that the GPU works."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    @property
    def has_failed_often(self) -> bool:
        """Whether it failed three times in a row, or more often."""
        with suppress(OSError, ValueError):
            return self._read()[0] >= _PATIENCE
        return False

    def rest_s(self) -> float:
        """For how long no trial should begin on this GPU."""
        with suppress(OSError, ValueError):
            faults, last = self._read()
            if faults >= _PATIENCE:
                rest_s = min(_FIRST_REST_S * 2.0 ** (faults - _PATIENCE), _LONGEST_REST_S)
                return min(max(0.0, last + rest_s - self.clock()), rest_s)
        return 0.0

    def _read(self) -> tuple[int, float]:
        """How many faults in a row, and when the last one was."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return 0, 0.0
        if found.st_uid != os.getuid():
            return 0, 0.0
        return int(self._file.read_text(encoding="ascii")), found.st_mtime
