"""The gap between search and confirmation of trials that nothing chose, and its stated standard errors."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.finalists.gap import Estimate

from .drawn_confirmations import Confirmation
from .population import Population
from .statements import Statement, in_errors

_SETS = 400  # of validation rows


@dataclass(frozen=True, eq=False)
class ExpectedScores:
    """Of each model's best epoch by validation rows, averaged over sets of these, `(n, n_seeds)`.

    Args:
        searched: the score on the rows that chose the epoch.
        true: that on all rows.
    """

    searched: NDArray[np.float64]
    true: NDArray[np.float64]


def expected_scores(population: Population, validation: int, seed: int = 0) -> ExpectedScores:
    """Over sets of so many validation rows."""
    rng = np.random.default_rng(seed)
    sets = [population.rows(rng, validation) for _ in range(_SETS)]
    n, n_seeds, _ = population.truths.shape
    searched, true = np.zeros((n, n_seeds)), np.zeros((n, n_seeds))
    for configuration in range(n):
        every = np.arange(n_seeds)
        for rows in sets:
            scores = population.scores(configuration, rows)
            epochs = population.best_epochs(scores)
            searched[configuration] += scores[every, epochs] / _SETS
            true[configuration] += population.truths[configuration, every, epochs] / _SETS
    return ExpectedScores(searched, true)


def statements(
    population: Population, drawn: Confirmation, expected: ExpectedScores
) -> Iterator[Statement]:
    """What tuner states about the gaps of finalists that are any trials."""
    gain = population.metric.gain
    for each in drawn.finalists:
        model = drawn.searched[each.record.number]
        fresh = drawn.fresh[each.record.number]
        of_trial = expected.searched[model.configuration, model.seed]
        of_seeds = float(expected.searched[model.configuration].mean())
        true = float(expected.true[model.configuration].mean())
        yield _near("gap", each.gap.whole, gain(of_trial, over=true))
        if each.gap.of_selection is not None and each.gap.of_rows is not None:
            selected = gain(each.search_score, over=fresh)
            yield _near("gap of selection", each.gap.of_selection, selected)
            yield _near("gap of rows", each.gap.of_rows, gain(of_seeds, over=true))


def _near(kind: str, estimate: Estimate, truth: float) -> Statement:
    return in_errors(kind, estimate.value, estimate.error, truth)
