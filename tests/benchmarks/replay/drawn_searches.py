"""The end of searches drawn from recorded trainings: the scores of trials, and the average of the best of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tuner.run.score_errors import ValidationRows, score_error
from tuner.search.ensemble import measured
from tuner.search.kept_models import KeptModel
from tuner.search.reference_member import mixed
from tuner.training.evaluation import mean_probabilities
from tuner.training.spec import HeldOutFigures, TrainedModel

from .drawn_confirmations import searched_trials, trial_record
from .population import Population, Rows
from .statements import Statement, in_errors, in_interval


def statements(
    population: Population,
    rng: np.random.Generator,
    *,
    rows: int,
    validation: int = 800,
    trials: int = 10,
    members: int = 5,
) -> Iterator[Statement]:
    """What tuner states about the end of one drawn search.

    Args:
        rows: of the confirmation split.
        validation: rows that score the trials.
        trials: each of a configuration of its own.
        members: the best trials, that are averaged.
    """
    metric, every = population.metric, population.every
    validates, confirms = population.rows(rng, validation), population.rows(rng, rows)
    configurations = rng.permutation(population.table.n_configurations)[:trials]
    tried = searched_trials(population, configurations, validates, rng)
    model, score = tried[0]
    truth = population.truths[model.configuration, model.seed, model.epoch]
    error = score_error(trial_record(0, score, model), metric.name, ValidationRows(validation))
    if error is not None:
        yield in_errors("score of any trial", score, error, truth)
    best = sorted(tried, key=lambda each: metric.as_cost(each[1]))[:members]
    kept = [
        KeptModel(
            cost=metric.as_cost(score),
            trial=number,
            score=score,
            epoch=model.epoch + 1,
            weights=1,
            seconds_per_text=None,
            probabilities=population.probabilities(model, confirms),
            validation=None,
        )
        for number, (model, score) in enumerate(best)
    ]
    record = measured(
        kept,
        (),
        population.labels[confirms],
        np.arange(rows),
        metric,
        _reference(population, confirms),
    )
    of_all = mean_probabilities([population.probabilities(model, every) for model, _ in best])
    truth, (first, _) = population.score(of_all, every), best[0]
    single = population.truths[first.configuration, first.seed, first.epoch]
    yield in_interval("score of the ensemble", record.low, truth, record.high)
    gain = metric.gain(truth, over=single)
    yield in_interval("gain of the ensemble", record.gain_low, gain, record.gain_high)
    found = record.with_reference
    if found is not None and found.weight and population.reference is not None:
        together = population.score(mixed(of_all, population.reference, found.weight), every)
        yield in_interval("score with the reference", found.low, together, found.high)
        gain = metric.gain(together, over=truth)
        yield in_interval("gain by the reference", found.gain_low, gain, found.gain_high)


def _reference(population: Population, rows: Rows) -> TrainedModel | None:
    """The recorded one with its answers on `rows`; its weights are not asked for."""
    if population.reference is None:
        return None
    answers: NDArray[np.float32] = population.reference[rows]
    nothing = HeldOutFigures(epoch=1, loss=0.0, accuracy=0.0, f1=0.0)
    return TrainedModel(nothing, answers, weights=(np.zeros(1),), vocabulary_size=1)
