"""Figures of probabilities, as scikit-learn would give them."""

import numpy as np
import pytest

from tuner.training.probabilities import brier_score, expected_calibration_error, roc_auc


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    confidence = np.full(1000, 0.9, np.float32)
    probabilities = np.stack([1 - confidence, confidence], axis=1)
    labels = np.array([1] * 900 + [0] * 100, np.int32)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(probabilities, labels[::-1] * 0) == pytest.approx(0.9)


def test_chance_adds_little_to_the_calibration_error() -> None:
    """The distances of all bins alone give 0.03 for models that are calibrated perfectly."""
    rng = np.random.default_rng(0)
    perfect, too_sure = [], []
    for _ in range(100):
        truth = rng.uniform(0.5, 1, 2000)
        labels = (rng.random(2000) < truth).astype(np.int32)
        for found, stated in ((perfect, truth), (too_sure, 0.5 + truth / 2)):
            probabilities = np.stack([1 - stated, stated], axis=1).astype(np.float32)
            found.append(expected_calibration_error(probabilities, labels))
    assert np.mean(perfect) < 0.01
    assert np.mean(too_sure) == pytest.approx(0.125, abs=0.01)  # the mean of 0.5 - truth / 2


def test_the_brier_score_is_the_mean_squared_distance() -> None:
    two = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    assert brier_score(two, np.array([1, 1], np.int32)) == pytest.approx((0.04 + 0.36) / 2)
    three = np.array([[0.2, 0.3, 0.5]], np.float32)
    assert brier_score(three, np.array([2], np.int32)) == pytest.approx(0.04 + 0.09 + 0.25)


def test_the_area_under_the_curve_counts_pairs() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8, 0.9], np.float32)
    positives = np.array([False, False, True, True, False])
    pairs = [(p, n) for p in scores[positives] for n in scores[~positives]]
    expected = np.mean([(p > n) + 0.5 * (p == n) for p, n in pairs])
    assert roc_auc(scores, positives) == pytest.approx(expected)
