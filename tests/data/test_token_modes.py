"""The three ways to cut a text into tokens; words are compared with Keras' own function."""

import ast
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data.encoding import characters, symbols, words


@pytest.fixture(scope="module")
def keras_words() -> Callable[[str], list[str]]:
    """Keras' own function, cut out of its source: importing Keras would load TensorFlow."""
    spec = importlib.util.find_spec("keras")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "src/legacy/preprocessing/text.py"
    functions = [
        node for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)
    ]
    found = next(node for node in functions if node.name == "text_to_word_sequence")
    found.decorator_list = []
    namespace: dict[str, Callable[[str], list[str]]] = {}
    exec(compile(ast.Module([found], []), str(source), "exec"), namespace)
    return namespace["text_to_word_sequence"]


_awkward = st.text(
    st.sampled_from("aB'İß \t\n\r\x0b\x85\xa0-_<br/>.!?`~\\\"") | st.characters(codec="utf-8")
)


@given(text=_awkward)
def test_words_are_those_of_keras(keras_words: Callable[[str], list[str]], text: str) -> None:
    assert words(text) == keras_words(text)


def test_html_breaks_of_reviews_become_the_word_br() -> None:
    assert words("Great.<br /><br />Don't miss it!") == ["great", "br", "br", "don't", "miss", "it"]


def test_characters_keep_case_and_leave_out_white_space() -> None:
    assert characters("很 好\u3000A!\n") == ["很", "好", "A", "!"]


def test_symbols_are_kept_as_they_are() -> None:
    assert symbols("  A-1\tb!  C ") == ["A-1", "b!", "C"]
