"""A person's own word vectors, from which a trial's embedding starts.

The text forms of word2vec, fastText (a first line with the numbers of words and of values) and GloVe (none), perhaps
compressed: each line is a word and its values. Words that the data do not have are passed over unread.
"""

import codecs
import functools
import hashlib
import io
import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import UNKNOWN, WordVectors
from tuner.data.files.compression import BROKEN_PACKING, Stream, packing_of
from tuner.data.files.refused_kinds import other_kind
from tuner.errors import DataError

_BEGINNING = 4096  # bytes that show what a file is
_BUFFER = 1 << 16


def read_vectors(path: str, vocabulary: Sequence[str]) -> WordVectors:
    """The vectors of the words in `vocabulary`; of a word that the file has twice, the first one.

    Raises:
        DataError: in one line, what is wrong with the file, or that it has none of these words.
    """
    wanted = {word: number for number, word in enumerate(vocabulary) if number > UNKNOWN}
    ids, values = [], []
    size = 0
    for number, line in enumerate(_lines(path), start=1):
        word, *numbers = line.split()
        if number == 1:
            is_heading = len(numbers) == 1 and _is_count(word) and _is_count(numbers[0])
            size = int(numbers[0]) if is_heading else len(numbers)
            if size < 1:
                raise DataError(
                    f"{path}: line 1 must be a word and its values, or the numbers of words and values; name a file "
                    "of word2vec's text form, GloVe or fastText"
                )
            if is_heading:
                continue
        found = wanted.pop(word.decode("utf-8", "replace"), None)
        if found is not None:
            ids.append(found)
            values.append(_values(numbers, size, f"{path}: line {number}"))
    if not ids:
        raise DataError(
            f"{path}: none of its words is in the data; name vectors of this language, and of lower case where the "
            "data's tokens are words"
        )
    return WordVectors(np.array(ids, np.int32), np.array(values, np.float32))


def digest_of(path: str) -> str:
    """SHA-256 in hex of the file, unpacked.

    Raises:
        DataError: it cannot be read.
    """
    place = os.path.expanduser(path)
    try:
        status = os.stat(place)
    except OSError as cause:
        raise _unreadable(path, cause) from cause
    return _digest(place, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4)
def _digest(path: str, changed_ns: int, size: int) -> str:
    digest = hashlib.sha256()
    for line in _lines(path):
        digest.update(line)
    return digest.hexdigest()


def _is_count(number: bytes) -> bool:
    return number.isdigit() and len(number) < 20  # Python refuses numbers of thousands of digits


def _values(numbers: Sequence[bytes], size: int, where: str) -> NDArray[np.float32]:
    try:
        values = np.array([float(each) for each in numbers])
    except ValueError as cause:
        raise DataError(f"{where}: {cause}; the values of a word must be numbers") from cause
    if len(values) != size:
        raise DataError(
            f"{where}: must have {size} values, as the first line says, got {len(values)}; correct the file"
        )
    if not (np.abs(values) <= np.finfo(np.float32).max).all():  # a NaN is not, either
        raise DataError(f"{where}: has a value that is not finite; correct the file")
    return values.astype(
        np.float32
    )  # eight bytes and an object for each number would fill the memory


def _lines(path: str) -> Iterator[bytes]:
    """The lines that are not empty, without a byte order mark."""
    try:
        with open(os.path.expanduser(path), "rb", buffering=0) as file:
            content = Stream(file)
            if packing := packing_of(content.beginning(_BEGINNING)):
                content = Stream(packing.open(io.BufferedReader(content)))
            beginning = content.beginning(_BEGINNING)
            _refuse_other_kinds(path, beginning)
            if beginning.startswith(codecs.BOM_UTF8):
                content.read(len(codecs.BOM_UTF8))
            for line in io.BufferedReader(content, _BUFFER):
                if b"\0" in line:
                    raise DataError(
                        f"{path}: is no text; save word2vec's binary form as text first"
                    )
                if line.strip():
                    yield line
    except BROKEN_PACKING as cause:
        raise _unreadable(path, cause) from cause


def _refuse_other_kinds(path: str, beginning: bytes) -> None:
    """Refuses a file whose first bytes show that it is no text in UTF-8."""
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: is text in UTF-16; save it as UTF-8")
    if kind := other_kind(beginning):
        name, remedy = kind
        advice = "save the vectors as text" if "csv" in remedy.lower() else remedy
        raise DataError(f"{path}: is {name}, not word vectors as text; {advice}")


def _unreadable(path: str, cause: Exception) -> DataError:
    is_missing = isinstance(cause, FileNotFoundError)
    reason = "no such file" if is_missing else getattr(cause, "strerror", None) or cause
    return DataError(f"{path}: {reason}; name a file of word vectors")
