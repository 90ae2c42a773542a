"""The lock of a run folder: it admits one search at a time and names that search.

The lock file holds `process 123 on host` while a search runs. The operating system releases the lock when that process
dies; the name then stays in the file, and `is_abandoned` reads it.

Some file systems that hosts share, such as NFS mounted with `nolock`, show a lock to one host alone. So the search also
renews a lease beside the lock; one on another host sees it renewed and is refused.

Must not import Ray, Keras or Optuna.
"""

import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tuner.errors import JournalLost, RunFolderError
from tuner.files import TEMPORARY, lock_file, lock_owner, make_folder
from tuner.run.folder import RunFolder
from tuner.run.lease import Lease, LeaseTaken, Pace, is_over, kernel_id, owner_in
from tuner.storage import Storage
from tuner.text import one_line

_PATIENCE_S = 0.2  # `owner_of` holds the lock for a moment
# A search does not wait before it starts, because the lock keeps those of one host apart: see `Claim.confirm`.
_PACE = Pace(renew_s=5.0, watch_s=20.0, settle_s=0.0)


def owner_of(folder: RunFolder) -> str | None:
    """The search that runs in this folder, `process 123 on host`; None when none does."""
    return lock_owner(folder.lock_file) or _owner_elsewhere(folder)


def _owner_elsewhere(folder: RunFolder) -> str | None:
    """The search whose lease is fresh by the clock of this host, although nobody seems to lock the folder."""
    try:
        lease = folder.lease.read_bytes()
        age_s = time.time() - folder.lease.stat().st_mtime
        lock = _lock_id(folder.lock_file.stat())
    except OSError:
        return None
    return None if is_over(lease, lock) or abs(age_s) > _PACE.watch_s else owner_in(lease)


def _lock_id(file: os.stat_result) -> str | None:
    """The lock on this file, among all processes that see it: those of one kernel, through one mounted file system."""
    kernel = kernel_id()
    return f"{kernel} {file.st_dev} {file.st_ino}" if kernel is not None else None


class Claim:
    """One search's claim to its run folder."""

    def __init__(self, folder: RunFolder, lease: Lease) -> None:
        self._folder = folder
        self._lease = lease
        self.is_lost = False

    def confirm(self) -> None:
        """Checks that no other host claims the folder, such as one that started at the same moment.

        Raises:
            JournalLost: one does.
        """
        self._checked(self._lease.confirm)

    def check(self) -> None:
        """As `confirm`, at little cost: asks the file system only where no answer is recent."""
        self._checked(self._lease.confirm_if_due)

    def release(self) -> None:
        """Gives the folder up."""
        self._lease.release()

    def _checked(self, confirm: Callable[[], None]) -> None:
        try:
            confirm()
        except LeaseTaken as taken:
            self.is_lost = True
            raise JournalLost(
                f"{self._folder.path}: a search on another host has taken this run over ({taken}); this one stops"
            ) from taken


def is_abandoned(folder: RunFolder) -> bool:
    """Whether the last search in this folder died: one that ends by itself removes its name from the lock file."""
    try:
        is_named = folder.lock_file.is_file() and folder.lock_file.stat().st_size > 0
        return is_named and owner_of(folder) is None
    except OSError:
        return False


@contextmanager
def claimed(folder: RunFolder, check: Callable[[], None] = lambda: None) -> Iterator[Claim]:
    """`locked`; where no study was written in the end, the folders that were made are removed again."""
    folders = (folder.logs, folder.path, *folder.path.parents)
    made = [path for path in folders if not os.path.exists(path)]
    try:
        with locked(folder, check) as claim:
            try:
                yield claim
            finally:
                # Still locked: another search that began meanwhile finds no half of a folder.
                if folder.path in made and not folder.journal.exists():
                    shutil.rmtree(folder.logs, ignore_errors=True)
                    folder.run_file.unlink(missing_ok=True)
    finally:
        for path in made:
            with suppress(OSError):  # another process has put files into it
                path.rmdir()


def _opened(file: Path) -> tuple[IO[str], bool]:
    """The lock file, and whether this call made it: one that was there may be a running search's."""
    try:
        file.touch(exist_ok=False)
        is_new = True
    except FileExistsError:
        is_new = False
    return open(file, "a+", encoding="utf-8", errors="replace"), is_new


def _lock(handle: IO[str], folder: RunFolder, is_new: bool) -> bool:
    """As `lock_file`.

    Raises:
        RunFolderError: the file system knows no locks; a new file is removed again.
    """
    try:
        return lock_file(handle, wait_s=_PATIENCE_S)
    except OSError as cause:
        if is_new:
            folder.lock_file.unlink(missing_ok=True)
        raise RunFolderError(
            f"{folder.path}: its file system locks no files ({cause.strerror}), so that two searches could write "
            "into one run; choose an --out on a local disk"
        ) from cause


@contextmanager
def locked(folder: RunFolder, check: Callable[[], None] = lambda: None) -> Iterator[Claim]:
    """Holds the folder for one search.

    Args:
        check: raises where the search was asked to end, while it waits for a sign of one on another host.

    Raises:
        RunFolderError: another search holds it (the message names its host and process), or it cannot be made.
    """
    folder.check_no_links()
    try:
        make_folder(folder.logs)
        lock, is_new = _opened(folder.lock_file)
    except OSError as cause:
        raise RunFolderError(
            f"{folder.path}: cannot be made or written to ({cause.strerror}); choose another --out"
        ) from cause
    with lock as handle:
        if not _lock(handle, folder, is_new):
            handle.seek(0)
            owner = handle.read().strip() or "another process"
            raise RunFolderError(
                f"{folder.path}: a search is running in it ({owner}); wait for it, or end it: "
                f"tuner stop {shlex.quote(str(folder.path))}"
            )
        claim = None
        try:
            try:
                # It was an earlier search's, and must not end this one while it waits for the lease.
                folder.stop_request.unlink(missing_ok=True)
                claim = Claim(
                    folder, _take_lease(folder, _lock_id(os.fstat(handle.fileno())), check)
                )
                handle.truncate(0)
                handle.write(f"process {os.getpid()} on {socket.gethostname()}")
                handle.flush()
            except OSError as cause:
                if is_new:
                    folder.lock_file.unlink(missing_ok=True)
                raise RunFolderError(
                    f"{folder.path}: cannot be written to ({cause.strerror or one_line(str(cause))}); make room, or "
                    "choose another --out"
                ) from cause
            _remove_half_written(folder)
            yield claim
        finally:
            if claim is not None:
                claim.release()
                if not claim.is_lost:
                    handle.truncate(0)  # no owner from here on


def _take_lease(folder: RunFolder, lock: str | None, check: Callable[[], None]) -> Lease:
    """The lease of this folder, renewed from now on.

    Raises:
        RunFolderError: a search on another host renews it.
        OSError: it cannot be written.
    """
    storage = Storage(str(folder.path))
    name = folder.lease.relative_to(folder.path).as_posix()
    lease = Lease(storage, check, name=name, lock=lock, pace=_PACE, notify=_tell)
    lease.take()
    lease.start_renewing()
    return lease


def _remove_half_written(folder: RunFolder) -> None:
    """Removes what a search that was killed had begun to write."""
    leases = folder.logs.glob(f"{folder.lease.name}.*.part")
    for half_written in (*folder.path.glob(f".*{TEMPORARY}*"), *leases):
        half_written.unlink(missing_ok=True)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for the person, whatever the command prints
