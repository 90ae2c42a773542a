"""The linear reference: what it learns, of how many classes, and from how much."""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data import EncodedSequences
from tuner.settings.data import TokenMode
from tuner.training import linear_reference
from tuner.training.linear_model import (
    LinearModel,
    are_weights,
    frequent_n_grams,
    longest_of,
    presence,
    weights_for_vocabulary,
)
from tuner.training.linear_reference import Reference, longest_n_gram, train_reference


def encoded(rows: Sequence[Sequence[int]], labels: Sequence[int]) -> EncodedSequences:
    lengths = [1 + len(row) for row in rows]
    tokens = np.concatenate([[1, *row] for row in rows]).astype(np.int32)
    return EncodedSequences(
        tokens, np.concatenate([[0], np.cumsum(lengths)]), np.array(labels, np.int32)
    )


def drawn(n: int, n_classes: int, seed: int) -> EncodedSequences:
    """Ten tokens of noise, and one that tells the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    noise = rng.integers(3 + n_classes, 50 + n_classes, (n, 10))
    rows = [rng.permutation([*row, 3 + label]) for row, label in zip(noise, labels, strict=True)]
    return encoded(rows, labels.tolist())


@pytest.mark.parametrize("n_classes", [2, 4, 25])
def test_tokens_that_tell_the_class_are_learned(n_classes: int) -> None:
    test = drawn(200, n_classes, seed=2)
    trained = train_reference(drawn(500, n_classes, seed=1), n_classes, longest=3)
    probabilities = trained.probabilities_of(test)
    assert probabilities.shape == (200, n_classes)
    assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (probabilities.argmax(axis=1) == test.labels).mean() > 0.95
    majority = Reference(trained.frequencies, None).probabilities_of(test)
    assert majority[0] == pytest.approx(np.full(n_classes, 1 / n_classes), abs=0.002)


@pytest.mark.parametrize("tokens", TokenMode)
def test_the_order_of_three_words_is_seen_and_of_five_characters_or_symbols(
    tokens: TokenMode,
) -> None:
    longest = longest_n_gram(tokens)
    assert longest == (3 if tokens is TokenMode.WORDS else 5)
    # A pattern of `longest` tokens tells the class, and no shorter one does: each class has all of these.
    rng = np.random.default_rng(0)
    patterns = [np.concatenate([[5], bits, [5]]) for bits in _words_of_two_letters(longest - 2)]
    labels = [int(pattern[1:-1].sum()) % 2 for pattern in patterns] * 60
    rows = [[*pattern, *rng.integers(10, 12, 3)] for pattern in patterns * 60]
    sequences = encoded(rows, labels)
    probabilities = train_reference(sequences, 2, longest=longest).probabilities_of(sequences)
    assert (probabilities.argmax(axis=1) == labels).all()


def _words_of_two_letters(length: int) -> list[list[int]]:
    return [list(word) for word in itertools.product((3, 4), repeat=length)]


ROWS = st.lists(st.lists(st.integers(3, 6), min_size=0, max_size=8), min_size=1, max_size=12)


@given(ROWS, ROWS, st.integers(2, 5), st.integers(1, 3), st.integers(1, 40))
def test_the_most_frequent_n_grams_are_found_where_they_are(
    rows: list[list[int]], others: list[list[int]], longest: int, least: int, most: int
) -> None:
    # By strings: one letter per token, START first.
    def texts(of: list[list[int]]) -> list[str]:
        return ["".join(map(str, [1, *row])) for row in of]

    def n_grams(text: str) -> set[str]:
        return {
            text[at : at + size]
            for size in range(1, longest + 1)
            for at in range(len(text) + 1 - size)
        }

    holders = Counter(gram for text in texts(rows) for gram in n_grams(text))
    frequent = {gram for gram, count in holders.items() if count >= least}
    known = frequent_n_grams(encoded(rows, [0] * len(rows)), longest, least, most)
    taken = presence(encoded(rows, [0] * len(rows)), known)
    assert taken.shape[1] == min(most, len(frequent)) == sum(map(len, known))
    counts = sorted(holders[gram] for gram in frequent)
    assert sorted(np.asarray(taken.sum(axis=0)).ravel()) == counts[len(counts) - taken.shape[1] :]
    if most >= len(frequent):
        found = presence(encoded(others, [0] * len(others)), known)
        expected = [len(n_grams(text) & frequent) for text in texts(others)]
        assert np.asarray(found.sum(axis=1)).ravel().tolist() == expected


def test_classes_that_are_not_learned_from_get_no_probability() -> None:
    train = drawn(300, 3, seed=1)
    test = drawn(30, 4, seed=2)
    assert (train_reference(train, 4, longest=3).probabilities_of(test)[:, 3] < 1e-6).all()
    one = encoded([[5, 6], [6, 7]], [1, 1])
    assert train_reference(one, 2, longest=3).probabilities_of(test).argmax(axis=1).all()


def test_of_very_many_tokens_sequences_from_all_over_are_learned_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = drawn(500, 2, seed=1)
    fewer = linear_reference._at_most(train, len(train.tokens) // 2)
    assert len(fewer) == 250
    first, last = (train.tokens[train.offsets[n] : train.offsets[n + 1]] for n in (0, 498))
    assert fewer.tokens[:12].tolist() == first.tolist()
    assert fewer.tokens[-12:].tolist() == last.tolist()
    monkeypatch.setattr(linear_reference, "_MOST_WEIGHTS", 2 * 30)
    model = train_reference(train, 2, longest=3).model
    assert model is not None
    assert sum(map(len, model.known)) == 30


@pytest.mark.parametrize("longest", [2, 3, 5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_model_is_made_again_of_its_weights(n_classes: int, longest: int) -> None:
    trained = train_reference(drawn(500, n_classes, seed=1), n_classes, longest=longest).model
    assert trained is not None
    assert are_weights(trained.weights)
    assert longest_of(trained.weights) == len(trained.known) == longest
    again = LinearModel.of_weights(trained.weights, trained.max_length)
    assert all(map(np.array_equal, again.known, trained.known))
    assert all(map(np.array_equal, again.weights, trained.weights))
    others = drawn(60, n_classes + 3, seed=2)
    assert np.array_equal(again.probabilities_of(others), trained.probabilities_of(others))


@pytest.mark.parametrize("longest", [2, 3])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_model_that_learned_from_unknown_tokens_tells_rare_ones_from_them(
    place: int, longest: int
) -> None:
    # An unknown token begins, lies within or ends an n-gram that tells the class; 9 is too rare to be in one.
    text = [4, 5, 6]
    text[place] = 2
    train = encoded([text, [4, 5, 6]] * 5, [1, 0] * 5)
    trained = train_reference(train, 2, longest=longest).model
    assert trained is not None
    rare = encoded([[9 if token == 2 else token for token in text], text], [0, 0])
    measured = trained.probabilities_of(rare)
    assert measured[0, 1] + 0.1 < measured[1, 1]
    weights = weights_for_vocabulary(trained.weights, 10)
    assert are_weights(weights)
    again = LinearModel.of_weights(weights, trained.max_length)
    seen = rare.view(vocabulary_size=len(weights[0]), max_length=trained.max_length)
    assert np.array_equal(again.probabilities_of(seen), measured)


def test_a_model_that_learned_from_no_unknown_token_keeps_its_weights() -> None:
    trained = train_reference(drawn(500, 2, seed=1), 2, longest=3).model
    assert trained is not None
    weights = weights_for_vocabulary(trained.weights, 1000)
    assert all(map(np.array_equal, weights, trained.weights))


def test_weights_that_do_not_fit_are_none() -> None:
    trained = train_reference(drawn(500, 2, seed=1), 2, longest=3).model
    assert trained is not None
    for number, array in enumerate(trained.weights):
        for damaged in (array[:-1], array + 1 if array.ndim == 1 else array[:, :0], array * np.nan):
            weights = [*trained.weights]
            weights[number] = damaged
            # A bias is any number, and so is a last token.
            is_free = number in (2, 4, 6) and len(damaged) == len(array)
            assert are_weights(weights) is (is_free and bool(np.isfinite(damaged).all()))
    assert not are_weights(trained.weights[:-1])


@pytest.mark.keras
@pytest.mark.parametrize("most", [20_000_000, 150])
@pytest.mark.parametrize(("n_classes", "longest"), [(2, 2), (2, 3), (4, 3), (2, 5)])
def test_the_keras_model_has_the_same_probabilities(
    n_classes: int, longest: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from tuner.training.evaluation import predict
    from tuner.training.linear_layer import build_linear

    monkeypatch.setattr(linear_reference, "_MOST_WEIGHTS", n_classes * most)
    # So few different tokens that many n-grams of five are frequent.
    rng = np.random.default_rng(1)
    labels = np.arange(600) % n_classes
    rows = [
        rng.choice(4, 12, p=np.roll([0.4, 0.3, 0.2, 0.1], label)) + 3 for label in labels.tolist()
    ]
    train = encoded([row.tolist() for row in rows], labels.tolist())
    trained = train_reference(train, n_classes, longest=longest).model
    assert trained is not None
    assert all(map(len, trained.known))
    others = rng.integers(2, 8, (60, 10))  # some are not known
    texts = [[*row, *row[:2]] for row in others.tolist()]
    longer = encoded([*texts, [5], [], [70_000] * 9], [0] * 63)  # twice, shorter, unknown
    model = build_linear(trained.weights)
    model = keras.models.model_from_json(model.to_json())
    model.set_weights(list(trained.weights))
    view = longer.view(vocabulary_size=trained.vocabulary_size, max_length=trained.max_length)
    found = predict(model, view, n_classes=n_classes)
    assert found == pytest.approx(trained.probabilities_of(longer), abs=1e-5)
    assert len(np.unique(found.round(4), axis=0)) > 20
    for text in ([], [3], [3, 4]):  # shorter than the n-grams, alone in their batches
        alone = encoded([text], [0])
        found = predict(model, alone, n_classes=n_classes)
        assert found == pytest.approx(trained.probabilities_of(alone), abs=1e-5)


@pytest.mark.keras
def test_xla_leaves_the_keras_model_alone_also_where_others_load_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import keras
    import tensorflow as tf

    from tuner.training.linear_layer import build_linear

    trained = train_reference(encoded([[3, 4], [4, 5]] * 20, [0, 1] * 20), 2, longest=2).model
    assert trained is not None
    build_linear(trained.weights).save(tmp_path / "model.keras")
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    assert not keras.models.load_model(tmp_path / "model.keras").jit_compile


@pytest.mark.keras
def test_a_model_of_pairs_alone_as_earlier_versions_wrote_it_is_read() -> None:
    import keras

    from tuner.training.linear_layer import build_linear

    pairs = np.array([2.0])  # after token 3: token 4, of which it has no row alone
    weights = [
        np.array([2, 2, 2, 0, 2], np.float32),
        np.array([0, 0, 0, 0, 1, 1], np.float32),
        np.array([4, 5], np.float32),
        np.array([[1.5], *pairs[:, None], [0]], np.float32),
        np.array([-1], np.float32),
    ]
    assert are_weights(weights)
    model = build_linear(weights)
    config = model.get_config()
    (layer,) = [each for each in config["layers"] if each["class_name"] == "LinearOnNGrams"]
    assert layer["config"].pop("longer") == []  # earlier files do not have it
    again = keras.Model.from_config(config)
    again.set_weights(weights)
    ids = np.array([[3, 4], [4, 3], [4, 0]])
    logits = [1.5 + 2 - 1, 1.5 - 1, -1]
    expected = 1 / (1 + np.exp(-np.array(logits)))
    assert np.asarray(again(ids))[:, 0] == pytest.approx(expected)
    linear = LinearModel.of_weights(weights, 5)
    found = linear.probabilities_of(encoded([[4], [3]], [0, 0]))[:, 1]
    assert found == pytest.approx(1 / (1 + np.exp(-np.array([-1, 0.5]))))
