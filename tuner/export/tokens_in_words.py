"""How a text becomes ids, in words and by an example: for programs in other languages that feed an exported model.

The rules are those of `tuner.data.encoding`; a test holds them to it. Must not import Keras.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from tuner.data import Dataset, encode_known, token_ids
from tuner.data.encoding import TOKENIZERS
from tuner.settings.data import TokenMode
from tuner.text import code_span

TOKEN_RULES: Mapping[TokenMode, str] = MappingProxyType(
    {
        TokenMode.WORDS: "Put the text into lower case (Unicode's full mapping). Replace tab, line feed and each of "
        'the characters !"#$%&()*+,-./:;<=>?@[\\]^_`{|}~ by a space. Cut at spaces (U+0020) alone; empty parts are no '
        "tokens. Apostrophes, other white space and other punctuation stay in tokens.",
        TokenMode.CHARACTERS: "Every code point that is not white space (Unicode's White_Space, and U+001C to U+001F) "
        "is a token, as it is written.",
        TokenMode.SYMBOLS: "The parts between white space (Unicode's White_Space, and U+001C to U+001F) are the "
        "tokens, as they are written. A list of integers is its numbers with spaces between.",
    }
)
ID_RULE = (
    "The ids are 1, and then for every token its number in `vocabulary`, counted from 0; 2 where it is not in there. "
    "Numbers of a member's `vocabulary_size` or larger become 2, too, and of all ids the last `max_length` are read."
)


def token_section(dataset: Dataset) -> list[str]:
    """A section of a model's card, Markdown: the rules, and a worked example with words of this vocabulary."""
    text = _example(dataset)
    tokens = TOKENIZERS[dataset.token_mode](text)
    ids = encode_known([tokens], token_ids(dataset.vocabulary)).tokens.tolist()
    return [
        "## From a text to ids",
        "",
        f"{TOKEN_RULES[dataset.token_mode]} {ID_RULE}",
        "",
        "| text | tokens | ids |",
        "|---|---|---|",
        f"| {_cell(json.dumps(text, ensure_ascii=False))} | {_cell(json.dumps(tokens, ensure_ascii=False))} | "
        f"{_cell(json.dumps(ids))} |",
        "",
    ]


def _example(dataset: Dataset) -> str:
    """A text with tokens of the vocabulary and an unknown one, and with what a careless tokenizer gets wrong."""
    known = [token for token in dataset.vocabulary[3:] if token.isprintable()][:3]
    if dataset.token_mode is TokenMode.WORDS:
        return f"{' '.join(known).capitalize()}, rock—it's  new, ISN'T_it?"
    if dataset.token_mode is TokenMode.CHARACTERS:
        return f"{''.join(known)} A\tÉ"
    return f"{' '.join(known)}  A,b\tÉ"


def _cell(text: str) -> str:
    """Code in a table's cell."""
    return code_span(text).replace("|", "\\|")
