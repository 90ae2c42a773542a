"""Bytes of a text file to its lines, in the encoding that its first bytes show."""

import codecs
import io
from collections.abc import Iterator

from tuner.data.files.compression import Stream
from tuner.errors import DataError
from tuner.text import excerpt

_MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UTF_16_SAMPLE = 64  # bytes
_WESTERN = "cp1252"  # of Western Europe's Windows: wins where others fit no better
_GUESSES = [
    _WESTERN, "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "gb18030", "big5",
    "cp932", "euc_jp", "cp949",
]  # fmt: skip


def text_lines(content: Stream, where: str, asked: str | None = None) -> Iterator[str]:
    r"""Lines with their ends (`\n`, `\r\n` or `\r`), without a byte order mark.

    The text is UTF-8, or UTF-16 with or without a mark, or UTF-32 with one, or in the encoding `asked`. A mark is
    always right.

    Raises:
        DataError: in another encoding, or with zero bytes; the message names the line.
    """
    mark, encoding = _encoding(content.beginning(_UTF_16_SAMPLE))
    if asked is not None and not mark:
        encoding = asked
    content.read(len(mark))
    text = io.TextIOWrapper(io.BufferedReader(content, 1 << 16), encoding, newline="")
    number = 0
    try:
        for number, line in enumerate(text, start=1):
            if "\0" in line:
                raise DataError.at(
                    where,
                    f"the file must be text, got zero bytes on line {number}; save it as UTF-8",
                )
            yield line
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "ignore")
        raise _other_encoding(error, encoding, number + len(_split(before)), where) from error
    except (
        UnicodeError
    ) as error:  # of a few encodings, such as UTF-16 without the mark that they need
        raise DataError.at(
            where, f"the file is not {encoding.upper()} ({error}); name another one with --encoding"
        ) from error


def _encoding(beginning: bytes) -> tuple[bytes, str]:
    """The byte order mark and the encoding."""
    for mark, encoding in _MARKS:
        if beginning.startswith(mark):
            return mark, encoding
    # Without a mark, UTF-16 shows in a first line of ASCII: every other byte is zero.
    even, odd = beginning[0::2], beginning[1::2]
    if len(odd) > 1 and odd.count(0) > len(odd) / 2 and 0 not in even:
        return b"", "utf-16-le"
    if len(odd) > 1 and even.count(0) > len(even) / 2 and 0 not in odd:
        return b"", "utf-16-be"
    return b"", "utf-8"


def _split(text: str) -> list[str]:
    """The text cut at line ends; the last part is the line that has not ended."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _other_encoding(error: UnicodeDecodeError, encoding: str, line: int, where: str) -> DataError:
    broken = error.object[error.start]
    if encoding != "utf-8":
        return DataError.at(
            where,
            f"the file is not {encoding.upper()} throughout, got byte 0x{broken:02x} on line {line}; name another "
            "one with --encoding, or save it as UTF-8",
        )
    guess = _guess(error.object)
    beginning = _split(error.object[: error.start].decode("utf-8"))[-1]
    rest = _split(error.object[error.start :].decode(guess, "replace"))[0]
    shown = excerpt(beginning[-20:] + rest[:20])
    return DataError.at(
        where,
        f"the file must be UTF-8, got byte 0x{broken:02x} on line {line}; it seems to be {guess.upper()} "
        f"(then that line has {shown}): if so, add --encoding {guess}, or save it as UTF-8 with "
        f"`iconv -f {guess.upper()} -t UTF-8 old > new`",
    )


def _guess(sample: bytes) -> str:
    """The likeliest encoding, by a name that `iconv` knows, too."""
    from charset_normalizer import from_bytes  # takes a tenth of a second, and is seldom needed

    fitting = list(from_bytes(sample, cp_isolation=_GUESSES))
    if not fitting or sample.decode(_WESTERN, "replace") == str(fitting[0]):
        return _WESTERN
    best = min(fitting, key=lambda each: (each.chaos, -each.coherence, each.encoding != _WESTERN))
    return best.encoding.replace("_", "-")
