"""A SavedModel that takes texts has the same ids as tuner itself."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tuner.data import SPECIAL_TOKENS, encode_known, token_ids
from tuner.data.encoding import TOKENIZERS
from tuner.export.portable import export_saved_model
from tuner.export.text_ids import TextIds
from tuner.settings.data import TokenMode
from tuner.settings.hyperparameters import resolve
from tuner.training.builder import build_model

pytestmark = pytest.mark.keras

WORDS = [
    "good",
    "bad",
    "it's",
    "i̇",
    "ς",
    "σ",
    "ὀδυσσεύς",
    "straße",
    "ⱟ",
    "ꟁ",
    "𐖗",
    "new\xa0york",
    "na\r",
    "好",
    "1",
    "é",
]
SIZE, LENGTH = 17, 5
INPUTS = int(os.environ.get("TUNER_TEST_INPUTS", "60"))
_texts = st.lists(
    st.text(
        st.sampled_from("GgODdBAa'ΣσςİIⰯꟀ𐕰ß!_-.,  \t\n\r\x1c\x85\u00a0\u3000好1éÉ")
        | st.characters(codec="utf-8"),
        max_size=12,
    )
    | st.lists(st.sampled_from([*WORDS, *map(str.upper, WORDS)]), max_size=8).map(" ".join),
    min_size=1,
    max_size=8,
)


def vocabulary(mode: TokenMode) -> tuple[str, ...]:
    characters = dict.fromkeys("".join(WORDS).replace("\u00a0", "").replace("\r", ""))
    return (*SPECIAL_TOKENS, *(characters if mode is TokenMode.CHARACTERS else WORDS))


@pytest.fixture(scope="module")
def makers() -> dict[TokenMode, TextIds]:
    return {
        mode: TextIds(vocabulary(mode), mode, size=SIZE, max_length=LENGTH) for mode in TokenMode
    }


@pytest.mark.parametrize("mode", TokenMode)
@given(texts=_texts)
@example(texts=["\x00", "Good\x00BAD it's", "\x00\x00 GOOD bad\x00", ""])
@settings(max_examples=INPUTS)
def test_every_id_is_ours(
    makers: dict[TokenMode, TextIds], mode: TokenMode, texts: list[str]
) -> None:
    known = {t: n for t, n in token_ids(vocabulary(mode)).items() if n < SIZE}
    ours = encode_known([TOKENIZERS[mode](text) for text in texts], known)
    rows = [ours.tokens[a:b][-LENGTH:].tolist() for a, b in pairwise(ours.offsets)]
    theirs = makers[mode](tf.constant(texts)).numpy()
    assert [row[: len(want)].tolist() for row, want in zip(theirs, rows, strict=True)] == rows
    assert all(not row[len(want) :].any() for row, want in zip(theirs, rows, strict=True))


def test_a_saved_model_answers_texts_as_their_ids(tmp_path: Path) -> None:
    model = build_model(
        resolve("lstm", {"vocabulary_size": SIZE, "embedding_size": 3, "lstm_units": 2}),
        n_classes=3,
    )
    words = vocabulary(TokenMode.WORDS)
    export_saved_model(
        model,
        tmp_path / "m.savedmodel",
        temperature=1.5,
        text_ids=lambda: TextIds(words, TokenMode.WORDS, size=SIZE, max_length=LENGTH),
    )
    loaded = tf.saved_model.load(str(tmp_path / "m.savedmodel"))
    texts = ["Good, BAD; unheard-of it's good bad", ""]
    ids = [[2, 2, 5, 3, 4], [1, 0, 0, 0, 0]]
    by_ids = loaded.serve(tf.constant(ids, tf.int32)).numpy()
    np.testing.assert_allclose(loaded.serve_texts(tf.constant(texts)).numpy(), by_ids, atol=1e-6)


def test_tensorflow_still_drops_what_follows_a_character_0() -> None:
    """Where this fails, `_lower` need not split texts any more."""
    lowered = tf.strings.lower(tf.constant(["A\x00B"]), encoding="utf-8")
    assert lowered.numpy() == [b"a"]
