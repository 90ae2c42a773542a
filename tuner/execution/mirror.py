"""Keeps a copy of the run folder in storage that outlives this machine: `--out s3://…` and the like.

An Optuna journal is a file that grows, which object stores do not have. So the run folder lies on this machine, and
changed files are copied every few seconds. When this machine is lost, the search continues elsewhere from the copy.

Only one search at a time writes to a copy: see `tuner.run.lease`. A search that was silent for long may not know
yet that another one has taken over. So it also writes only where the copy's journal is the beginning of its own: no
entry that a copy has ever held gets lost.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillBusy
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuner.errors import RunFolderError, SearchError
from tuner.run.copies import bring_trial_models, take_over, whole_lines
from tuner.run.evaluations import merge_evaluations
from tuner.run.folder import RunFolder
from tuner.run.lease import LEASE, Lease, LeaseTaken
from tuner.run.troubles import Troubles
from tuner.settings.config import SearchConfig
from tuner.storage import PART, Storage
from tuner.text import one_line

_COPY_S = 10.0
_SHARE = 0.1  # of the time may be spent on copying: a long journal is copied less often
_LAST_COPY_S = 120.0  # in the end, for each file
_POLL_S = 1.0


class Mirror(Protocol):
    """Keeps the copy of a search's run folder."""

    def take_up(self) -> None:
        """Updates the run folder from the copy if a search on another machine has continued there.

        Raises:
            RunFolderError: a search is running on another machine, or both folders have changed independently.
            OSError: the copy cannot be read.
        """

    def holding(self) -> AbstractContextManager[None]:
        """Keeps the copy up to date, and at the end copies the last changes.

        Raises:
            SearchError: at the end it could not be brought up to date.
        """

    def copy_if_due(self, troubles: Troubles) -> None:
        """Copies what has changed, if the last time was long enough ago.

        Args:
            troubles: learn whether the last copying failed.

        Raises:
            SearchError: another search has taken the copy.
        """


class NoMirror:
    """See `Mirror`; does nothing, because no copy was requested."""

    def take_up(self) -> None:
        """Nothing."""

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Nothing."""
        yield

    def copy_if_due(self, troubles: Troubles) -> None:
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
    return StorageMirror(folder, Storage(config.place), check)


@dataclass(frozen=True)
class _FileState:
    """Distinguishes a file's contents."""

    modified_ns: int
    size: int


@dataclass(frozen=True)
class _Changes:
    """The work of one copying."""

    journal: bytes  # whole, without half a line at its end
    files: tuple[
        tuple[Path, _FileState], ...
    ]  # changed ones; the journal last, if it is one of them
    gone: tuple[str, ...]  # models of trials that fell out


