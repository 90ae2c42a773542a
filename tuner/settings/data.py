"""The settings of the data to read: declared once for every command that reads data."""

import os
from enum import IntEnum, StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from tuner.settings.declarations import Group, Setting, declared_settings
from tuner.settings.places import PathText, absolute
from tuner.settings.validation import Strict

SOURCE_NAMES = ("imdb-train", "rotten-tomatoes", "imdb")  # each wins over a file of that name


def is_data_file(source: str) -> bool:
    """Whether a source of data is a file that is there, not a data set's name."""
    return source not in SOURCE_NAMES and os.path.isfile(os.path.expanduser(source))


def absolute_source(source: str) -> str:
    """A source as it is found from any folder: a file's absolute path. Names and missing files stay as they are."""
    return absolute(source) if is_data_file(source) else source


class SplitRule(IntEnum):
    """How rows get their splits. A run keeps the rule that it began with; the rules agree but for what they name."""

    SAMPLED_FIRST = 1  # the sample is split: a row's split depends on its size
    SPLIT_FIRST = 2  # all rows are split, and the sample is drawn from each split
    GROUPS_IN_PROPORTION = (
        3  # groups fill splits by rows; before, by class, so that few groups left few to train on
    )


class TokenMode(StrEnum):
    """How a row's text becomes tokens."""

    WORDS = "words"  # as Keras' text_to_word_sequence does by default
    # Every character but white space; for languages written without spaces.
    CHARACTERS = "characters"
    SYMBOLS = "symbols"  # separated by white space, kept as they are


def _checked_encoding(given: str | None) -> str | None:
    """The name of a text encoding, checked and unchanged.

    Raises:
        ValueError: there is no such encoding.
    """
    try:
        b"\xff".decode("utf-8" if given is None else given, "ignore")
    except (LookupError, ValueError):
        raise ValueError(
            f"must be the name of an encoding, got {given!r}; write cp1252, say"
        ) from None
    return given


class DataConfig(Strict):
    """The sequences to learn from. Lists of integers (JSON lines, Parquet) need no token mode."""

    source: Annotated[
        PathText,
        Setting(
            Group.DATA, "A data set's name or a file: see `tuner data`", "NAME|PATH", name="data"
        ),
    ] = "imdb-train"
    text_column: Annotated[
        str | None,
        Setting(
            Group.DATA,
            "Column of the sequences",
            "NAME",
            unset="one named text or alike",
        ),
    ] = None
    label_column: Annotated[
        str | None,
        Setting(
            Group.DATA,
            "Column of the labels",
            "NAME",
            unset="one named label or alike",
        ),
    ] = None
    group_column: Annotated[
        str | None,
        Setting(
            Group.DATA,
            "Column of what rows belong to (a film, a patient, an author): a group is in one split",
            "NAME",
            unset="each row for itself",
        ),
    ] = None
    encoding: Annotated[
        str | None,
        AfterValidator(_checked_encoding),
        Setting(
            Group.DATA,
            "Encoding of the file, such as cp1252",
            "NAME",
            unset="UTF-8, or UTF-16 or -32 where the file shows it",
        ),
    ] = None
    tokens: Annotated[TokenMode, Setting(Group.DATA, "How text becomes tokens")] = TokenMode.WORDS
    sample: Annotated[
        int | None,
        Field(ge=1),
        Setting(Group.DATA, "Use so many rows, drawn per class and split", "N", unset="all"),
    ] = None
    seed: Annotated[
        int,
        Field(ge=0, lt=2**31),
        Setting(
            Group.DATA,
            "Seed of splits and sample: searches of one data seed have the same test rows",
            "N",
            name="data_seed",
        ),
    ] = 0
    leave_out_rare: Annotated[
        bool,
        Setting(Group.DATA, "Leave out classes that have too few texts for all splits"),
    ] = False
    vectors: Annotated[
        PathText | None,
        Setting(
            Group.DATA,
            "Word vectors that embeddings start from: a file of word2vec's text form, GloVe or fastText, or compressed",
            "PATH",
        ),
    ] = None
    split_rule: SplitRule = SplitRule.GROUPS_IN_PROPORTION  # recorded, not asked for

    @property
    def without_vectors(self) -> "DataConfig":
        """The same data, for what trains nothing."""
        return self.model_copy(update={"vectors": None})

    def at(self, source: str) -> "DataConfig":
        """The same data in another place."""
        return DataConfig.model_validate({**self.model_dump(), "source": source})


def data_mapping(written: object) -> object:
    """Data settings as a file has them; a source that stands alone becomes a mapping. They are not checked."""
    return {"source": written} if isinstance(written, str) else written


_DEFAULTS_FOR_A_MODEL = {
    "data": "the run's own test split",
    "text_column": "the one that the model learned from, where the file has it, or one named text or alike",
    "label_column": "the one that the model learned from, where the file has it, or one named label or alike",
}
# How labelled rows are read for a model, which has its own tokens; all of them are used.
TEST_SETTINGS = tuple(
    each.with_default(_DEFAULTS_FOR_A_MODEL[each.keyword])
    if each.keyword in _DEFAULTS_FOR_A_MODEL
    else each
    for each in declared_settings(DataConfig)
    if each.keyword
    not in ("tokens", "sample", "data_seed", "group_column", "leave_out_rare", "vectors")
)
# The same for texts without labels, whose file is another argument.
PREDICT_SETTINGS = tuple(
    each for each in TEST_SETTINGS if each.keyword not in ("data", "label_column")
)
