"""Texts to tokens, and tokens to ids: provisional ones first, then final ones by frequency rank in the training split.

The words are those of Keras' `text_to_word_sequence` with its defaults.
"""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tuner.data.dataset import (
    SPECIAL_TOKENS,
    START,
    UNKNOWN,
    EncodedSequences,
    Split,
    offsets_of,
    run_positions,
)
from tuner.settings.data import TokenMode

# Keras' default filters; its apostrophe stays inside words, and IMDB's `<br />` becomes the word "br".
FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_TO_SPACES = str.maketrans(dict.fromkeys(FILTERS, " "))


def words(text: str) -> list[str]:
    """Lower-case words: punctuation, tabs and new lines become spaces, then cut at spaces alone.

    Other white space stays inside a word, as Keras does it.
    """
    return [word for word in text.lower().translate(_TO_SPACES).split(" ") if word]


def characters(text: str) -> list[str]:
    """Every character that is not white space, as it is written."""
    return list("".join(text.split()))


def symbols(text: str) -> list[str]:
    """The parts between white space, as they are written."""
    return text.split()


TOKENIZERS: Mapping[TokenMode, Callable[[str], list[str]]] = MappingProxyType(
    {TokenMode.WORDS: words, TokenMode.CHARACTERS: characters, TokenMode.SYMBOLS: symbols}
)


@dataclass(frozen=True, eq=False)
class Tokenized:
    """Tokens of all rows, ids in order of appearance; and which rows have the same tokens.

    Attributes:
        ids: `(n_tokens,)` int32, index into `types`.
        offsets: `(n_rows + 1,)` int64.
        types: the distinct tokens.
        texts: `(n_rows,)` int64, index into `digests`: equal for rows whose tokens are equal.
        digests: a hash of each distinct token sequence.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    types: list[str]
    texts: NDArray[np.int64]
    digests: list[bytes]


def tokenize(texts: Sequence[str], mode: TokenMode) -> Tokenized:
    """Tokens of `texts`; an empty text has none."""
    cut = TOKENIZERS[mode]
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    distinct: defaultdict[bytes, int] = defaultdict(count().__next__)
    ids, lengths, rows = array("i"), array("q"), array("q")
    for text in texts:
        tokens = cut(text)
        ids.extend(map(numbers.__getitem__, tokens))
        lengths.append(len(tokens))
        rows.append(distinct[text_digest(tokens)])
    return Tokenized(
        ids=np.array(ids, dtype=np.int32),
        offsets=offsets_of(np.array(lengths, dtype=np.int64)),
        types=list(numbers),
        texts=np.array(rows, dtype=np.int64),
        digests=list(distinct),
    )


def text_digest(tokens: Sequence[str]) -> bytes:
    """16 bytes that two texts share where their tokens are the same, also those that no vocabulary has."""
    # No token holds a space, so the joined text tells sequences apart.
    return hashlib.blake2b(" ".join(tokens).encode(), digest_size=16).digest()


def encode(
    tokenized: Tokenized, labels: NDArray[np.int32], rows: Mapping[Split, NDArray[np.int64]]
) -> tuple[tuple[str, ...], dict[Split, EncodedSequences]]:
    """Vocabulary and encoded splits, each with its `rows` in the order given.

    Id 3 is the most frequent token of the training rows, tokens of equal frequency in alphabetical order;
    tokens that only other splits have are UNKNOWN. Every sequence begins with START.

    Args:
        labels: `(n_rows,)` int32.
        rows: for each split `(n_sequences,)` int64, index into `tokenized`.
    """
    trained = tokenized.ids[_positions(tokenized, rows[Split.TRAIN])]
    frequency = np.bincount(trained, minlength=len(tokenized.types))
    ranked = sorted(
        np.flatnonzero(frequency).tolist(), key=lambda i: (-frequency[i], tokenized.types[i])
    )
    final = np.full(len(tokenized.types), UNKNOWN, dtype=np.int32)
    final[ranked] = np.arange(len(SPECIAL_TOKENS), len(SPECIAL_TOKENS) + len(ranked))
    vocabulary = (*SPECIAL_TOKENS, *(tokenized.types[i] for i in ranked))
    return vocabulary, {
        split: _encoded(tokenized, labels, chosen, final) for split, chosen in rows.items()
    }


def encode_known(sequences: Iterable[Sequence[str]], ids: Mapping[str, int]) -> EncodedSequences:
    """Encodes token sequences with an existing vocabulary; every label is 0.

    Each begins with START; tokens that are not in `ids` are UNKNOWN.
    """
    tokens = array("i")
    lengths = array("q")
    for sequence in sequences:
        tokens.append(START)
        tokens.extend(ids.get(token, UNKNOWN) for token in sequence)
        lengths.append(1 + len(sequence))
    return EncodedSequences(
        np.array(tokens, np.int32),
        offsets_of(np.array(lengths, np.int64)),
        np.zeros(len(lengths), np.int32),
    )


def token_ids(vocabulary: Sequence[str]) -> dict[str, int]:
    """The number of every token in it, the special ones left out: no text may name them."""
    first = len(SPECIAL_TOKENS)
    return {token: number for number, token in enumerate(vocabulary[first:], start=first)}


def _encoded(
    tokenized: Tokenized,
    labels: NDArray[np.int32],
    rows: NDArray[np.int64],
    final: NDArray[np.int32],
) -> EncodedSequences:
    offsets = offsets_of(_lengths(tokenized, rows) + 1)
    tokens = np.full(offsets[-1], START, dtype=np.int32)
    is_text = np.ones(len(tokens), dtype=bool)
    is_text[offsets[:-1]] = False
    tokens[is_text] = final[tokenized.ids[_positions(tokenized, rows)]]
    return EncodedSequences(tokens, offsets, labels[rows])


def _lengths(tokenized: Tokenized, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return tokenized.offsets[rows + 1] - tokenized.offsets[rows]


def _positions(tokenized: Tokenized, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return run_positions(tokenized.offsets[rows], _lengths(tokenized, rows))
