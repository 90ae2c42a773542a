"""The gap between a finalist's score in the search and its mean on sequences that the search never saw.

It is not luck alone. A part is that of the seed and of having been chosen as the best of many: fresh seeds reach less
on the same validation split. The rest is that of other sequences: the split may be harder, and the epoch was chosen on
the validation split. Each part comes with its standard error, which is often as large. Must not import Ray or Keras.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.settings.metric import Metric
from tuner.training.variance import SeedVariance, seed_part


@dataclass(frozen=True)
class Estimate:
    """A figure in units of the metric, with its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Gap:
    """By how much the search's score looked better, and what of it fresh seeds explain.

    Attributes:
        whole: the search's score over the mean of fresh seeds on the confirmation split.
        of_selection: the search's score over what fresh seeds reach on the validation split; None where they learned
            from that split, where it is not what scored the search's trial, and where no finalist has two seeds.
        of_rows: the rest of `whole`; None with `of_selection`.
    """

    whole: Estimate
    of_selection: Estimate | None = None
    of_rows: Estimate | None = None


def gap_of(
    search_score: float,
    scores: NDArray[np.float64],
    validated: Sequence[float],
    *,
    metric: Metric,
    seeds: SeedVariance | None,
    deviation: float | None,
    n_validation: int,
) -> Gap:
    """The gap of one finalist.

    Args:
        search_score: its score in the search, on the rows that validated it.
        scores: `(n_seeds, n_sequences)` on the confirmation split, of each sequence what `sequence_scores` gives.
        validated: the scores of the same seeds on the validation split; none where they learned from it, or the search
            scored the trial on other rows.
        metric: of all these.
        seeds: the variance between its seeds, see `moderated`.
        deviation: between seeds on the validation split, see `deviation_of`.
        n_validation: sequences of the validation split, of which the scores scatter as on the confirmation split.
    """
    n = scores.shape[1]
    of_average = float(scores.mean(axis=0).var(ddof=1)) if n > 1 else 0.0
    of_single = float(scores.var(axis=1, ddof=1).mean()) if n > 1 else 0.0
    sampled = of_average / n + of_single / n_validation + seed_part(seeds, len(scores)).variance
    mean = float(scores.mean())
    whole = Estimate(metric.gain(search_score, over=mean), math.sqrt(sampled))
    if not validated or deviation is None:
        return Gap(whole)
    on_validation = float(np.mean(validated))
    return Gap(
        whole,
        Estimate(
            metric.gain(search_score, over=on_validation), deviation / math.sqrt(len(validated))
        ),
        Estimate(
            metric.gain(on_validation, over=mean),
            math.sqrt(of_average / n + of_average / n_validation),
        ),
    )


def deviation_of(validated: Sequence[Sequence[float]]) -> float | None:
    """The deviation between seeds of one finalist, from all finalists together; None where none has two."""
    degrees = sum(max(0, len(each) - 1) for each in validated)
    if not degrees:
        return None
    squares = sum(
        float(((np.array(each) - np.mean(each)) ** 2).sum()) for each in validated if each
    )
    return math.sqrt(squares / degrees)
