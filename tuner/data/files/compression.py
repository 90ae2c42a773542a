"""Compressed files, recognised by their first bytes, and the bytes of a file or pipe as they are read."""

import bz2
import gzip
import io
import lzma
import select
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, cast

from tuner.data.files.pauses import pauses


class Stream(io.RawIOBase):
    """Bytes of a file, a pipe or an unpacked file: its beginning can be seen before it is read.

    Args:
        pause_s: how long the beginning of a pipe is waited for once it has a whole line; None: to its end.
    """

    def __init__(self, file: IO[bytes], pause_s: float | None = None) -> None:
        self._file = file
        self._pause_s = pause_s
        self._seen = b""
        self.bytes_read = 0  # of `file`

    def beginning(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end of the file or in a pause; they are read again later."""
        while len(self._seen) < size:
            has_line = self._pause_s is not None and b"\n" in self._seen
            if has_line and self._pause_s is not None and pauses(self._file, self._pause_s):
                break
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
        while (data := cast("bytes | None", self._file.read(size))) is None:
            select.select([self._file], [], [])  # a pipe that does not block has nothing yet
        self.bytes_read += len(data)
        return data


class _Streams(io.RawIOBase):
    """The content of compressed streams one after another, and perhaps zero bytes at the end.

    Python's own readers of bzip2 and xz leave out a damaged stream after the first, as if the file ended there.
    """

    def __init__(self, file: IO[bytes], begin: Callable[[], Any]) -> None:
        self._file = file
        self._begin = begin
        self._decompressor = begin()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills `buffer` as far as one step of unpacking gives."""
        if not len(buffer):  # bz2 would give nothing for ever, xz calls that an error
            return 0
        data = b""
        while not data:
            packed = b""
            if self._decompressor.eof:
                packed = self._next_stream()
                if not packed:
                    return 0
                self._decompressor = self._begin()
            elif self._decompressor.needs_input:
                packed = self._file.read(io.DEFAULT_BUFFER_SIZE)
                if not packed:
                    raise EOFError("it ends too early")
            data = self._decompressor.decompress(packed, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next_stream(self) -> bytes:
        """The beginning of what follows a stream and zero bytes; empty at the end of the file."""
        packed: bytes = self._decompressor.unused_data
        while not (beginning := packed.lstrip(b"\0")):
            packed = self._file.read(io.DEFAULT_BUFFER_SIZE)
            if not packed:
                return b""
        return beginning


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
        tuple(
            b"BZh%d%b" % (level, first)
            for level in range(1, 10)
            for first in (b"1AY&SY", b"\x17rE8P\x90")  # a block, or the end of an empty file
        ),
        "bunzip2",
        lambda file: _Streams(file, bz2.BZ2Decompressor),
    ),
    Packing(
        "xz", ".xz", (b"\xfd7zXZ\0",), "unxz", lambda file: _Streams(file, lzma.LZMADecompressor)
    ),
    Packing("Zstandard", ".zst", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), "unzstd", _open_zstandard),
)
BROKEN_PACKING = (OSError, EOFError, zlib.error, lzma.LZMAError)  # errors of its readers


def packing_of(beginning: bytes) -> Packing | None:
    """The compression of a file with this beginning; None if it is not compressed."""
    return next((packing for packing in PACKINGS if beginning.startswith(packing.magic)), None)
