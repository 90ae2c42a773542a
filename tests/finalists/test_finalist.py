"""The interval of a finalist, as far as it depends on the others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.run_files import record

from tuner.finalists.finalist import Finalist, ModelFile, finalists_of
from tuner.settings.metric import Metric

N = 200  # sequences


def ranked(scores: Sequence[np.ndarray]) -> dict[int, Finalist]:
    """By their places in `scores`, `(n_seeds, N)` each."""
    trained = [
        (record(number), tuple(ModelFile(0, Path("none"), 0.5) for _ in of_one), of_one)
        for number, of_one in enumerate(scores)
    ]
    return {each.record.number: each for each in finalists_of(trained, Metric(), n_validation=N)}


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_of_a_finalist_whose_seeds_scatter_three_times_as_far_holds_mostly(
    seeds: int,
) -> None:
    """With one variance for all of them, 82 and 80 of 100 intervals did."""
    rng = np.random.default_rng(4)
    deviations, held = [0.01, 0.01, 0.01, 0.03], []
    for _ in range(300):
        scores = [
            0.5 + rng.normal(0, each, (seeds, 1)) + rng.normal(0, 0.02, (seeds, N))
            for each in deviations
        ]
        spread = ranked(scores)[3].spread
        held.append(spread.low <= 0.5 <= spread.high)
    assert np.mean(held) >= 0.88


def test_a_finalist_of_one_seed_has_the_variance_of_the_others() -> None:
    rng = np.random.default_rng(0)
    several = [0.5 + rng.normal(0, 0.02, (3, 1)) + rng.normal(0, 0.02, (3, N)) for _ in range(2)]

    found = ranked([*several, several[0][:1]])

    assert found[2].seeds is not None
    assert found[2].seeds.degrees == 4
    assert found[0].seeds is not None
    assert found[0].seeds.degrees == 2 + 2
    assert ranked(several[:1])[0].seeds.degrees == 2
