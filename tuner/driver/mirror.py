"""Keeps a copy of the run folder in storage that outlives this machine: `--out s3://…` and the like.

An Optuna journal is a file that grows, which object stores do not have: the run folder lies on this machine, and what
changed in it is copied every few seconds. When this machine is lost, the search goes on elsewhere from the copy.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tuner.config import SearchConfig
from tuner.errors import RunFolderError, SearchError
from tuner.run_folder import RunFolder, write_bytes_atomically
from tuner.storage import Storage
from tuner.validation import one_line

LEASE = "searching"  # a file in the copy that says who searches
_EVERY_S = 10.0
_SHARE = 0.1  # of the time, at most, that copying may take: a long journal is copied less often
_LEASE_S = 120.0  # a search that has not said for so long that it lives is dead


@dataclass(frozen=True)
class _Written:
    """A file as it was copied last."""

    modified_ns: int
    size: int


class NoMirror:
    """Does nothing: the run folder lies where it shall."""

    def take_up(self) -> None:
        """See `Mirror`."""

    @contextmanager
    def holding(self) -> Iterator[None]:
        """See `Mirror`."""
        yield

    def copy_if_due(self) -> None:
        """See `Mirror`."""


def mirror_of(config: SearchConfig, folder: RunFolder) -> NoMirror:
    """The copy that `config` asks for.

    Raises:
        ConfigError: its storage cannot be reached.
    """
    if not config.is_mirrored:
        return NoMirror()
    return Mirror(folder, Storage(f"{config.out.rstrip('/')}/{config.run_name}"))


class Mirror(NoMirror):
    """Copies a run folder's files to storage, in a thread of its own.

    Args:
        folder: the run folder; whoever calls is the only one that writes to it.
        storage: where the copy lies.
        clock: seconds since 1970: other machines read them.
    """

    def __init__(
        self, folder: RunFolder, storage: Storage, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._storage = storage
        self._clock = clock
        self._owner = f"process {os.getpid()} on {socket.gethostname()}"
        self._copied: dict[str, _Written] = {}
        self._due_at = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mirror")
        self._copying: Future[float] | None = None

    def take_up(self) -> None:
        """Brings the run folder up to the copy, where a search on another machine went further.

        Raises:
            RunFolderError: a search is running on another machine, or both went on, each on its own.
            OSError: the copy cannot be read.
        """
        self._refuse_another()
        theirs = self._storage.read(self._folder.journal.name)
        if theirs is None:
            return
        ours = self._folder.journal.read_bytes() if self._folder.journal.is_file() else b""
        if ours.startswith(theirs):  # our last seconds were never copied, or nothing is new
            return
        whole = ours[: ours.rfind(b"\n") + 1]  # a killed search may have left half a line
        if not theirs.startswith(whole):
            raise RunFolderError(
                f"{self._folder.path}: has gone on, and so has its copy in {self._storage.place}; "
                "move one of them away, or search under another --name"
            )
        for path in self._folder.result_files:
            content = self._storage.read(path.name)
            if content is not None:
                write_bytes_atomically(path, content)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keeps the copy up to date until the end, which brings it the last changes.

        Raises:
            SearchError: in the end it could not be brought up to date.
        """
        try:
            yield
        finally:
            self._finish()

    def copy_if_due(self) -> None:
        """Copies what has changed, if the last time was long enough ago."""
        if self._clock() < self._due_at or (self._copying and not self._copying.done()):
            return
        self._note_failure()
        changed = self._changed()
        # Until the copying has shown how long it takes.
        self._due_at = self._clock() + _EVERY_S
        self._copying = self._thread.submit(self._copy, changed)

    def _copy(self, changed: dict[str, bytes]) -> float:
        """Seconds that it took. Runs in the thread."""
        began = time.monotonic()
        for name, content in changed.items():
            self._storage.write(name, content)
        lease = {"owner": self._owner, "seconds_since_1970": self._clock()}
        self._storage.write(LEASE, json.dumps(lease).encode())
        took = time.monotonic() - began
        self._due_at = max(self._due_at, self._clock() + took / _SHARE)
        return took

    def _changed(self) -> dict[str, bytes]:
        """Name and content of the files that are not as they were copied last.

        Read here, between two lines of the journal, not in the thread.
        """
        changed = {}
        for path in self._folder.result_files:
            with suppress(FileNotFoundError):
                status = path.stat()
                written = _Written(status.st_mtime_ns, status.st_size)
                if self._copied.get(path.name) != written:
                    changed[path.name] = path.read_bytes()
                    self._copied[path.name] = written
        return changed

    def _note_failure(self) -> str | None:
        """Why the last copying failed; then everything is to be copied again."""
        error = self._copying.exception() if self._copying is not None else None
        self._copying = None
        if error is None:
            return None
        self._copied.clear()
        reason = one_line(str(error))
        print(f"tuner: the run folder's copy is late: {reason}", flush=True)  # noqa: T201 - into the driver's log
        return reason

    def _finish(self) -> None:
        if self._copying is not None:
            self._copying.exception()  # waits for it
        self._note_failure()
        self._copying = self._thread.submit(self._copy, self._changed())
        self._copying.exception()
        reason = self._note_failure()
        self._thread.shutdown()
        with suppress(OSError):
            self._storage.remove(LEASE)
        if reason is not None:
            raise SearchError(
                f"{self._storage.place}: cannot be brought up to date: {reason}; "
                f"the run lies whole in {self._folder.path}, the same command copies it"
            )

    def _refuse_another(self) -> None:
        lease = self._lease()
        age_s = self._clock() - float(lease.get("seconds_since_1970", 0.0))
        if age_s < _LEASE_S and lease.get("owner") != self._owner:
            owner = str(lease.get("owner"))
            if not _has_died_here(owner):
                raise RunFolderError(
                    f"{self._storage.place}: a search is running in it ({owner}, {max(age_s, 0):.0f} s ago); "
                    f"wait for it, or end it: if it died, in {_LEASE_S - age_s:.0f} s this is free"
                )

    def _lease(self) -> dict[str, Any]:
        content = self._storage.read(LEASE)
        try:
            lease = json.loads(content or b"{}")
        except ValueError:
            return {}
        return lease if isinstance(lease, dict) else {}


def _has_died_here(owner: str) -> bool:
    """Whether `process 123 on host` was of this machine and is no more."""
    words = owner.split()
    if len(words) != 4 or words[3] != socket.gethostname() or not words[1].isdecimal():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
