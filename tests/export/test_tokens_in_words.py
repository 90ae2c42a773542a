"""The rules in words are those of the code, by a second program that follows the words alone."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data import Dataset, load_dataset
from tuner.data.encoding import TOKENIZERS
from tuner.errors import RunFolderError
from tuner.export.description import Description, MemberEntry
from tuner.export.tokens_in_words import TOKEN_RULES, token_section
from tuner.settings.data import DataConfig, TokenMode


def by_the_words(text: str, mode: TokenMode) -> list[str]:
    """The tokens as somebody makes them who has read the rule and not the code."""
    if mode is TokenMode.WORDS:
        listed = re.search(r"characters (\S+) by a space", TOKEN_RULES[mode])
        assert listed is not None
        text = text.lower()
        for character in "\t\n" + listed[1]:
            text = text.replace(character, " ")
        return [part for part in text.split(" ") if part]
    white = r"[\s\x1c-\x1f]"
    if mode is TokenMode.CHARACTERS:
        return [character for character in text if not re.match(white, character)]
    return [part for part in re.split(white, text) if part]


@given(
    text=st.text(
        st.sampled_from("aAéİß'—_,;|\t\n\r\x0b\x1c\x85\u00a0\u3000 !~`\\") | st.characters()
    ),
    mode=st.sampled_from(TokenMode),
)
def test_the_words_say_what_the_code_does(text: str, mode: TokenMode) -> None:
    assert by_the_words(text, mode) == TOKENIZERS[mode](text)


@pytest.mark.parametrize("mode", TokenMode)
def test_the_example_has_known_and_unknown_tokens(
    mode: TokenMode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "cache"))
    rows = "".join(f"warm | day {number},{number % 2}\n" for number in range(40))
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}")
    config = DataConfig(source=str(tmp_path / "a.csv"), tokens=mode)
    dataset: Dataset = load_dataset(config)
    heading, _, rules, _, _, _, example, _ = token_section(dataset)
    assert heading == "## From a text to ids"
    assert rules.startswith(TOKEN_RULES[mode])
    ids = re.search(r"\[([\d, ]+)\]` \|$", example)
    assert ids is not None
    numbers = [int(each) for each in ids[1].split(",")]
    assert numbers[0] == 1
    assert 2 in numbers
    assert {3, 4, 5} <= set(numbers)


def test_a_description_has_the_rules_and_is_read_back() -> None:
    member = MemberEntry("member-1.keras", None, 1, 10, 5)
    vocabulary = ("[PADDING]", "[START]", "[UNKNOWN]", "day")
    description = Description(
        "r", ("a", "b"), TokenMode.WORDS, vocabulary, (member,), text_column="review"
    )
    text = description.to_json()
    assert "Cut at spaces (U+0020) alone" in text
    assert Description.from_json(text, "model.json") == description
    earlier = text.replace('"text_column": "review", ', "")
    assert Description.from_json(earlier, "model.json").text_column is None
    with pytest.raises(RunFolderError, match="text_column must be a column's name"):
        Description.from_json(text.replace('"review"', "[]"), "model.json")
