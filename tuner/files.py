"""Files that are replaced whole: a reader sees the old content or the new one, never half of it."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tuner.faults import KillPoint, kill_point

TEMPORARY = ".tmp"  # ends the names of files that are not whole yet


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file to write to in a `with` block; at the end of the block it replaces `path`.

    After an exception `path` is as it was. The folder must exist. A file that is replaced hands on its permissions.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or after a power cut the name could stand before the content
        with suppress(FileNotFoundError):  # a new one
            shutil.copymode(path, temporary)
        kill_point(KillPoint.FILE_WRITTEN)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8; makes its folder."""
    write_bytes_atomically(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Replaces `path` by `content`; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def cache_root(folder: Path | None = None) -> Path:
    """`folder`, or else `$TUNER_CACHE`, or else the user's cache folder."""
    if folder is not None:
        return folder
    if named := os.environ.get("TUNER_CACHE"):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("tuner")
