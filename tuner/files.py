"""Files that a reader sees whole, as they were or as they are, never half of them."""

import os
import tempfile
from pathlib import Path

from tuner.faults import KillPoint, kill_point

TEMPORARY = ".tmp"  # ends the names of files that are not whole yet


def write_atomically(path: Path, text: str) -> None:
    """Writes `text` so that a reader sees the old file or the new one, never half of it."""
    write_bytes_atomically(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Writes `content` likewise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        kill_point(KillPoint.FILE_WRITTEN)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def cache_root(folder: Path | None = None) -> Path:
    """`folder`, or else `$TUNER_CACHE`, or else the user's cache folder."""
    if folder is not None:
        return folder
    if named := os.environ.get("TUNER_CACHE"):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("tuner")
