"""A folder for the files of Ray and Tune while a search runs; removed when the search ends, or by the next search."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tuner.errors import SearchError
from tuner.files import lock_file

_PREFIX = "tuner-"
_LOCK = "tuner.lock"
_RAY = "r"  # Ray's own folder within; short, because paths of sockets have 103 bytes
_NEW_S = 60.0


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end; first removes those that killed searches left there.

    Raises:
        SearchError: nothing can be written there.
    """
    _remove_abandoned(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as cause:
        raise SearchError(
            f"{parent}: Ray's files cannot be written there ({cause.strerror}); make room, or set RAY_TMPDIR"
        ) from cause
    try:
        with open(folder / _LOCK, "w", encoding="ascii") as lock:
            lock_file(lock)  # until this process ends, however it does
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or just removed by another search
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether it is a scratch folder that no living process holds."""
    try:
        with open(folder / _LOCK, "r+", encoding="ascii") as lock:
            if time.time() - os.fstat(lock.fileno()).st_mtime < _NEW_S:
                return False  # perhaps made, but not locked yet
            return lock_file(lock)
    except FileNotFoundError:
        # Removed before, but a dying daemon of Ray has written into it once more.
        made_s = time.time() - folder.stat().st_mtime
        return [path.name for path in folder.iterdir()] == [_RAY] and made_s > _NEW_S
