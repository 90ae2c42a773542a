"""Probabilities of one byte: near what they were, of the same class, and on average as often right."""

import numpy as np
import pytest
from benchmarks.replay.coarse import from_bytes, to_bytes
from numpy.typing import NDArray


def probabilities(sureness: float, n_classes: int, seed: int = 0) -> NDArray[np.float16]:
    """Of six models on 2,000 rows, `(6, 2000, n_classes)`."""
    logits = sureness * np.random.default_rng(seed).normal(size=(6, 2000, n_classes))
    odds = np.exp(logits)
    return (odds / odds.sum(axis=2, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("sureness", [0.05, 1.0, 6.0])
@pytest.mark.parametrize("n_classes", [2, 6])
def test_each_probability_is_near_and_of_the_same_class(sureness: float, n_classes: int) -> None:
    exact = probabilities(sureness, n_classes)
    if n_classes == 2:
        exact = exact[..., 1]
    coarse = to_bytes(exact)
    found = from_bytes(coarse, has_classes=n_classes > 2)

    assert coarse.dtype == np.uint8
    np.testing.assert_allclose(found, exact, atol=0.013 if n_classes > 2 else 0.004)
    if n_classes == 2:
        assert np.array_equal(found > 0.5, exact > 0.5)
    else:
        assert np.array_equal(found.argmax(axis=2), exact.argmax(axis=2))
        np.testing.assert_allclose(found.astype(np.float64).sum(axis=2), 1, atol=2e-3)


def test_a_half_is_class_0_of_two_and_the_first_of_equal_classes_stays_first() -> None:
    half = np.array([[0.5, np.nextafter(np.float16(0.5), np.float16(1))]], np.float16)
    assert (from_bytes(to_bytes(half), has_classes=False) > 0.5).tolist() == [[False, True]]

    equal = np.array([[[0.2, 0.4, 0.4], [0.3325, 0.333, 0.3335]]], np.float16)
    found = from_bytes(to_bytes(equal), has_classes=True)
    assert found.argmax(axis=2).tolist() == [[1, 2]]


def test_impossible_and_certain_are_nearly_so() -> None:
    found = from_bytes(to_bytes(np.array([[0.0, 1.0]], np.float16)), has_classes=False)

    assert 0 < found[0, 0] < 1e-5
    assert found[0, 1] == 1


def test_averages_are_as_often_right_and_lose_as_much() -> None:
    exact = probabilities(1.5, 6)
    found = from_bytes(to_bytes(exact), has_classes=True)
    labels = np.random.default_rng(1).permuted(exact.astype(np.float32).mean(axis=0), axis=0)
    classes = labels.argmax(axis=1)

    def of_average(answers: NDArray[np.float16]) -> tuple[NDArray[np.bool_], float]:
        average = answers.astype(np.float32).mean(axis=0)
        loss = -np.log(average[np.arange(len(classes)), classes]).mean()
        return average.argmax(axis=1) == classes, float(loss)

    (are_right, loss), (still_right, its_loss) = of_average(exact), of_average(found)
    assert (are_right != still_right).mean() < 0.005
    assert still_right.mean() == pytest.approx(are_right.mean(), abs=0.002)
    assert its_loss == pytest.approx(loss, rel=0.002)
