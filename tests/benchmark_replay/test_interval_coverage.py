"""Statements about confirmations and searches that are drawn from made trainings, of which the truth is known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from benchmarks.replay import drawn_confirmations, drawn_gaps, drawn_searches
from benchmarks.replay.drawn_confirmations import FIRST, NOBODY, Choice, Setting, confirmation
from benchmarks.replay.population import Model, Population, Rows
from benchmarks.replay.recorded_reference import RecordedReference
from benchmarks.replay.statements import Statement, Tally, in_errors, in_interval
from benchmarks.replay.table import Table
from support.replay_tables import made_table

from tuner.settings.metric import Metric, MetricName, Mode

SEEDS, POOL = 12, 1500
SMALL = Setting(Choice.BEST, finalists=3, seeds=2, rows=300, validation=200, trials=4)


def table() -> Table:
    """Five configurations of two epochs with seeds that scatter, on rows of which some are hard for all of them."""
    rng = np.random.default_rng(0)
    made = made_table(np.full((5, 2), 0.7), n_pool=POOL)
    labels = rng.integers(0, 2, POOL)
    scores = (
        rng.normal(1.0, 0.1, (5, 1, 1, 1))
        + rng.normal(0, 0.1, (5, SEEDS, 1, 1))
        + rng.normal(0, 1.0, POOL)
        + rng.normal(0, 0.5, (5, SEEDS, 2, POOL))
    )
    sides = np.where(labels, 1, -1)
    of_second = (1 / (1 + np.exp(-scores * sides))).astype(np.float16)
    of_reference = 1 / (1 + np.exp(-rng.normal(1.0, 1.0, POOL) * sides))
    return replace(
        made,
        right=(of_second > 0.5) == labels,
        probabilities=of_second,
        labels=labels,
        reference=RecordedReference(of_reference.astype(np.float16), 1.0),
    )


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(table())


def counted(population: Population, setting: Setting, draws: int = 120) -> dict[str, float]:
    """How many of 100 statements of each kind are true."""
    tally, rng = Tally(), np.random.default_rng(1)
    for _ in range(draws):
        drawn = confirmation(population, setting, rng)
        tally.add(drawn_confirmations.statements(population, drawn))
    return {str(row["statement"]): float(str(row["true"])) for row in tally.rows()}


@pytest.mark.parametrize(
    "metric",
    [Metric(), Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN), Metric(name=MetricName.VAL_F1)],
)
def test_scores_are_those_of_the_probabilities(metric: Metric) -> None:
    population = Population(table(), metric)
    rows = np.array([5, 5, 7, 1000])

    scores = population.scores(2, rows, np.array([3]))

    expected = [
        population.score(population.probabilities(Model(2, 3, e), rows), rows) for e in (0, 1)
    ]
    assert scores[0].tolist() == pytest.approx(expected)
    assert population.best_epochs(scores)[0] == metric.best_epoch(dict(enumerate(expected)))


def test_truth_is_the_mean_over_all_seeds_with_the_epochs_that_validation_rows_choose(
    population: Population,
) -> None:
    drawn = confirmation(population, SMALL, np.random.default_rng(3))

    validation = population.rows(np.random.default_rng(3), SMALL.validation)
    number, model = next(iter(drawn.searched.items()))
    right = population.table.right[model.configuration]
    epochs = right[..., validation].mean(axis=2).argmax(axis=1)
    of_seeds = [right[seed, epoch].mean() for seed, epoch in enumerate(epochs)]
    assert drawn.truths[number] == pytest.approx(np.mean(of_seeds))


def test_truth_of_finalists_with_one_seed_is_that_of_their_model(population: Population) -> None:
    drawn = confirmation(population, replace(SMALL, seeds=1), np.random.default_rng(3))

    for each in drawn.finalists:
        model = each.members[0].drawn
        right = population.table.right[model.configuration, model.seed, model.epoch]
        assert drawn.truths[each.record.number] == pytest.approx(right.mean())


@pytest.mark.slow
def test_statements_about_drawn_confirmations_are_true_as_often_as_stated(
    population: Population,
) -> None:
    best = counted(population, SMALL)
    equal = counted(population, replace(SMALL, choice=Choice.EQUAL))
    copies = counted(population, replace(SMALL, copies=5))

    assert min(best[FIRST], equal[FIRST], copies[FIRST]) >= 90
    assert equal[NOBODY] >= 92
    assert min(best.values()) >= 88  # with the first that was not corrected


@dataclass(frozen=True, eq=False)
class _Repeated(Population):
    """Draws every row six times, which nobody is told."""

    def rows(self, rng: np.random.Generator, count: int) -> Rows:
        return np.repeat(super().rows(rng, count // 6), 6)


def test_intervals_that_are_too_narrow_are_seen() -> None:
    found = counted(_Repeated(table()), replace(SMALL, seeds=5), draws=60)
    assert found[FIRST] < 80


def test_every_figure_of_a_search_and_every_gap_is_checked(population: Population) -> None:
    rng = np.random.default_rng(0)
    of_search = [drawn_searches.statements(population, rng, rows=300) for _ in range(5)]
    kinds = {each.kind for found in of_search for each in found}
    expected = drawn_gaps.expected_scores(population, SMALL.validation)
    drawn = confirmation(population, replace(SMALL, choice=Choice.ANY), rng)
    gaps = list(drawn_gaps.statements(population, drawn, expected))

    assert kinds == {
        "score of any trial",
        "score of the ensemble",
        "gain of the ensemble",
        "score with the reference",
        "gain by the reference",
    }
    assert {each.kind for each in gaps} == {"gap", "gap of selection", "gap of rows"}
    assert all(abs(each.errors) < 6 for each in gaps)


def test_tally_tells_where_the_truth_lay_and_how_sure_the_share_is() -> None:
    tally = Tally()
    tally.add([in_interval("gain", 0.1, 0.2, 0.3), in_interval("gain", 0.1, 0.4, 0.3)])
    tally.add([in_interval("gain", 0.1, 0.0, 0.3), in_interval("gain", 0.1, 0.3, 0.3)])
    tally.add([in_errors("gap", 0.5, 0.1, 0.2), in_errors("gap", 0.5, 0.1, 0.6)])
    tally.add([Statement("nobody", is_true=True)])

    gain, gap, nobody = tally.rows()
    assert (gain["drawn"], gain["true"], gain["above"], gain["below"]) == (
        4,
        "50.00",
        "25.00",
        "25.00",
    )
    assert (gain["low"], gain["high"]) == ("15.00", "85.00")  # Wilson's of 2 of 4
    assert (gap["true"], gap["below"], gap["errors"]) == ("50.00", "50.00", "2.24")
    assert nobody["half"] == nobody["above"] == ""
