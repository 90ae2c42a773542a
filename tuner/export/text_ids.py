"""Texts to ids in TensorFlow's own operations: a SavedModel with them takes raw texts wherever TensorFlow runs.

The rules are those of `tuner.data.encoding`, and every id is the same: a property test holds the one to the other.
TensorFlow and Python may know different versions of Unicode; where a letter's lower case differs, Python's is put in.
"""

import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tuner.data import token_ids
from tuner.data.dataset import START, UNKNOWN
from tuner.data.encoding import FILTERS
from tuner.errors import ConfigError
from tuner.settings.data import TokenMode

_SPACES = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
_ASSIGNED = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]


class TextIds(tf.Module):  # type: ignore[misc]
    """Ids of texts, `(batch,)` string -> `(batch, time)` int32, right-padded with 0.

    Args:
        vocabulary: as `model.json` has it.
        size: larger ids of the vocabulary count as unknown.
        max_length: the last ids that are kept.

    Raises:
        ConfigError: TensorFlow puts a letter of the vocabulary into lower case where Python does not.
    """

    def __init__(
        self, vocabulary: Sequence[str], mode: TokenMode, *, size: int, max_length: int
    ) -> None:
        super().__init__()
        ids = {token: number for token, number in token_ids(vocabulary).items() if number < size}
        self._mode = mode
        self._max_length = max_length
        self._lowered = _lowered_otherwise(ids) if mode is TokenMode.WORDS else {}
        keys = [token for token in ids if token.isascii() or _is_utf8(token)]
        entries = tf.lookup.KeyValueTensorInitializer(
            tf.constant(keys or [""]), tf.constant([ids[key] for key in keys] or [UNKNOWN])
        )
        self._table = tf.lookup.StaticHashTable(entries, default_value=UNKNOWN)

    def __call__(self, texts: Any) -> Any:
        """See the class."""
        ids = tf.ragged.map_flat_values(self._table.lookup, self._tokens(texts))
        starts = tf.ones_like(texts, dtype=tf.int32) * START
        whole = tf.concat([tf.expand_dims(starts, 1), ids], axis=1)
        return whole[:, -self._max_length :].to_tensor(0)

    def _tokens(self, texts: Any) -> Any:
        if self._mode is TokenMode.CHARACTERS:
            together = tf.strings.regex_replace(texts, _any_of(_SPACES), "")
            return tf.strings.unicode_split(together, "UTF-8")
        if self._mode is TokenMode.WORDS:
            for letter, lowered in self._lowered.items():
                texts = tf.strings.regex_replace(texts, letter, lowered)
            texts = _lower(texts)
        between = FILTERS if self._mode is TokenMode.WORDS else _SPACES
        parts = tf.strings.split(tf.strings.regex_replace(texts, _any_of(between), " "), " ")
        return tf.ragged.boolean_mask(parts, tf.not_equal(parts, ""))


def _lower(texts: Any) -> Any:
    """TensorFlow drops all that comes after a character 0, so what lies between two is made lower case by itself.

    A separator cannot be that character, so each part ends with one, and the last one goes.
    """
    parts = tf.strings.lower(tf.strings.split(texts, "\x00"), encoding="utf-8")
    ended = tf.ragged.map_flat_values(lambda flat: tf.strings.join([flat, "\x00"]), parts)
    return tf.strings.regex_replace(tf.strings.reduce_join(ended, axis=-1), r"\x00\z", "")


def _any_of(characters: str) -> str:
    return f"[{re.escape(characters)}]"


def _is_utf8(token: str) -> bool:
    try:
        token.encode()
    except UnicodeEncodeError:  # half an emoji, which no text of TensorFlow's has
        return False
    return True


def _lowered_otherwise(tokens: Any) -> dict[str, str]:
    """Letters of which TensorFlow does not know the lower case that Python gives, where the vocabulary has that."""
    known = set("".join(tokens))
    lowered = tf.strings.lower(tf.constant(_ASSIGNED), encoding="utf-8").numpy()
    found = {}
    for letter, theirs in zip(_ASSIGNED, lowered, strict=True):
        ours = letter.lower()
        if theirs == ours.encode() or not known & {*ours, *theirs.decode()}:
            continue
        if ours == letter:
            raise ConfigError(
                f"--format savedmodel: TensorFlow puts {letter!r} into lower case and this Python does not; export "
                "with a newer Python"
            )
        found[letter] = ours
    return found
