"""The page as HTML."""

from tuner.report.page import _with_code


def test_commands_between_backticks_are_code_and_nothing_in_a_sentence_is_a_tag() -> None:
    assert _with_code("a `tuner test <b>` & `x` c") == (
        "a <code>tuner test &lt;b&gt;</code> &amp; <code>x</code> c"
    )
    assert _with_code("one ` alone <i>") == "one ` alone &lt;i&gt;"
