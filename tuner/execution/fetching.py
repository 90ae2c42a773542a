"""Fetches a run folder: packed as text through logs of jobs, or copied from storage.

A log is sent as one answer, which the head and this machine hold in memory. So a run comes in parts, a job for each.
"""

import base64
import binascii
import io
import shutil
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tuner.errors import RunFolderError
from tuner.run.copies import check_plain, take_over
from tuner.run.folder import RunFolder
from tuner.storage import Storage, is_url
from tuner.text import excerpt, one_line

_LARGEST = 2**34  # bytes of all files
_MOST_FILES = 1_000_000
_PART = 2**25  # bytes of files before packing, or one larger file


def pack(folder: Path, after: str = "") -> str:
    """A part of a run folder as text: a compressed archive in base64, of whole files. The journal ends the last part.

    Args:
        after: the last file of the part before.
    """
    content = io.BytesIO()
    # The journal last, so that it has everything that the other files show: a search may be writing now.
    run = RunFolder(folder)
    begin = folder / after
    files = sorted(folder.rglob("*"), key=lambda path: (path == run.journal, path))
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        packed = 0
        for path in files:
            if after and path <= begin and path != run.journal:
                continue
            if packed >= _PART:
                break
            with suppress(FileNotFoundError):
                if path.is_file() and path not in run.of_processes and path.suffix != ".tmp":
                    read = path.read_bytes()
                    member = tarfile.TarInfo(str(path.relative_to(folder)))
                    member.size = len(read)
                    member.mtime = int(path.stat().st_mtime)
                    archive.addfile(member, io.BytesIO(read))
                    packed += len(read)
    return base64.encodebytes(content.getvalue()).decode()


def unpack(ask: Callable[[str], str], folder: Path) -> None:
    """The inverse of `pack`, part after part.

    Args:
        ask: the part after this file of the run; the first one after "".

    Raises:
        RunFolderError: a part is damaged, or holds something else than a run's plain files.
    """
    journal = RunFolder(folder).journal
    unpacked, number, last = 0, 0, ""
    try:
        while not journal.exists():
            content = base64.b64decode("".join(ask(last).split()), validate=True)
            before = last
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
                for member in archive:
                    unpacked, number, last = unpacked + member.size, number + 1, member.name
                    _check_member(member)
                    if unpacked > _LARGEST or number > _MOST_FILES:
                        raise RunFolderError(
                            f"the fetched run has over {_LARGEST >> 30} GiB or {_MOST_FILES:,} files; copy it by hand"
                        )
                    _write_member(archive, member, folder)
            if last == before:
                raise EOFError("a part without files")
    except OSError as cause:  # also of a name that is a folder's, too
        raise RunFolderError(f"the fetched run cannot be written: {cause}") from cause
    except (binascii.Error, tarfile.TarError, EOFError, zlib.error) as cause:
        raise RunFolderError(
            f"the fetched run is damaged ({one_line(str(cause))}); fetch it again"
        ) from cause


def _check_member(member: tarfile.TarInfo) -> None:
    check_plain(member.name)
    if not member.isreg():
        raise RunFolderError(f"{excerpt(member.name)}: is no plain file; fetch it again")


def _write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None
    with open(target, "xb") as file:
        shutil.copyfileobj(source, file)


def fetch_from_storage(place: str, folder: Path) -> None:
    """Copies to this machine the run folder that a search keeps behind a URL.

    Raises:
        RunFolderError: there is none.
    """
    assert is_url(place)
    home = RunFolder(folder)
    if not take_over(home, Storage(place)):
        raise RunFolderError(f"{place}: no run there (no {home.journal.name} in it)")
