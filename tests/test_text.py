"""Texts as JSON and Markdown show them: nothing is lost, and nothing in them is obeyed."""

import json

import pytest

from tuner.text import code_span, escaped_json, short_reason


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "\x9b2J", "\x7f", "a\rb", "\u202egnp.exe", "\u2028", "\u2066", "\udc80"],
)
def test_json_holds_no_character_that_a_terminal_obeys_and_loses_none(text: str) -> None:
    shown = escaped_json(json.dumps({text: text}, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == {text: text}


def test_other_scripts_stay_as_they_are() -> None:
    assert escaped_json('"非常好 ñ 🙂"') == '"非常好 ñ 🙂"'


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("positive", "`positive`"),
        ("a`b", "`` a`b ``"),
        ("``", "``` `` ```"),
        ("a\nb", r"`a\nb`"),
        ("caf\udce9", r"`caf\udce9`"),
        ("très  bon", "`très  bon`"),
    ],
)
def test_code_in_markdown_ends_where_the_text_ends(text: str, code: str) -> None:
    assert code_span(text) == code


def test_a_reason_is_one_line_that_ends_somewhere() -> None:
    assert short_reason(ValueError("a\nb\x1b[2J")) == "a b�[2J"
    assert short_reason("x" * 999) == "x" * 200
    assert short_reason("x" * 999, most=3) == "xxx"
