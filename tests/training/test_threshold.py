"""The threshold between two classes: the best one is found, and none is moved by chance."""

import numpy as np
import pytest

from tuner.settings.metric import Metric, MetricName, Mode
from tuner.training.confusion import Confusion
from tuner.training.threshold import EVEN, classes_of, fit_threshold

SKEWED = [MetricName.VAL_F1, MetricName.VAL_F1_POSITIVE, MetricName.VAL_BALANCED_ACCURACY]


def model(n: int, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of two classes, the second one with this share, and labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(np.int32)
    odds = share / (1 - share) * np.exp(2 * rng.normal(0, 1, n) + 4 * (labels - 0.5))
    of_second = odds / (1 + odds)
    return np.stack([1 - of_second, of_second], axis=1).astype(np.float32), labels


def fitted(probabilities: np.ndarray, labels: np.ndarray, name: MetricName) -> float:
    metric = Metric(name=name, mode=Mode.MAX if name.is_share else Mode.MIN)
    return fit_threshold(probabilities, labels, np.arange(len(labels)), metric)


def figure(probabilities: np.ndarray, labels: np.ndarray, name: MetricName, at: float) -> float:
    confusion = Confusion.of(labels, classes_of(probabilities, at), 2)
    return {
        MetricName.VAL_F1: confusion.macro_f1,
        MetricName.VAL_F1_POSITIVE: confusion.f1_positive,
        MetricName.VAL_BALANCED_ACCURACY: confusion.balanced_accuracy,
    }[name]


@pytest.mark.parametrize("name", SKEWED)
def test_the_threshold_is_the_best_one_and_better_on_other_sequences(name: MetricName) -> None:
    probabilities, labels = model(1000, 0.05)
    threshold = fitted(probabilities, labels, name)
    best = max(figure(probabilities, labels, name, at) for at in np.linspace(0.002, 0.998, 499))
    assert figure(probabilities, labels, name, threshold) >= best
    others = model(20_000, 0.05, seed=1)
    assert figure(*others, name, threshold) > figure(*others, name, EVEN) + 0.01


def test_the_balanced_accuracy_decides_by_the_share_of_the_class() -> None:
    """A calibrated model does so with the share itself: then both errors weigh by their class."""
    threshold = fitted(*model(50_000, 0.05), MetricName.VAL_BALANCED_ACCURACY)
    assert threshold == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("name", SKEWED)
def test_on_balanced_data_chance_moves_it_rarely_and_costs_little(name: MetricName) -> None:
    moved = [fitted(*model(500, 0.5, seed), name) for seed in range(20)]
    others = model(20_000, 0.5, seed=99)
    lost = [figure(*others, name, EVEN) - figure(*others, name, at) for at in moved]
    assert moved.count(EVEN) >= 8
    assert np.mean(lost) < 0.003


def test_a_copy_is_no_further_evidence() -> None:
    metric = Metric(name=MetricName.VAL_F1_POSITIVE)
    counts = []
    for clusters in (np.repeat(np.arange(150), 20), np.arange(3000)):
        copied = ([np.repeat(each, 20, axis=0) for each in model(150, 0.3, s)] for s in range(10))
        counts.append([fit_threshold(*each, clusters, metric) for each in copied].count(EVEN))
    assert counts[0] >= counts[1] + 2


@pytest.mark.parametrize("name", [MetricName.VAL_ACCURACY, MetricName.VAL_LOSS])
def test_the_accuracy_and_the_loss_need_none(name: MetricName) -> None:
    probabilities, labels = model(1000, 0.05)
    assert fitted(probabilities**2, labels, name) == EVEN


def test_of_few_or_equal_or_more_than_two_classes_there_is_none() -> None:
    probabilities, labels = model(1000, 0.05)
    few = np.where(np.cumsum(labels) > 9, 0, labels).astype(np.int32)
    assert fitted(probabilities, few, MetricName.VAL_F1) == EVEN
    nothing = np.zeros_like(labels)  # of the second class
    for name in SKEWED:
        assert fitted(probabilities, nothing, name) == EVEN
        assert fitted(probabilities, 1 - nothing, name) == EVEN
    constant = np.full((100, 2), 0.5, np.float32)
    assert fitted(constant, (np.arange(100) % 2).astype(np.int32), MetricName.VAL_F1) == EVEN
    three = np.full((90, 3), 1 / 3, np.float32)
    assert fitted(three, (np.arange(90) % 3).astype(np.int32), MetricName.VAL_F1) == EVEN


def test_the_likelier_class_is_that_of_keras_and_of_every_figure() -> None:
    even = np.array([[0.5, 0.5], [0.4, 0.6], [0.6, 0.4]], np.float32)
    assert classes_of(even).tolist() == [0, 1, 0]
    assert classes_of(even, 0.39).tolist() == [1, 1, 1]
    assert classes_of(even, 0.61).tolist() == [0, 0, 0]