class StorageMirror:
    """Copies a run folder's files to storage, in a thread of its own.

    Args:
        folder: the run folder; only the caller writes to it.
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
        self._clock = clock
        self._lease = Lease(storage, check, clock=clock, sleep=sleep)
        self._copied: dict[Path, _FileState] = {}
        self._models: set[str] = set()  # of the search's trials, in the copy
        self._due_at = clock()
        self._copying: Future[None] | None = None
        self._progressed_at = time.monotonic()
        # The version of the copy's journal that was last seen to be the beginning of ours.
        self._version: str | None = None

    def take_up(self) -> None:
        """See `Mirror`."""
        self._lease.take()
        self._lease.start_renewing()
        try:
            self._take_up()
        except BaseException:
            self._lease.release()
            raise

    def _remove_half_written(self) -> None:
        """Removes what searches that were killed had begun to write to the copy.

        Only what the lease's holder writes: test evaluations, and leases that are asked for, are written beside it.
        """
        others = (f"{LEASE}.", f"{self._folder.tests.name}.")
        for folder in ("", self._folder.trial_models.name, self._folder.finalist_models.name):
            for name in self._storage.names(folder):
                if name.endswith(PART) and not name.startswith(others):
                    self._storage.remove(name)

    def _take_up(self) -> None:
        with suppress(OSError):  # leftovers harm nothing, and the next search tries again
            self._remove_half_written()
        theirs = self._storage.read(self._folder.journal.name)
        if theirs is None:
            return
        ours = self._folder.journal.read_bytes() if self._folder.journal.is_file() else b""
        # Our last seconds were never copied, or nothing is new.
        is_ours_as_new = ours.startswith(whole_lines(theirs))
        if not is_ours_as_new and not theirs.startswith(whole_lines(ours)):
            raise RunFolderError(
                f"{self._folder.path}: has changed, and so has its copy in {self._storage.place}; "
                "move one of them away, or search under another --name"
            )
        self._models.update(bring_trial_models(self._folder, self._storage))
        if is_ours_as_new:
            merge_evaluations(self._folder, self._storage.read)
        else:
            take_over(self._folder, self._storage)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """See `Mirror`."""
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

    def copy_if_due(self, troubles: Troubles) -> None:
        """See `Mirror`."""
        if self._clock() < self._due_at:
            return
        topic = f"the run folder's copy in {self._storage.place}"
        if self._copying is not None:
            if not self._copying.done():
                if time.monotonic() - self._progressed_at > _LAST_COPY_S:
                    self._progressed_at = time.monotonic()
                    troubles.note(topic, "the storage does not answer")
                return
            troubles.note(topic, self._note_failure())
        self._due_at = self._clock() + _COPY_S
        self._start()

    def _start(self) -> None:
        """Copies in a thread, which does not keep this process from ending."""
        copying: Future[None] = Future()
        changes = self._changes()

        def copy() -> None:
            try:
                self._copy(changes)
            except BaseException as error:  # the driver's thread asks for it
                copying.set_exception(error)
            else:
                copying.set_result(None)

        self._copying = copying
        self._progressed_at = time.monotonic()
        threading.Thread(target=copy, name="mirror", daemon=True).start()

    def _copy(self, changes: _Changes) -> None:
        """Runs in the thread."""
        began = self._clock()
        self._check_copy(changes.journal)
        for path, state in changes.files:
            self._lease.confirm()  # again and again: a file may take long
            name = path.relative_to(self._folder.path).as_posix()
            if path == self._folder.journal:
                self._check_copy(changes.journal)
                self._version = self._storage.replace(name, changes.journal, self._version)
            else:
                with suppress(FileNotFoundError):  # removed since
                    self._storage.write(name, path.read_bytes())
            if path.parent == self._folder.trial_models:
                self._models.add(name)
            self._copied[path] = state
            self._progressed_at = time.monotonic()
        for name in changes.gone:  # after the journal, which names them no more
            self._lease.confirm()
            self._storage.remove(name)
            self._models.discard(name)
        now = self._clock()
        self._due_at = max(self._due_at, now + (now - began) / _SHARE)

    def _check_copy(self, journal: bytes) -> None:
        """Checks that the copy's journal is the beginning of ours, without reading it where its version shows that.

        Raises:
            LeaseTaken: it is not: another search has continued there.
        """
        version = self._storage.version(self._folder.journal.name)
        if version is not None and version == self._version:
            return
        theirs = self._storage.read(self._folder.journal.name)
        if version != self._storage.version(self._folder.journal.name):
            raise OSError("another search writes to it")  # the next copying sees what
        if theirs is not None and not journal.startswith(whole_lines(theirs)):
            raise LeaseTaken("its journal has other entries")
        self._version = version

    def _changes(self) -> _Changes:
        """The journal, and the files that are not as they were copied last.

        The journal is read here, between two of its lines; other files in the thread, where each is as new or newer.
        """
        states = {}
        for path in self._folder.result_files:
            with suppress(FileNotFoundError):
                status = path.stat()
                states[path] = _FileState(status.st_mtime_ns, status.st_size)
        journal = self._folder.journal.read_bytes() if self._folder.journal in states else b""
        changed = (each for each in states.items() if self._copied.get(each[0]) != each[1])
        gone = (name for name in self._models if not (self._folder.path / name).is_file())
        return _Changes(whole_lines(journal), tuple(changed), tuple(gone))

    def _note_failure(self) -> str | None:
        """The reason why the last copying failed; everything is then copied again."""
        error = self._copying.exception() if self._copying is not None else None
        self._copying = None
        if error is None:
            return None
        if isinstance(error, LeaseTaken):
            raise SearchError(
                f"{self._storage.place}: another search has taken this run over ({error}); this one stops"
            )
        self._copied.clear()
        reason = one_line(str(error))
        print(f"tuner: the run folder's copy is late: {reason}", flush=True)  # noqa: T201 - to the driver's log
        return reason

    def _finish(self) -> str | None:
        """Brings the last changes to the copy and gives up the lease; returns why that failed."""
        try:
            if self._copying is not None:
                if not self._has_ended():
                    return "the storage does not answer"
                self._note_failure()
            self._start()
            if not self._has_ended():
                return "the storage does not answer"
            reason = self._note_failure()
        except SearchError as error:  # the lease was taken
            return str(error)
        finally:
            self._lease.release()
        return reason

    def _has_ended(self) -> bool:
        """Waits for the copying, as long as it copies one file after the other; whether it has ended."""
        assert self._copying is not None
        while not self._copying.done():
            with suppress(StillBusy):
                self._copying.exception(timeout=_POLL_S)
            if time.monotonic() - self._progressed_at > _LAST_COPY_S:
                return self._copying.done()
        return True
