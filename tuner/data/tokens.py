"""Text to tokens. The words are those of Keras' `text_to_word_sequence` with its defaults."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from tuner.settings.config import TokenMode

# Keras' default filters; its apostrophe stays inside words, and IMDB's `<br />` becomes the word "br".
_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_TO_SPACES = str.maketrans(dict.fromkeys(_FILTERS, " "))


def words(text: str) -> list[str]:
    """Lower-case words: punctuation, tabs and new lines become spaces, then cut at spaces alone.

    Other white space stays inside a word, as Keras does it.
    """
    return [word for word in text.lower().translate(_TO_SPACES).split(" ") if word]


def characters(text: str) -> list[str]:
    """Every character that is not white space, as it is written."""
    return list("".join(text.split()))


def symbols(text: str) -> list[str]:
    """What stands between white space, as it is written."""
    return text.split()


TOKENIZERS: Mapping[TokenMode, Callable[[str], list[str]]] = MappingProxyType(
    {TokenMode.WORDS: words, TokenMode.CHARACTERS: characters, TokenMode.SYMBOLS: symbols}
)
