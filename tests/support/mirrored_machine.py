"""A host whose run folder has a copy in storage."""

from pathlib import Path
from typing import Any

from support.watching import Clock

from tuner.execution.mirror import StorageMirror
from tuner.run.folder import RunFolder
from tuner.storage import Storage


class _Troubles:
    """Remembers what was noted."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str | None]] = []

    def note(self, topic: str, reason: str | None) -> None:
        self.noted.append((topic, reason))


TROUBLES: Any = _Troubles()


class Machine:
    """A host with its run folder, the copy, and a clock that moves with every sleep."""

    def __init__(self, path: Path, place: str) -> None:
        self.folder = RunFolder(path)
        self.place = place
        self.clock = Clock(1000.0)
        path.mkdir(exist_ok=True)
        self._mirrors: list[StorageMirror] = []

    def mirror(self) -> StorageMirror:
        storage = Storage(self.place)
        mirror = StorageMirror(
            self.folder, storage, lambda: None, clock=self.clock, sleep=self.clock.sleep
        )
        self._mirrors.append(mirror)
        return mirror

    def end(self) -> None:
        """As the end of its process: nothing renews a lease, nor gives one up."""
        for mirror in self._mirrors:
            mirror._lease._is_over.set()
            if mirror._lease._renewing.is_alive():
                mirror._lease._renewing.join()

    def write(self, journal: str) -> None:
        self.folder.journal.write_text(journal)
        self.folder.run_file.write_text(f"run of {len(journal)}")
