"""Boosted trees for several quantiles at once are scikit-learn's."""

import numpy as np
import pytest
from benchmarks.replay.boosted_quantiles import boosted_quantiles
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor

# With these scikit-learn adds up its gradients exactly, so that equally good splits are equal there, too.
QUARTILES = (0.25, 0.5, 0.75)


def boosted(x, y, at, seed: int = 0, quantiles=QUARTILES) -> NDArray[np.float64]:
    return boosted_quantiles(x, y, at, quantiles, np.random.default_rng(seed))


def by_sklearn(x, y, at, seed: int = 0) -> NDArray[np.float64]:
    return np.array(
        [
            GradientBoostingRegressor(loss="quantile", alpha=alpha, random_state=seed)
            .fit(x, y)
            .predict(at)
            for alpha in QUARTILES
        ]
    )


@pytest.mark.parametrize("n", [5, 12, 40])
def test_one_input_gives_the_same_predictions(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.integers(0, 2 * n, (n, 1)).astype(np.float64)  # some of them are equal
    y = np.sin(x[:, 0] / n) + rng.normal(0, 0.1, n)
    at = rng.uniform(-5, 2 * n + 5, (60, 1))

    np.testing.assert_allclose(boosted(x, y, at), by_sklearn(x, y, at), atol=1e-12)


def test_many_inputs_give_predictions_as_near_as_another_order_of_features() -> None:
    rng = np.random.default_rng(3)
    x, at = rng.random((30, 8)), rng.random((200, 8))
    y = x[:, 0] - x[:, 1] + rng.normal(0, 0.1, 30)

    def apart(one, other) -> float:
        return float(np.abs(one - other).mean())

    theirs = [by_sklearn(x, y, at, seed) for seed in range(3)]
    ours = [boosted(x, y, at, seed) for seed in range(3)]
    among_theirs = np.mean([apart(theirs[a], theirs[b]) for a in range(3) for b in range(a)])
    between = np.mean([apart(one, other) for one in ours for other in theirs])
    assert 0 < among_theirs < 0.1
    assert between < 1.25 * among_theirs


def test_equal_scores_are_predicted() -> None:
    x = np.arange(6.0)[:, None]

    np.testing.assert_array_equal(boosted(x, np.full(6, 0.5), x), np.full((3, 6), 0.5))


def test_so_many_scores_lie_below_a_quantile() -> None:
    rng = np.random.default_rng(1)
    x = np.repeat(np.arange(3.0), 200)[:, None]
    y = x[:, 0] + rng.normal(0, 0.2, 600)
    found = boosted(x, y, x, quantiles=(0.17, 0.5, 0.83))

    assert (y <= found).mean(axis=1) == pytest.approx([0.17, 0.5, 0.83], abs=0.02)
