"""Files that several processes use: replaced whole, so that no reader sees half of one, and locked."""

import errno
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tuner.kill_points import KillPoint, kill_point

TEMPORARY = ".tmp"  # ends the names of files that are not whole yet
STANDARD_INPUT = Path("/dev/stdin")
_LOCK_POLL_S = 0.05


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file to write to in a `with` block; at the end of the block it replaces `path`.

    After an exception `path` is as it was. The folder must exist. A file that is replaced hands on its permissions.
    One that is mounted by itself, as into a container, cannot be replaced: it is written over.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    # Before it has the permissions of the file that it replaces, nobody else may read it.
    temporary.touch(0o600 if path.exists() else 0o666, exist_ok=False)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or after a power cut the name could stand before the content
        with suppress(FileNotFoundError):  # a new one
            shutil.copymode(path, temporary)
        kill_point(KillPoint.FILE_WRITTEN)
        try:
            os.replace(temporary, path)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            shutil.copyfile(temporary, path)
            temporary.unlink()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk, or after a power cut the old ones could stand there again.

    Does nothing on file systems that cannot do that.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it that are missing; at the end their names are on the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_folder(made.parent)


def can_be_made(path: Path) -> bool:
    """Whether this user may make a file or folder at `path`, with the folders above it, or replace the one there."""
    there = next(folder for folder in path.absolute().parents if os.path.exists(folder))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def replace_folder(made: Path, out: Path, replaced: Path) -> None:
    """Renames `made` to `out`, and a folder that was there to `replaced`; puts that back if it fails or is interrupted.

    A process that is killed between the two renames leaves no `out`: the old folder is then at `replaced`.
    """
    for parent, _, names in os.walk(made):
        for name in names:
            with open(Path(parent, name), "rb+") as file:
                os.fsync(file.fileno())
        sync_folder(Path(parent))
    try:
        if out.exists():
            os.rename(out, replaced)
        os.rename(made, out)
    finally:
        if not out.exists() and replaced.exists():
            os.rename(replaced, out)
    sync_folder(out.parent)


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8; makes its folder."""
    write_bytes_atomically(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Replaces `path` by `content`; makes its folder."""
    make_folder(path.parent)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def cache_root(folder: Path | None = None) -> Path:
    """`folder`, or else `$TUNER_CACHE`, or else the user's cache folder; of a user without a home one for a while."""
    if folder is not None:
        return folder
    if named := os.environ.get("TUNER_CACHE"):
        return Path(os.path.expanduser(named))
    import platformdirs

    try:
        return platformdirs.user_cache_path("tuner")
    except RuntimeError:  # no home
        return substitute_home() / "cache"


def has_home() -> bool:
    """Whether this user has a home folder; one without a name, as in `docker --user 54321`, may have none."""
    try:
        Path.home()
    except RuntimeError:
        return False
    return True


def substitute_home() -> Path:
    """A folder of this user's for one who has no home.

    Raises:
        PermissionError: there is something else of its name.
    """
    folder = Path(tempfile.gettempdir()) / f"tuner-{os.getuid()}"
    make_private(folder)
    return folder


def make_private(folder: Path) -> None:
    """Makes a folder for this user alone, in a place where all may write.

    Raises:
        PermissionError: there is something else of this name.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not this user's folder; remove it")
    folder.chmod(0o700)


def lock_file(file: IO[Any], *, shared: bool = False, wait_s: float = 0.0) -> bool:
    """Locks an open file against other processes; False where another one holds it for `wait_s` seconds.

    The lock ends when the file is closed or the process dies. The file's content stays, so it can name the owner.
    A shared lock asks whether anybody holds the file: any number of processes may ask at the same time.

    The package filelock has no shared lock for this: of two processes that ask at the same time, one would take the
    other for a running search. portalocker has one, as a wrapper of the same system call, for Windows' sake.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_LOCK_POLL_S)
        else:
            return True


def lock_owner(path: Path) -> str | None:
    """The content of a lock file that another process holds, which names it; None where nobody holds one."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            if not lock_file(file, shared=True):
                return file.read().strip() or "another process"
    except OSError:  # nobody ever locked it, or it is no file
        pass
    return None
