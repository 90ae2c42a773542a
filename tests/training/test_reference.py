"""The linear reference: what it learns, of how many classes, and from how much."""

from collections.abc import Sequence

import numpy as np
import pytest

from tuner.data import EncodedSequences
from tuner.training import reference
from tuner.training.linear_model import LinearModel, are_weights, n_grams_of
from tuner.training.reference import Reference, train_reference


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
    trained = train_reference(drawn(500, n_classes, seed=1), n_classes)
    probabilities = trained.probabilities_of(test)
    assert probabilities.shape == (200, n_classes)
    assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (probabilities.argmax(axis=1) == test.labels).mean() > 0.95
    majority = Reference(trained.frequencies, None).probabilities_of(test)
    assert majority[0] == pytest.approx(np.full(n_classes, 1 / n_classes), abs=0.002)


def test_the_order_of_two_tokens_is_seen_but_no_pair_over_the_end_of_a_sequence() -> None:
    rows = [[3, 4, 3] if number % 2 else [4, 3, 4] for number in range(40)]
    ordered = [[3, 4] if number % 2 else [4, 3] for number in range(40)]
    labels = [number % 2 for number in range(40)]
    sequences = encoded(ordered, labels)
    probabilities = train_reference(sequences, 2).probabilities_of(sequences)
    assert (probabilities.argmax(axis=1) == labels).all()
    places, grams = n_grams_of(encoded(rows[:2], labels[:2]))
    assert (np.bincount(places) == 3 + 3).all()  # 1, 3, 4 and three different pairs each
    assert len(grams) == 12


def test_classes_that_are_not_learned_from_get_no_probability() -> None:
    train = drawn(300, 3, seed=1)
    test = drawn(30, 4, seed=2)
    assert (train_reference(train, 4).probabilities_of(test)[:, 3] < 1e-6).all()
    one = encoded([[5, 6], [6, 7]], [1, 1])
    assert train_reference(one, 2).probabilities_of(test).argmax(axis=1).all()


def test_of_very_many_tokens_sequences_from_all_over_are_learned_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = drawn(500, 2, seed=1)
    fewer = reference._at_most(train, len(train.tokens) // 2)
    assert len(fewer) == 250
    first, last = (train.tokens[train.offsets[n] : train.offsets[n + 1]] for n in (0, 498))
    assert fewer.tokens[:12].tolist() == first.tolist()
    assert fewer.tokens[-12:].tolist() == last.tolist()
    monkeypatch.setattr(reference, "_MOST_WEIGHTS", 2 * 30)
    model = train_reference(train, 2).model
    assert model is not None
    assert len(model.known) == 30


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_model_is_made_again_of_its_weights(n_classes: int) -> None:
    trained = train_reference(drawn(500, n_classes, seed=1), n_classes).model
    assert trained is not None
    assert are_weights(trained.weights)
    again = LinearModel.of_weights(trained.weights, trained.max_length)
    assert again.known.tolist() == trained.known.tolist()
    assert all(map(np.array_equal, again.weights, trained.weights))
    others = drawn(60, n_classes + 3, seed=2)
    assert np.array_equal(again.probabilities_of(others), trained.probabilities_of(others))


@pytest.mark.keras
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_keras_model_has_the_same_probabilities(n_classes: int) -> None:
    import keras

    from tuner.training.evaluation import predict
    from tuner.training.linear_layer import build_linear

    trained = train_reference(drawn(500, n_classes, seed=1), n_classes).model
    assert trained is not None
    others = drawn(60, n_classes + 3, seed=2)  # some tokens and pairs are not known
    rows = [[*row, *row[:2]] for row in others.tokens.reshape(60, 12)[:, 1:].tolist()]
    longer = encoded(
        [*rows, [5], [], [70_000] * 9], [0] * 63
    )  # n-grams twice, longer, shorter, unknown
    model = build_linear(trained.weights)
    model = keras.models.model_from_json(model.to_json())
    model.set_weights(list(trained.weights))
    view = longer.view(vocabulary_size=trained.vocabulary_size, max_length=trained.max_length)
    found = predict(model, view, n_classes=n_classes)
    assert found == pytest.approx(trained.probabilities_of(longer), abs=1e-5)
    assert len(np.unique(found.round(4), axis=0)) > 20
