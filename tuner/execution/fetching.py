"""Fetches a run folder: packed as text through a job's log, or copied from storage."""

import base64
import binascii
import io
import tarfile
import zlib
from contextlib import suppress
from pathlib import Path

from tuner.errors import RunFolderError
from tuner.run.copies import take_over
from tuner.run.folder import RunFolder
from tuner.storage import Storage, is_url
from tuner.text import one_line


def pack(folder: Path) -> str:
    """A run folder as text: a compressed archive in base64."""
    content = io.BytesIO()
    # The journal last, so that it has everything that the other files show: a search may be writing now.
    run = RunFolder(folder)
    files = sorted(folder.rglob("*"), key=lambda path: (path == run.journal, path))
    of_processes = {run.lock_file, run.stop_request}  # of the head alone
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in files:
            with suppress(FileNotFoundError):
                if path.is_file() and path not in of_processes and path.suffix != ".tmp":
                    read = path.read_bytes()
                    member = tarfile.TarInfo(str(path.relative_to(folder)))
                    member.size = len(read)
                    member.mtime = int(path.stat().st_mtime)
                    archive.addfile(member, io.BytesIO(read))
    return base64.encodebytes(content.getvalue()).decode()


def unpack(text: str, folder: Path) -> None:
    """The inverse of `pack`.

    Raises:
        RunFolderError: `text` is damaged, or would write outside of `folder`.
    """
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            folder.mkdir(parents=True, exist_ok=True)
            archive.extractall(folder, filter="data")
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
