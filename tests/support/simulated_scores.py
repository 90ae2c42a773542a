"""Scores of simulated finalists: seeds scatter, and sequences are easy or hard for all of them.

The sizes are those of reviews at an accuracy of 0.9: two seeds of one configuration disagree on 7 % of them.
"""

from collections.abc import Sequence

import numpy as np

SEEDS = 0.0045  # the deviation between seeds of one configuration on endless sequences
SEQUENCES = 2500  # that the confirmation split stands for


def simulated(
    rng: np.random.Generator,
    true: Sequence[float],
    *,
    seeds: int | Sequence[int],
    n: int = 200,
    deviation: float = SEEDS,
) -> list[np.ndarray]:
    """`(n_seeds, n)` scores of every configuration, whose means are `true` over endless seeds and sequences.

    They are `n` sequences that each stand for several, so that a simulation of thousands takes no time: the mean has
    the variance of 2,500 sequences' mean.
    """
    counts = [seeds] * len(true) if isinstance(seeds, int) else seeds
    few = (n / SEQUENCES) ** 0.5
    difficulty = rng.normal(0, 0.226 * few, n)
    return [
        each
        + rng.normal(0, deviation, (count, 1))
        + difficulty
        + rng.normal(0, 0.06 * few, n)
        + rng.normal(0, 0.187 * few, (count, n))
        for each, count in zip(true, counts, strict=True)
    ]
