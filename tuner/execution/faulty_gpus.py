"""Counts the faults of a GPU in a row: one that failed again and again is shared without MPS, and rests.

A broken GPU ends its trials at once, so it is always the first to be free: without a rest, trial after trial would use
up its tries there, where others can train in its place. The count is a file on the GPU's machine, because each fault
ends the process that met it. Most faults end it without a word, so a process leaves a note while it is at work: whoever
finds the note of a dead one counts it.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tuner.files import lock_file, lock_owner, make_private

_ONE_EVENT_S = 30.0  # in which all clients of MPS meet the same fault
_PATIENCE = 3  # faults in a row
_FIRST_REST_S = 60.0
_LONGEST_REST_S = 300.0
_FORGOTTEN_S = 3600.0  # by then the fault may be mended
_WITH_MPS, _ALONE = "with MPS", "alone"  # in the note of a process
_LOCK_S = 1.0  # another process holds a note for a moment, to see whether its owner lives


@dataclass(frozen=True)
class FaultyGpu:
    """The faults of this process' GPU since a trial last finished an epoch on it.

    Args:
        session: a word for this search and for now. Processes of others, and of before, may have been ended on purpose.
    """

    root: Path = Path("/tmp")
    name: str = field(default_factory=lambda: os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    clock: Callable[[], float] = time.time  # in the unit of file times
    session: str = ""

    @property
    def _file(self) -> Path:
        name = self.name.replace("/", "-") or "all"
        return self.root / f"tuner-faulty-gpus-{os.getuid()}" / name

    def count_fault(self, *, has_mps: bool) -> None:
        """Counts a fault; one that takes all clients of MPS down, once for all of them."""
        faults, last = self._read()
        if has_mps and self.clock() - last < _ONE_EVENT_S:
            return
        with suppress(OSError):
            make_private(self._file.parent)
            self._file.write_text(str(faults + 1), encoding="ascii")
            os.utime(self._file, (self.clock(), self.clock()))

    @contextmanager
    def at_work(self, *, has_mps: bool) -> Iterator[None]:
        """Counts as a fault for `count_deaths` if this process dies meanwhile."""
        path = self._file.with_name(f"{self._file.name}.{self.session}.{secrets.token_hex(4)}")
        note = None
        with suppress(OSError):
            make_private(path.parent)
            note = open(path, "x", encoding="ascii")  # noqa: SIM115 - closed below
            lock_file(note, wait_s=_LOCK_S)
            note.write(_WITH_MPS if has_mps else _ALONE)
            note.flush()
        try:
            yield
        finally:
            if note is not None:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                    note.close()

    def count_deaths(self) -> None:
        """Counts the processes of this session that have died at work on this GPU since the last call."""
        for note in self._notes_of_dead(self.session):
            with suppress(OSError):
                has_mps = note.read_text(encoding="ascii") == _WITH_MPS
                note.unlink()  # of several that find it, the one that removes it counts it
                self.count_fault(has_mps=has_mps)

    def forget_faults(self) -> None:
        """Notes that the GPU works."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            for note in self._notes_of_dead("*"):
                note.unlink(missing_ok=True)

    @property
    def has_failed_often(self) -> bool:
        """Whether it failed three times in a row, or more often."""
        return self._read()[0] >= _PATIENCE

    def rest_s(self) -> float:
        """For how long no trial should begin on this GPU."""
        faults, last = self._read()
        if faults < _PATIENCE:
            return 0.0
        rest_s = min(_FIRST_REST_S * 2.0 ** (faults - _PATIENCE), _LONGEST_REST_S)
        return min(max(0.0, last + rest_s - self.clock()), rest_s)

    def _notes_of_dead(self, session: str) -> Iterator[Path]:
        for note in self._file.parent.glob(f"{self._file.name}.{session}.*"):
            with suppress(OSError):
                # Its owner has it locked before it writes, so an empty one may still get its lock.
                if note.stat().st_size and lock_owner(note) is None:
                    yield note

    def _read(self) -> tuple[int, float]:
        """How many faults in a row, and when the last one was."""
        with suppress(OSError, ValueError):
            found = self._file.stat()
            is_ours = found.st_uid == os.getuid()
            if is_ours and self.clock() - found.st_mtime < _FORGOTTEN_S:
                return int(self._file.read_text(encoding="ascii")), found.st_mtime
        return 0, 0.0
