"""Fetches a run folder: packed as text through a job's log, or copied from storage."""

import base64
import binascii
import io
import shutil
import tarfile
import zlib
from contextlib import suppress
from pathlib import Path

from tuner.errors import RunFolderError
from tuner.run.copies import check_plain, take_over
from tuner.run.folder import RunFolder
from tuner.storage import Storage, is_url
from tuner.text import excerpt, one_line

_LARGEST = 2**34  # bytes of all files
_MOST_FILES = 1_000_000


def pack(folder: Path) -> str:
    """A run folder as text: a compressed archive in base64."""
    content = io.BytesIO()
    # The journal last, so that it has everything that the other files show: a search may be writing now.
    run = RunFolder(folder)
    files = sorted(folder.rglob("*"), key=lambda path: (path == run.journal, path))
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in files:
            with suppress(FileNotFoundError):
                if path.is_file() and path not in run.of_processes and path.suffix != ".tmp":
                    read = path.read_bytes()
                    member = tarfile.TarInfo(str(path.relative_to(folder)))
                    member.size = len(read)
                    member.mtime = int(path.stat().st_mtime)
                    archive.addfile(member, io.BytesIO(read))
    return base64.encodebytes(content.getvalue()).decode()


def unpack(text: str, folder: Path) -> None:
    """The inverse of `pack`.

    Raises:
        RunFolderError: `text` is damaged, or holds something else than a run's plain files.
    """
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            folder.mkdir(parents=True, exist_ok=True)
            unpacked = 0
            for number, member in enumerate(archive):
                check_plain(member.name)
                unpacked += member.size
                if not member.isreg():
                    raise RunFolderError(
                        f"{excerpt(member.name)}: is no plain file; fetch it again"
                    )
                if unpacked > _LARGEST or number >= _MOST_FILES:
                    raise RunFolderError(
                        f"the fetched run has over {_LARGEST >> 30} GiB or {_MOST_FILES:,} files; copy it by hand"
                    )
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None
                with open(target, "xb") as file:
                    shutil.copyfileobj(source, file)
    except OSError as cause:  # also of a name that is a folder's, too
        raise RunFolderError(f"the fetched run cannot be written: {cause}") from cause
    except (binascii.Error, tarfile.TarError, EOFError, zlib.error) as cause:
        raise RunFolderError(
            f"the fetched run is damaged ({one_line(str(cause))}); fetch it again"
        ) from cause


def fetch_from_storage(place: str, folder: Path) -> None:
    """Copies to this machine the run folder that a search keeps behind a URL.

    Raises:
        RunFolderError: there is none.
    """
    assert is_url(place)
    home = RunFolder(folder)
    if not take_over(home, Storage(place)):
        raise RunFolderError(f"{place}: no run there (no {home.journal.name} in it)")
