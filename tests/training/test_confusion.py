"""Precision, recall and F1 against values worked out by hand."""

import numpy as np
import pytest

from tuner.training.confusion import Confusion

# Three classes and a fourth that occurs nowhere.
LABELS = np.array([0, 0, 0, 1, 1, 2], np.int32)
PREDICTED = np.array([0, 0, 1, 1, 2, 0], np.int64)


def test_the_figures_of_each_class_are_those_worked_out_by_hand() -> None:
    confusion = Confusion.of(LABELS, PREDICTED, 4)
    assert confusion.counts.tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert confusion.hits.tolist() == [2, 1, 0, 0]
    assert confusion.labelled.tolist() == [3, 2, 1, 0]
    assert confusion.predicted.tolist() == [3, 2, 1, 0]
    assert confusion.precision.tolist() == [2 / 3, 1 / 2, 0, 0]
    assert confusion.recall.tolist() == [2 / 3, 1 / 2, 0, 0]
    assert confusion.f1.tolist() == [4 / 6, 2 / 4, 0, 0]


def test_macro_f1_is_the_mean_over_the_classes_that_occur() -> None:
    assert Confusion.of(LABELS, PREDICTED, 4).macro_f1 == pytest.approx(
        (4 / 6 + 2 / 4) / 3, abs=1e-12
    )
    only_predicted = Confusion.of(LABELS[:2], np.array([0, 3]), 4)
    assert only_predicted.macro_f1 == pytest.approx((2 / 3 + 0) / 2, abs=1e-12)


def test_the_figures_of_skewed_data_are_those_worked_out_by_hand() -> None:
    confusion = Confusion.of(LABELS, PREDICTED, 4)
    assert confusion.f1_positive == 2 / 4
    assert confusion.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    nobody = Confusion.of(np.array([0, 0, 1], np.int32), np.array([0, 0, 0]), 2)
    assert (nobody.f1_positive, nobody.balanced_accuracy) == (0, 0.5)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    rng = np.random.default_rng(0)
    confusion = Confusion.of(rng.integers(0, 3, 200).astype(np.int32), rng.integers(0, 3, 200), 3)
    precision, recall = confusion.precision, confusion.recall
    np.testing.assert_allclose(
        confusion.f1, 2 * precision * recall / (precision + recall), rtol=0, atol=1e-12
    )
