"""Temperature scaling: labels stay, the loss falls, and a temperature that is known is found."""

import numpy as np
import pytest

from tuner.training.evaluation import losses
from tuner.training.temperature import fit_temperature, tempered


def model(rng: np.random.Generator, n: int, *, sureness: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes that are right as often as they say for a sureness of 1."""
    logits = rng.normal(0, 1.5, (n, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=2)
    stated = np.exp(sureness * logits)
    return (stated / stated.sum(axis=1, keepdims=True)).astype(np.float32), labels.astype(np.int32)


@pytest.mark.parametrize("sureness", [0.5, 1.0, 2.0])
def test_the_temperature_is_that_by_which_a_model_is_too_sure(sureness: float) -> None:
    probabilities, labels = model(np.random.default_rng(0), 20_000, sureness=sureness)
    assert fit_temperature(probabilities, labels) == pytest.approx(sureness, rel=0.04)


def test_labels_stay_and_other_sequences_have_a_lower_loss() -> None:
    rng = np.random.default_rng(1)
    temperature = fit_temperature(*model(rng, 1000, sureness=2.0))
    probabilities, labels = model(rng, 1000, sureness=2.0)
    better = tempered(probabilities, temperature)
    assert (better.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert better.sum(axis=1) == pytest.approx(np.ones(1000), abs=1e-6)
    assert losses(better, labels).mean() < losses(probabilities, labels).mean() - 0.05
    assert tempered(probabilities, 1.0) is probabilities


def test_few_sequences_or_errors_fit_nothing() -> None:
    rng = np.random.default_rng(2)
    probabilities, labels = model(rng, 99, sureness=2.0)
    assert fit_temperature(probabilities, labels) == 1.0
    sure = np.tile(np.array([[0.9, 0.1]], np.float32), (500, 1))
    assert fit_temperature(sure, np.zeros(500, np.int32)) == 1.0  # all right: it could be any


def test_the_extremes_are_bounded() -> None:
    rng = np.random.default_rng(3)
    probabilities, _ = model(rng, 500, sureness=3.0)
    random_labels = rng.integers(0, 3, 500).astype(np.int32)
    assert 1 < fit_temperature(probabilities, random_labels) <= 5
    certain = np.tile(np.array([[1.0, 0.0]], np.float32), (500, 1))
    labels = (np.arange(500) < 20).astype(np.int32)
    assert np.isfinite(tempered(certain, fit_temperature(certain, labels))).all()
