"""Confirmations drawn from recorded trainings, ranked by tuner, and which of its statements about them are true."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.finalists.finalist import Finalist, ModelFile
from tuner.finalists.ranking import rank
from tuner.run.records import TrialRecord
from tuner.run.requested_trainings import MARGIN
from tuner.run.trial_status import TrialStatus
from tuner.training.evaluation import mean_probabilities
from tuner.training.statistics import HeldOutRows, Spread, spread_of

from .population import Model, Population, Rows
from .statements import Statement, in_interval

FIRST = "score of the first finalist"
NOBODY = "of equal finalists nobody is told apart"
_ROUNDING = 1e-9  # of a score


class Choice(StrEnum):
    """The trials that are confirmed."""

    BEST = "best of a search"  # by their scores on validation rows
    EQUAL = "one configuration"  # under several numbers
    ANY = "any trials"


@dataclass(frozen=True)
class Setting:
    """The size of a confirmation."""

    choice: Choice
    finalists: int
    seeds: int
    rows: int
    validation: int = 800  # rows
    trials: int = 6  # of the search, each of a configuration of its own
    copies: int = 1  # of a text, at most; they form a cluster

    def __str__(self) -> str:
        """For a table."""
        of_copies = f", up to {self.copies} copies" if self.copies > 1 else ""
        return f"{self.choice}, {self.finalists} x {self.seeds} seeds, {self.rows} rows{of_copies}"


@dataclass(frozen=True, eq=False)
class DrawnMember(ModelFile):
    """A model of a finalist, whose answers on the confirmation rows are in memory."""

    answers: NDArray[np.float32] | None = None
    drawn: Model | None = None

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """See `ModelFile`."""
        assert self.answers is not None
        return self.answers


@dataclass(frozen=True, eq=False)
class Confirmation:
    """One that was drawn.

    Args:
        finalists: as tuner ranks them.
        truths: of each trial, the mean score on all rows over all seeds, each with the epoch that the validation rows
            choose; of finalists with one seed, of that model.
        fresh: of each trial, the mean score of all seeds on the validation rows.
        searched: of each trial, the model that the search had.
    """

    setting: Setting
    finalists: Sequence[Finalist]
    truths: dict[int, float]
    fresh: dict[int, float]
    searched: dict[int, Model]


def confirmation(
    population: Population, setting: Setting, rng: np.random.Generator
) -> Confirmation:
    """Draws rows, a search's trials and the seeds of its finalists, and has tuner rank them."""
    validation = population.rows(rng, setting.validation)
    rows, clusters = _confirmation_rows(population, setting, rng)
    metric, n_seeds = population.metric, population.table.n_seeds
    chosen = _chosen(population, setting, validation, rng)
    trained, truths, fresh = [], {}, {}
    for number, (searched, score) in enumerate(chosen):
        configuration = searched.configuration
        scores = population.scores(configuration, validation)
        epochs = population.best_epochs(scores)
        seeds = rng.integers(n_seeds, size=setting.seeds)
        models = [Model(configuration, int(seed), int(epochs[seed])) for seed in seeds]
        members = []
        for place, model in enumerate(models):
            answers = population.probabilities(model, rows)
            members.append(
                DrawnMember(
                    seed=place,
                    file=Path("none"),
                    score=population.score(answers, rows),
                    validated=float(scores[model.seed, model.epoch]),
                    answers=answers,
                    drawn=model,
                )
            )
        trained.append((trial_record(number, score, searched), members))
        every = np.arange(n_seeds) if setting.seeds > 1 else seeds
        truths[number] = float(population.truths[configuration, every, epochs[every]].mean())
        fresh[number] = float(scores[np.arange(n_seeds), epochs].mean())
    finalists = rank(
        trained,
        HeldOutRows(metric, population.labels[rows], clusters),
        margin=MARGIN,
        n_validation=setting.validation,
    )
    searched_by = {number: searched for number, (searched, _) in enumerate(chosen)}
    return Confirmation(setting, finalists, truths, fresh, searched_by)


def trial_record(number: int, score: float, model: Model) -> TrialRecord:
    """The record of a search's trial."""
    return TrialRecord(
        number=number,
        status=TrialStatus.COMPLETE,
        architecture="lstm",
        parameters={},
        curve={},
        best_epoch=model.epoch + 1,
        score=score,
        baseline=False,
        retry_of=None,
        seed=model.seed,
        host=None,
        device=None,
        weights=None,
        started=None,
        ended=None,
        error=None,
    )


