"""Kinds of files without rows that people name by mistake: each is refused by its first bytes, with advice."""

import re

from tuner.data.files.compression import packing_of
from tuner.errors import DataError


def refuse_other_kinds(beginning: bytes, where: str) -> None:
    """Refuses a file whose first bytes show that it holds no rows that can be read.

    Args:
        beginning: some thousand bytes, after unpacking.

    Raises:
        DataError: it is a workbook, a page, a pointer or the like; the message names the kind and gives advice.
    """
    kind = other_kind(beginning)
    if kind is not None:
        raise DataError.at(where, f"this is {kind[0]}, not a file of rows; {kind[1]}")


_SAVE_AS_CSV = "open it and save the sheet as CSV UTF-8"
_UNPACK = "unpack it and name a file in it"
_WRITE_PARQUET = "write the table as Parquet or CSV"
_BY_FIRST_BYTES = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, which stands for a file that was not downloaded",
        "run `git lfs pull`",
    ),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel workbook or Office document",
        _SAVE_AS_CSV,
    ),
    (b"%PDF-", "a PDF document", "copy its rows into a CSV file"),
    (b"{\\rtf", "an RTF document", "save it as plain text"),
    (b"\x93NUMPY", "a NumPy array", _WRITE_PARQUET),
    (b"\x89HDF\r\n", "an HDF5 file", _WRITE_PARQUET),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"ARROW1\0", "an Arrow or Feather file", _WRITE_PARQUET),
    (b"FEA1\0", "an Arrow or Feather file", _WRITE_PARQUET),
    (b"RDX3\n", "an R data file", "write the table with `write.csv`"),
    (b"RDX2\n", "an R data file", "write the table with `write.csv`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
)
_FASTTEXT = re.compile(rb"__label__[^\s,;|]+[ \t]")  # no header, such as `__label__,text`


def other_kind(beginning: bytes) -> tuple[str, str] | None:
    """The kind in words, and advice; None for a file that may have rows."""
    for magic, kind, remedy in _BY_FIRST_BYTES:
        if beginning.startswith(magic):
            return kind, remedy
    if _FASTTEXT.match(beginning):
        return "fastText's training data", "write a CSV file with the columns text and label"
    if beginning.startswith(b"PK\x03\x04"):
        return _kind_of_archive(beginning)
    if beginning[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    if beginning[:1] == b"\x80" and beginning[1:2] in b"\2\3\4\5" and len(beginning) > 1:
        return "a Python pickle", _WRITE_PARQUET
    if packing := packing_of(beginning):
        return f"a file that is compressed twice ({packing.name})", "unpack it once"
    start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:100].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page", "download the file itself (on GitHub: the button Raw)"
    if start.startswith(b"<?xml"):
        return "an XML document", "convert it to CSV or JSON lines"
    return None


def _kind_of_archive(beginning: bytes) -> tuple[str, str]:
    if b"xl/" in beginning or b"[Content_Types].xml" in beginning:
        return "an Excel workbook or Office document", _SAVE_AS_CSV
    if b"opendocument" in beginning:
        return "an OpenDocument spreadsheet or text", _SAVE_AS_CSV
    return "a ZIP archive", _UNPACK
