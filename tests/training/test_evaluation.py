"""Figures from probabilities."""

import numpy as np
import pytest

from tuner.data import EncodedSequences
from tuner.training.evaluation import evaluate, predict


class KnownModel:
    """Gives the probability that belongs to a sequence's second token; counts its batches."""

    def __init__(self, by_token: dict[int, list[float]]) -> None:
        self.by_token = by_token
        self.shapes: list[tuple[int, ...]] = []

    def predict_on_batch(self, ids: np.ndarray) -> np.ndarray:
        self.shapes.append(ids.shape)
        return np.array([self.by_token[row[1]] for row in ids], np.float32)


def sequences(rows: list[list[int]], labels: list[int]) -> EncodedSequences:
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return EncodedSequences(np.concatenate(rows).astype(np.int32), offsets, np.array(labels))


def test_figures_of_three_classes() -> None:
    model = KnownModel({3: [0.7, 0.2, 0.1], 4: [0.3, 0.6, 0.1], 5: [0.1, 0.5, 0.4]})
    data = sequences([[1, 5, 9, 9, 9], [1, 3], [1, 4, 9], [1, 3, 9, 9]], [2, 0, 1, 1])

    evaluation = evaluate(model, data, n_classes=3)

    assert evaluation.accuracy == 0.5
    assert evaluation.loss == pytest.approx(-np.log([0.4, 0.7, 0.6, 0.2]).mean(), rel=1e-6)
    # class 0: 1 hit, 1 label, 2 predictions; class 1: 1, 2, 2; class 2: 0, 1, 0
    assert evaluation.f1 == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)
    assert evaluation.f1_positive is None  # which one would be the positive of three?
    assert evaluation.balanced_accuracy == pytest.approx((1 + 1 / 2 + 0) / 3)
    np.testing.assert_allclose(evaluation.probabilities[0], [0.1, 0.5, 0.4])


def test_one_sigmoid_unit_is_two_classes() -> None:
    model = KnownModel({3: [0.9], 4: [0.2]})
    data = sequences([[1, 3], [1, 4], [1, 4, 9]], [1, 0, 1])

    evaluation = evaluate(model, data, n_classes=2)

    np.testing.assert_allclose(
        evaluation.probabilities, [[0.1, 0.9], [0.8, 0.2], [0.8, 0.2]], atol=1e-6
    )
    assert evaluation.accuracy == pytest.approx(2 / 3)
    assert evaluation.loss == pytest.approx(-np.log([0.9, 0.8, 0.2]).mean(), rel=1e-5)
    assert evaluation.f1_positive == pytest.approx(2 / 3)
    assert evaluation.balanced_accuracy == pytest.approx((1 + 1 / 2) / 2)


def test_class_that_never_occurs_does_not_count_in_f1() -> None:
    model = KnownModel({3: [1.0, 0.0, 0.0]})

    assert evaluate(model, sequences([[1, 3]], [0]), n_classes=3).f1 == 1.0


def test_sure_and_wrong_costs_much_but_is_finite() -> None:
    model = KnownModel({3: [1.0]})

    assert 15 < evaluate(model, sequences([[1, 3]], [0]), n_classes=2).loss < 20


def test_not_a_number_stays_visible() -> None:
    model = KnownModel({3: [np.nan]})

    assert np.isnan(evaluate(model, sequences([[1, 3]], [0]), n_classes=2).loss)


def test_every_sequence_is_predicted_once_in_its_place(make_sequences) -> None:
    data = make_sequences(5000, n_classes=3, seed=1)
    model = KnownModel({token: [1 - token / 100, token / 100, 0] for token in range(30)})

    probabilities = predict(model, data, n_classes=3)

    np.testing.assert_allclose(
        probabilities[:, 1], data.tokens[data.offsets[:-1] + 1] / 100, atol=1e-6
    )
    assert sum(shape[0] for shape in model.shapes) == 5000
    assert len(model.shapes) < 10


def test_batches_of_one_width_have_one_size(make_sequences) -> None:
    data = make_sequences(5000, n_classes=3, seed=1)
    model = KnownModel({token: [1 - token / 100, token / 100, 0] for token in range(30)})

    probabilities = predict(model, data, n_classes=3, widths=(8, 12))

    np.testing.assert_allclose(
        probabilities[:, 1], data.tokens[data.offsets[:-1] + 1] / 100, atol=1e-6
    )
    assert set(model.shapes) == {(4096, 8), (2730, 12)}