def searched_trials(
    population: Population, configurations: NDArray[np.int64], rows: Rows, rng: np.random.Generator
) -> list[tuple[Model, float]]:
    """Each configuration trained with some seed: the model of its best epoch, and the score of that on `rows`."""
    trials = []
    for configuration in configurations:
        seed = rng.integers(population.table.n_seeds, size=1)
        scores = population.scores(int(configuration), rows, seed)
        epoch = int(population.best_epochs(scores)[0])
        trials.append((Model(int(configuration), int(seed[0]), epoch), float(scores[0, epoch])))
    return trials


def _chosen(
    population: Population, setting: Setting, validation: Rows, rng: np.random.Generator
) -> list[tuple[Model, float]]:
    """The finalists' trials and their scores, best first."""
    order = rng.permutation(population.table.n_configurations)
    if setting.choice is Choice.EQUAL:
        configurations = np.repeat(order[:1], setting.finalists)
    elif setting.choice is Choice.ANY:
        configurations = order[: setting.finalists]
    else:
        configurations = order[: setting.trials]
    trials = searched_trials(population, configurations, validation, rng)
    as_cost = population.metric.as_cost
    return sorted(trials, key=lambda each: as_cost(each[1]))[: setting.finalists]


def _confirmation_rows(
    population: Population, setting: Setting, rng: np.random.Generator
) -> tuple[Rows, NDArray[np.int64]]:
    """Rows, and their clusters: of each text one to `copies` of them."""
    texts = population.rows(rng, setting.rows)
    copies = rng.integers(1, setting.copies + 1, size=setting.rows)
    return np.repeat(texts, copies), np.repeat(np.arange(setting.rows), copies)


def statements(population: Population, drawn: Confirmation) -> Iterator[Statement]:
    """What tuner states about a confirmation."""
    first, *others = drawn.finalists
    yield _score(FIRST, drawn, first, first.spread)
    named = _named_beforehand(population, first)
    yield _score("(the first, had it been named beforehand)", drawn, first, named)
    for other in others:
        yield _score("score of another finalist", drawn, other, other.spread)
    if all(each.deficit is not None for each in drawn.finalists):
        yield from _deficits(population, drawn)
    if first.average is not None:
        gain = first.average.gain
        truth = _gain_of_average(population, first)
        yield in_interval("gain of all its seeds averaged", gain.low, truth, gain.high)


def _score(kind: str, drawn: Confirmation, finalist: Finalist, spread: Spread) -> Statement:
    number = finalist.record.number
    configuration = drawn.searched[number].configuration
    return in_interval(
        kind, spread.low, drawn.truths[number], spread.high, configuration=configuration
    )


def _named_beforehand(population: Population, first: Finalist) -> Spread:
    """Its interval without the correction for having come first."""
    is_share = population.metric.name.is_share
    return spread_of(first.scores, most=1.0 if is_share else math.inf, seeds=first.seeds)


def _deficits(population: Population, drawn: Confirmation) -> Iterator[Statement]:
    deficits = {each.record.number: each.deficit for each in drawn.finalists if each.deficit}
    if drawn.setting.choice is Choice.EQUAL:
        yield Statement(NOBODY, all(each.at_least == 0 for each in deficits.values()))
        return
    gain, best = population.metric.gain, population.metric.best(drawn.truths.values())
    worse = {number: gain(best, over=truth) for number, truth in drawn.truths.items()}
    at_least = (each.at_least <= worse[number] + _ROUNDING for number, each in deficits.items())
    at_most = (each.at_most >= worse[number] - _ROUNDING for number, each in deficits.items())
    yield Statement("all are worse by what is stated at least", all(at_least))
    yield Statement("all are worse by what is stated at most", all(at_most))


def _gain_of_average(population: Population, finalist: Finalist) -> float:
    """On all rows, of these very models."""
    drawn = [each.drawn for each in finalist.members if isinstance(each, DrawnMember)]
    every = population.every
    answers = [population.probabilities(model, every) for model in drawn if model is not None]
    averaged = population.score(mean_probabilities(answers), every)
    singles = [population.score(each, every) for each in answers]
    return population.metric.gain(averaged, over=float(np.mean(singles)))
