"""What earlier runs say of every recorded configuration: a prior that a replayed search weighs beside its own trials.

Hvarfner et al. (2022, arXiv:2204.11051) multiply what a sampler thinks of a configuration by its prior to a power that
falls with the number of trials, so that a prior that misleads is forgotten. Here the prior is what TPE thinks after the
earlier run, so both are logarithms of ratios of densities and add up.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from tuner.search.sampler import make_sampler
from tuner.settings.config import SamplerName, make_config

from .acquisition import Acquisition
from .starters import other_tables, own_values
from .table import Table
from .tabular import Recorded, distributions_of

# Of so many trials the prior alone decides; the weight is 1 for the next one, a half after twice as many.
PRIOR_TRIALS = 5

Prior = Callable[[Table], NDArray[np.float64]]


def weighed(prior: NDArray[np.float64], trials: int) -> NDArray[np.float64]:
    """What a prior counts beside a sampler that has learned from so many trials."""
    return prior * PRIOR_TRIALS / max(trials, PRIOR_TRIALS)


@lru_cache
def of_same(table: Table) -> NDArray[np.float64]:
    """After a run that had tried all of the table: the most that one can hope for."""
    return _learned(table, zip(table.parameters, _scores(table), strict=True))


@lru_cache
def misleading(table: Table) -> NDArray[np.float64]:
    """After a run where the worst was best."""
    return _learned(table, zip(table.parameters, -_scores(table), strict=True))


@lru_cache
def of_others(table: Table) -> NDArray[np.float64]:
    """After runs that had tried all of each other table, as far as it lies in this space; by their ranks there."""
    trials: list[tuple[Mapping[str, Any], float]] = []
    for other in other_tables(table):
        ranks = np.argsort(np.argsort(_scores(other))) / (other.n_configurations - 1)
        for number, rank in enumerate(ranks):
            if values := own_values(other, number, table):
                trials.append((values, float(rank)))
    return _learned(table, trials)


def _scores(table: Table) -> NDArray[np.float64]:
    """Of each configuration the mean accuracy of its seeds on the whole pool, after its best epoch."""
    accuracy = table.right[:, :, list(table.epoch_points)].mean(axis=3)
    return np.asarray(accuracy.max(axis=2).mean(axis=1))


def _learned(
    table: Table, trials: Iterable[tuple[Mapping[str, Any], float]]
) -> NDArray[np.float64]:
    """What TPE thinks of each configuration, `(n,)`, after trials with these values of parameters and these scores."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for values, score in trials:
        distributions = distributions_of(table.space, values)
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(values), distributions=distributions, value=float(score)
            )
        )
    objectives = make_config({"space": table.space}).compared_by
    recorded = Recorded(table.space, table.parameters)
    sampler = make_sampler(SamplerName.TPE, objectives, number=0, seed=0, workers=1)
    acquisition = Acquisition(sampler, recorded.columns)
    study.sampler = sampler
    recorded.ask(study.ask())
    return acquisition.scores(np.arange(table.n_configurations))
