"""Keeps a copy of the run folder in storage that outlives this machine: `--out s3://…` and the like.

An Optuna journal is a file that grows, which object stores do not have: the run folder lies on this machine, and what
changed in it is copied every few seconds. When this machine is lost, the search goes on elsewhere from the copy.

Of the searches that want one copy the first holds a lease on it: a file that it renews. Whether a lease is alive is
seen by watching whether it changes, because clocks of two machines differ. A search that lost its lease writes no more.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillBusy
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from tuner.errors import RunFolderError, SearchError
from tuner.run.copies import take_over, whole_lines
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig
from tuner.storage import Storage
from tuner.text import one_line

LEASE = "searching"  # a file in the copy that says who searches
_RENEW_S = 15.0
_WATCH_S = 50.0  # a lease that is not renewed for so long is a dead search's
_POLL_S = 1.0
_COPY_S = 10.0
_SHARE = 0.1  # of the time, at most, that copying may take: a long journal is copied less often
_LAST_COPY_S = 120.0


class Mirror(Protocol):
    """What a search does for its run folder's copy."""

    def take_up(self) -> None:
        """Brings the run folder up to the copy, where a search on another machine went further.

        Raises:
            RunFolderError: a search is running on another machine, or both went on, each on its own.
            OSError: the copy cannot be read.
        """

    def holding(self) -> AbstractContextManager[None]:
        """Keeps the copy up to date until the end, which brings it the last changes.

        Raises:
            SearchError: in the end it could not be brought up to date.
        """

    def copy_if_due(self) -> None:
        """Copies what has changed, if the last time was long enough ago.

        Raises:
            SearchError: another search has taken the copy.
        """


