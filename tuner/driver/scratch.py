"""A folder for what Ray and Tune write while a search runs; it goes when the search ends, or with the next search."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tuner.errors import SearchError

_PREFIX = "tuner-"
_LOCK = "tuner.lock"
_NEW_S = 60.0


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed in the end; those that killed searches left there are removed first.

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
            fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends, however it does
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for lock_file in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        # Somebody else's, in use, or just removed by another search.
        with suppress(OSError), open(lock_file, "r+", encoding="ascii") as lock:
            if time.time() - os.fstat(lock.fileno()).st_mtime < _NEW_S:
                continue  # perhaps made, but not locked yet
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_file.parent, ignore_errors=True)
