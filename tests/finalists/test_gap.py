"""The gap between search and confirmation: its standard errors, and which part is whose."""

import numpy as np
import pytest
from support.simulated_scores import SEEDS

from tuner.finalists.gap import deviation_of, gap_of
from tuner.settings.metric import Metric
from tuner.training.variance import pooled_seed_variance

N = 2500  # sequences of each split


def right(rng: np.random.Generator, chances: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """`(n_seeds, n)`, which sequences seeds get right that lift or lower every chance."""
    return (rng.random(len(chances)) < chances + seeds[:, None]).astype(float)


def test_the_standard_errors_are_the_deviations_of_repeated_searches() -> None:
    """Without any choice both parts are 0 on average, and only chance keeps them from it."""
    rng = np.random.default_rng(0)
    found, stated = [], []
    for _ in range(150):
        validation, confirmation = (rng.choice([0.99, 0.7], N, p=[0.7, 0.3]) for _ in range(2))
        seeds = rng.normal(0, SEEDS, (3, 4))
        searched = right(rng, validation, np.zeros(1)).mean()
        scores = [right(rng, confirmation, each) for each in seeds]
        validated = [right(rng, validation, each).mean(axis=1) for each in seeds]
        gap = gap_of(
            float(searched),
            scores[0],
            validated[0].tolist(),
            metric=Metric(),
            seeds=pooled_seed_variance(scores),
            deviation=deviation_of([each.tolist() for each in validated]),
            n_validation=N,
        )
        assert gap.of_selection is not None
        assert gap.of_rows is not None
        parts = (gap.whole, gap.of_rows)
        assert gap.of_selection.value + gap.of_rows.value == pytest.approx(gap.whole.value)
        found.append([each.value for each in parts])
        stated.append([each.error for each in parts])
    assert np.mean(stated, axis=0) == pytest.approx(np.std(found, axis=0), rel=0.2)
    assert np.mean(found, axis=0) == pytest.approx([0, 0], abs=0.002)


def test_where_fresh_seeds_learned_from_the_validation_split_the_gap_is_not_split() -> None:
    scores = np.tile(np.arange(100) < 90, (2, 1)).astype(float)
    figures = {"metric": Metric(), "seeds": pooled_seed_variance([scores]), "n_validation": 100}
    gap = gap_of(0.95, scores, [], deviation=None, **figures)
    assert gap.whole.value == pytest.approx(0.05)
    assert gap.whole.error == pytest.approx((2 * 0.09 / 99) ** 0.5, rel=0.01)
    assert (gap.of_selection, gap.of_rows) == (None, None)
    assert gap_of(0.95, scores[:1], [0.93], deviation=None, **figures).of_rows is None


def test_the_deviation_between_seeds_is_that_of_all_finalists() -> None:
    assert deviation_of([[0.9, 0.92], [0.8], []]) == pytest.approx(0.02 / 2**0.5)
    assert deviation_of([[0.9, 0.92], [0.8, 0.8]]) == pytest.approx(0.01)
    assert deviation_of([[0.9], [0.8]]) is None
