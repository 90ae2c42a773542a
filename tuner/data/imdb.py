"""The official IMDB reviews with their official test set, downloaded as Keras does it."""

import hashlib
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuner.data.cells import Rows
from tuner.data.dataset import Split
from tuner.errors import DataError
from tuner.settings.data import TokenMode

_NAME = "imdb"
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 10, 30
_FOLDER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"


@dataclass(frozen=True)
class Download:
    """A file on a server, with the hash of its content; `known_hash` is `algorithm:hex` as pooch wants it."""

    url: str
    known_hash: str
    file_name: str


@dataclass(frozen=True)
class Release:
    """The two files that Keras publishes: reviews as word numbers, and the number of each word."""

    reviews: Download
    word_index: Download


OFFICIAL = Release(  # as in keras/src/datasets/imdb.py of Keras 3.15
    reviews=Download(
        f"{_FOLDER}/imdb.npz",
        "sha256:69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
        "imdb.npz",
    ),
    word_index=Download(
        f"{_FOLDER}/imdb_word_index.json",
        "md5:bfafd718b763782e994055a2d397834f",
        "imdb_word_index.json",
    ),
)


def read_imdb(release: Release, folder: Path) -> Rows:
    """The reviews of `release` as words, its test set given; downloaded into `folder` if not there.

    Raises:
        DataError: not downloadable, or with another hash than the published one.
    """
    archive, index = _fetch(release.reviews, folder), _fetch(release.word_index, folder)
    words = {number: word for word, number in json.loads(index.decode("utf-8")).items()}
    texts: list[str] = []
    labels: list[str] = []
    given: list[Split] = []
    # Reviews of different lengths are stored as pickles: of these very bytes the hash was checked.
    with np.load(io.BytesIO(archive), allow_pickle=True) as arrays:
        for part, split in (("train", Split.TRAIN), ("test", Split.TEST)):
            reviews, sentiments = arrays[f"x_{part}"], arrays[f"y_{part}"]
            # Not symbols: Keras' words may hold white space, such as U+0085.
            texts += [" ".join([words[number] for number in review]) for review in reviews]
            labels += ["positive" if sentiment else "negative" for sentiment in sentiments]
            given += [split] * len(reviews)
    return Rows(_NAME, texts, labels, TokenMode.WORDS, given)


def _fetch(download: Download, folder: Path) -> bytes:
    """The content of a file, downloaded if it is not in `folder`, which others may write to meanwhile."""
    import pooch

    try:
        with _quiet(pooch.get_logger()):
            path = pooch.retrieve(
                download.url,
                download.known_hash,
                fname=download.file_name,
                path=folder,
                # Not streamed: pooch never closes a streamed response that ends in an error.
                downloader=pooch.HTTPDownloader(
                    timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S), stream=False
                ),
            )
    except (OSError, ValueError) as error:
        # requests' errors are OSErrors, a wrong hash is a ValueError.
        raise DataError.at(
            _NAME,
            f"{download.url} could not be downloaded and checked ({_reason(error)}); go online and try again, "
            "or use imdb-train or rotten-tomatoes, which work offline",
        ) from error
    content = Path(path).read_bytes()
    algorithm, _, digest = download.known_hash.partition(":")
    if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() != digest:
        raise DataError.at(_NAME, f"{path} was changed while it was read; remove it and try again")
    return content


def _reason(error: Exception) -> str:
    """One short clause; requests' own texts nest several errors."""
    if isinstance(error, ValueError) and "hash" in str(error):
        return "its content is not the published one: the hash differs"
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code}"
    return getattr(error, "strerror", None) or type(error).__name__


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """pooch logs each download to stderr, which belongs to the command line."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
