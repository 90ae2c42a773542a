"""Compressed files, recognised by their first bytes, and the bytes of a file or pipe as they are read."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any


class Stream(io.RawIOBase):
    """Bytes of a file, a pipe or an unpacked file: its beginning can be seen before it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._seen = b""
        self.bytes_read = 0  # of `file`

    def beginning(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end of the file; they are read again later."""
        while len(self._seen) < size:
            more = self._more(size - len(self._seen))
            if not more:
                break
            self._seen += more
        return self._seen[:size]

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills `buffer` as far as one read gives."""
        data = self._seen[: len(buffer)] or self._more(len(buffer))
        self._seen = self._seen[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def _more(self, size: int) -> bytes:
        data = self._file.read(size)
        self.bytes_read += len(data)
        return data


@dataclass(frozen=True)
class Packing:
    """A way in which files are compressed."""

    name: str
    ending: str
    magic: tuple[bytes, ...]  # how such files begin
    unpack: str  # the command that people use
    open: Callable[[IO[bytes]], Any]  # readable bytes


def _open_zstandard(file: IO[bytes]) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


_SKIPPABLE = tuple(bytes([number, 0x2A, 0x4D, 0x18]) for number in range(0x50, 0x60))
PACKINGS = (
    Packing("gzip", ".gz", (b"\x1f\x8b",), "gunzip", lambda file: gzip.GzipFile(fileobj=file)),
    Packing(
        "bzip2",
        ".bz2",
        tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)),
        "bunzip2",
        bz2.BZ2File,
    ),
    Packing("xz", ".xz", (b"\xfd7zXZ\0",), "unxz", lzma.LZMAFile),
    Packing("Zstandard", ".zst", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), "unzstd", _open_zstandard),
)
BROKEN_PACKING = (OSError, EOFError, zlib.error, lzma.LZMAError)  # errors of its readers


def packing_of(beginning: bytes) -> Packing | None:
    """The compression of a file with this beginning; None if it is not compressed."""
    return next((packing for packing in PACKINGS if beginning.startswith(packing.magic)), None)