class NoMirror:
    """See `Mirror`; does nothing: the run folder lies where it shall."""

    def take_up(self) -> None:
        """Nothing."""

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Nothing."""
        yield

    def copy_if_due(self) -> None:
        """Nothing."""


def mirror_of(config: SearchConfig, folder: RunFolder, check: Callable[[], None]) -> Mirror:
    """The copy that `config` asks for.

    Args:
        check: raises where the search was asked to end meanwhile.

    Raises:
        ConfigError: its storage cannot be reached.
    """
    if not config.is_mirrored:
        return NoMirror()
    return StorageMirror(folder, Storage(f"{config.out.rstrip('/')}/{config.run_name}"), check)


@dataclass(frozen=True)
class _Copied:
    """A file as it was copied last."""

    modified_ns: int
    size: int


class _LeaseTaken(Exception):
    """Another search writes to the copy by now."""


class StorageMirror:
    """Copies a run folder's files to storage, in a thread of its own.

    Args:
        folder: the run folder; whoever calls is the only one that writes to it.
        storage: where the copy lies.
        check: raises where the search was asked to end meanwhile.
        clock: seconds, from any start.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        folder: RunFolder,
        storage: Storage,
        check: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._storage = storage
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._token = uuid4().hex
        self._renewals = 0
        self._copied: dict[str, _Copied] = {}
        self._due_at = clock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mirror")
        self._copying: Future[None] | None = None
        self._is_over = threading.Event()

    def take_up(self) -> None:
        """See `Mirror`."""
        self._take_lease()
        theirs = self._storage.read(self._folder.journal.name)
        if theirs is None:
            return
        ours = self._folder.journal.read_bytes() if self._folder.journal.is_file() else b""
        if ours.startswith(whole_lines(theirs)):
            return  # our last seconds were never copied, or nothing is new
        if not theirs.startswith(whole_lines(ours)):
            self._remove_lease()
            raise RunFolderError(
                f"{self._folder.path}: has gone on, and so has its copy in {self._storage.place}; "
                "move one of them away, or search under another --name"
            )
        take_over(self._folder, self._storage)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """See `Mirror`."""
        renewing = threading.Thread(target=self._renew, daemon=True)
        renewing.start()
        try:
            yield
        except BaseException:
            self._finish()
            raise
        reason = self._finish()
        if reason is not None:
            raise SearchError(
                f"{self._storage.place}: cannot be brought up to date: {reason}; "
                f"the run lies whole in {self._folder.path}, the same command copies it"
            )

    def copy_if_due(self) -> None:
        """See `Mirror`."""
        if self._clock() < self._due_at or (self._copying and not self._copying.done()):
            return
        self._note_failure()
        self._due_at = self._clock() + _COPY_S
        self._copying = self._thread.submit(self._copy, self._changed())

    # -- the copy -----------------------------------------------------------------------------

    def _copy(self, changed: dict[str, bytes]) -> None:
        """Runs in the thread."""
        began = self._clock()
        self._check_lease()
        for name, content in changed.items():
            self._storage.write(name, content)
        now = self._clock()
        self._due_at = max(self._due_at, now + (now - began) / _SHARE)

    def _changed(self) -> dict[str, bytes]:
        """Name and content of the files that are not as they were copied last.

        Read here, between two lines of the journal, not in the thread.
        """
        changed = {}
        for path in self._folder.result_files:
            with suppress(FileNotFoundError):
                status = path.stat()
                copied = _Copied(status.st_mtime_ns, status.st_size)
                name = path.relative_to(self._folder.path).as_posix()
                if self._copied.get(name) != copied:
                    content = path.read_bytes()
                    is_journal = path == self._folder.journal
                    changed[name] = whole_lines(content) if is_journal else content
                    self._copied[name] = copied
        return changed

    def _note_failure(self) -> str | None:
        """Why the last copying failed; then everything is to be copied again."""
        error = self._copying.exception() if self._copying is not None else None
        self._copying = None
        if error is None:
            return None
        if isinstance(error, _LeaseTaken):
            raise SearchError(
                f"{self._storage.place}: another search has taken this run over ({error}); this one stops"
            )
        self._copied.clear()
        reason = one_line(str(error))
        print(f"tuner: the run folder's copy is late: {reason}", flush=True)  # noqa: T201 - to the driver's log
        return reason

    def _finish(self) -> str | None:
        """Brings the last changes to the copy; why that failed."""
        self._is_over.set()
        try:
            if self._copying is not None:
                with suppress(StillBusy):
                    self._copying.exception(timeout=_LAST_COPY_S)
                if not self._copying.done():
                    return "the storage does not answer"
                self._note_failure()
            self._copying = self._thread.submit(self._copy, self._changed())
            with suppress(StillBusy):
                self._copying.exception(timeout=_LAST_COPY_S)
            if not self._copying.done():
                return "the storage does not answer"
            reason = self._note_failure()
        except SearchError as error:  # the lease was taken
            return str(error)
        finally:
            self._thread.shutdown(wait=False)
        self._remove_lease()
        return reason

    # -- the lease ----------------------------------------------------------------------------

    def _take_lease(self) -> None:
        """Waits until no other search renews the lease, then takes it.

        Raises:
            RunFolderError: one does.
        """
        seen = self._storage.read(LEASE)
        until = self._clock() + _WATCH_S
        while seen is not None and not self._is_of_dead_process(seen) and self._clock() < until:
            self._check()
            self._sleep(_POLL_S)
            now = self._storage.read(LEASE)
            if now is not None and now != seen:
                raise RunFolderError(
                    f"{self._storage.place}: a search is running in it ({_owner(now)}); "
                    "wait for it, or stop it where it runs"
                )
            seen = now
        self._write_lease()
        # Whoever took it in the same moment has written by then: the last one has it.
        self._sleep(_POLL_S)
        with suppress(_LeaseTaken):
            self._check_lease()
            return
        raise RunFolderError(f"{self._storage.place}: another search has just begun in it")

    def _renew(self) -> None:
        """Runs in a thread until the end."""
        while not self._is_over.wait(_RENEW_S):
            with suppress(OSError, _LeaseTaken):  # the next copying says so
                self._check_lease()
                self._write_lease()

    def _write_lease(self) -> None:
        self._renewals += 1
        content = {
            "owner": f"process {os.getpid()} on {socket.gethostname()}",
            "boot": _boot_id(),
            "token": self._token,
            "renewals": self._renewals,
        }
        self._storage.write(LEASE, json.dumps(content).encode())

    def _check_lease(self) -> None:
        content = self._storage.read(LEASE)
        if content is not None and _field(content, "token") != self._token:
            raise _LeaseTaken(_owner(content))

    def _remove_lease(self) -> None:
        with suppress(OSError, _LeaseTaken):
            self._check_lease()
            self._storage.remove(LEASE)

    @staticmethod
    def _is_of_dead_process(lease: bytes) -> bool:
        """Whether its search ran on this machine, since its start, and is no more."""
        words = _owner(lease).split()
        if _field(lease, "boot") != _boot_id() or len(words) != 4 or not words[1].isdecimal():
            return False
        try:
            os.kill(int(words[1]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False


def _owner(lease: bytes) -> str:
    return str(_field(lease, "owner"))


def _field(lease: bytes, name: str) -> object:
    try:
        content = json.loads(lease)
    except ValueError:
        return None
    return content.get(name) if isinstance(content, dict) else None


def _boot_id() -> str:
    """Tells one start of one machine from all others, containers by their own process ids' root."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return f"{file.read().strip()} {os.stat('/proc/self/ns/pid').st_ino}"
    return socket.gethostname()
