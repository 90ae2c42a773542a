"""The lock of a run folder: it admits one search at a time and names that search.

The lock file holds `process 123 on host` while a search runs. The operating system releases the lock when that process
dies; the name then stays in the file, and `is_abandoned` reads it. Must not import Ray, Keras or Optuna.
"""

import os
import shlex
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from tuner.errors import RunFolderError
from tuner.files import TEMPORARY, lock_file, lock_owner
from tuner.run.folder import RunFolder

_PATIENCE_S = 0.2  # `owner_of` holds the lock for a moment


def owner_of(folder: RunFolder) -> str | None:
    """The search that runs in this folder, `process 123 on host`; None when none does."""
    return lock_owner(folder.lock_file)


def is_abandoned(folder: RunFolder) -> bool:
    """Whether the last search in this folder died: one that ends by itself removes its name from the lock file."""
    try:
        is_named = folder.lock_file.is_file() and folder.lock_file.stat().st_size > 0
        return is_named and owner_of(folder) is None
    except OSError:
        return False


@contextmanager
def claimed(folder: RunFolder) -> Iterator[None]:
    """`locked`; where no study was written in the end, the folders that were made are removed again."""
    folders = (folder.logs, folder.path, *folder.path.parents)
    made = [path for path in folders if not os.path.exists(path)]
    try:
        with locked(folder):
            try:
                yield
            finally:
                # Still locked: another search that began meanwhile finds no half of a folder.
                if folder.path in made and not folder.journal.exists():
                    shutil.rmtree(folder.logs, ignore_errors=True)
                    folder.run_file.unlink(missing_ok=True)
    finally:
        for path in made:
            with suppress(OSError):  # another process has put files into it
                path.rmdir()


def _lock(handle: IO[str], folder: RunFolder) -> bool:
    """As `lock_file`.

    Raises:
        RunFolderError: the file system knows no locks; the file is removed again.
    """
    try:
        return lock_file(handle, wait_s=_PATIENCE_S)
    except OSError as cause:
        folder.lock_file.unlink(missing_ok=True)
        raise RunFolderError(
            f"{folder.path}: its file system locks no files ({cause.strerror}), so that two searches could write "
            "into one run; choose an --out on a local disk"
        ) from cause


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Holds the folder for one search.

    Raises:
        RunFolderError: another search holds it (the message names its host and process), or it cannot be made.
    """
    folder.check_no_links()
    try:
        folder.logs.mkdir(parents=True, exist_ok=True)
        lock = open(folder.lock_file, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
    except OSError as cause:
        raise RunFolderError(
            f"{folder.path}: cannot be made or written to ({cause.strerror}); choose another --out"
        ) from cause
    with lock as handle:
        if not _lock(handle, folder):
            handle.seek(0)
            owner = handle.read().strip() or "another process"
            raise RunFolderError(
                f"{folder.path}: a search is running in it ({owner}); wait for it, or end it: "
                f"tuner stop {shlex.quote(str(folder.path))}"
            )
        try:
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {socket.gethostname()}")
            handle.flush()
        except OSError as cause:
            folder.lock_file.unlink(missing_ok=True)
            raise RunFolderError(
                f"{folder.path}: cannot be written to ({cause.strerror}); make room, or choose another --out"
            ) from cause
        folder.stop_request.unlink(missing_ok=True)  # it was an earlier search's
        for half_written in folder.path.glob(f".*{TEMPORARY}*"):  # by a search that was killed
            half_written.unlink(missing_ok=True)
        try:
            yield
        finally:
            handle.truncate(0)  # no owner from here on
