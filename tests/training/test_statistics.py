"""Intervals, ties and the contribution of each sequence to a metric."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.simulated_scores import simulated

from tuner.settings.metric import Metric, MetricName, Mode
from tuner.training.confusion import Confusion
from tuner.training.evaluation import mean_probabilities
from tuner.training.statistics import (
    Gain,
    HeldOutRows,
    Spread,
    deciding_in,
    gain_of,
    sequence_scores,
    spread_of,
)
from tuner.training.variance import (
    SeedVariance,
    half_width,
    moderated,
    paired_part,
    pooled_seed_variance,
    seed_part,
    standard_error,
    t_quantile,
)


def test_the_interval_of_a_gain_holds_the_truth_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        difficulty = rng.random(500)
        one, other = (
            (difficulty + rng.normal(0, 0.1, 500) < reached).astype(float)
            for reached in (0.82, 0.8)
        )
        gain = gain_of(one, other, Metric())
        held += gain.low <= 0.02 <= gain.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_gain_is_positive_where_the_first_is_better_whatever_the_metric() -> None:
    better, worse = np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    assert gain_of(better, worse, Metric()).mean == 0.25
    loss = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
    assert gain_of(better, worse, loss).mean == -0.25
    same = gain_of(better, better, loss)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


@pytest.mark.parametrize(("n", "deciding", "half"), [(20, None, 0.1611), (2000, 40, 0.0876)])
def test_that_nothing_differs_shows_only_that_further_sequences_rarely_will(
    n: int, deciding: int | None, half: float
) -> None:
    """Wilson's upper end of none in so many."""
    right = (np.arange(n) % 4 > 0).astype(float)
    same = gain_of(right, right, Metric(), deciding=deciding)
    assert (same.mean, same.low, same.high) == pytest.approx((0, -half, half), abs=1e-4)
    other = right.copy()
    other[0] = 1.0
    assert gain_of(other, right, Metric()).low < -(1.96**2) / (n + 1.96**2)  # one is less evidence


def test_a_gain_leaves_out_what_being_chosen_was_worth_whatever_the_metric() -> None:
    better, worse = np.array([1.0, 1.0, 0.0, 1.0] * 50), np.array([1.0, 0.0, 0.0, 1.0] * 50)
    for metric in (Metric(), Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)):
        raw, left = (gain_of(better, worse, metric, excess=excess) for excess in (0, 0.01))
        shifted = (raw.mean - 0.01, raw.low - 0.01, raw.high - 0.01)
        assert (left.mean, left.low, left.high) == pytest.approx(shifted)


def test_shares_of_few_sequences_differ_by_at_most_one() -> None:
    right, wrong = np.ones(6), np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    gain = gain_of(wrong, right, Metric())
    assert (gain.mean, gain.low) == (-0.5, -1)
    assert gain_of(right, wrong, Metric()).high == 1
    loss = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
    assert gain_of(right, wrong, loss).low < -1  # a loss has no such end


def test_the_interval_holds_the_truth_in_95_of_100_cases_and_pooled_seeds_make_it_narrow() -> None:
    rng = np.random.default_rng(0)
    held, pooled_width, own_width = 0, 0.0, 0.0
    for _ in range(1000):
        scores = simulated(rng, [0.9] * 5, seeds=2)
        pooled = spread_of(scores[0], seeds=pooled_seed_variance(scores))
        own = spread_of(scores[0])
        held += pooled.low <= 0.9 <= pooled.high
        pooled_width += pooled.high - pooled.low
        own_width += own.high - own.low
    assert 0.93 <= held / 1000 <= 0.97
    assert pooled_width < 0.9 * own_width


def test_a_finalist_of_one_seed_has_the_variance_of_the_others_seeds() -> None:
    rng = np.random.default_rng(1)
    held = without = 0
    for _ in range(500):
        scores = simulated(rng, [0.9] * 4, seeds=[1, 3, 3, 3])
        spread = spread_of(scores[0], seeds=pooled_seed_variance(scores))
        alone = spread_of(scores[0])
        held += spread.low <= 0.9 <= spread.high
        without += alone.low <= 0.9 <= alone.high
    assert 0.93 <= held / 500 <= 0.97
    assert without / 500 < 0.91  # its own model is sure, other seeds are not


def test_the_pooled_variance_is_that_of_the_two_way_table() -> None:
    """Two configurations of two seeds and three sequences, by hand."""
    one = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])  # means 2/3 and 1/3: squares 1/18
    two = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]])  # equal seeds: nothing
    pooled = pooled_seed_variance([one, two, np.ones((1, 3))])
    assert pooled is not None
    assert pooled.degrees == 2
    assert pooled.mean_square == pytest.approx(1 / 36)
    # The residuals of `one` are 1/6, 1/6 and 1/3: 1/3 in squares, over 2 * 2 degrees, of a mean over 3.
    assert pooled.variance == pytest.approx(1 / 36 - 1 / 36)
    assert pooled_seed_variance([np.ones((1, 3)), np.zeros((1, 3))]) is None


def test_a_moderated_variance_counts_that_of_all_for_two_degrees_of_freedom() -> None:
    pooled = SeedVariance(variance=1.0, mean_square=2.0, degrees=12)
    own = SeedVariance(variance=5.0, mean_square=6.0, degrees=2)
    assert moderated(own, pooled) == SeedVariance(3.0, 4.0, 4)
    assert moderated(own, own) == own  # nobody else has seeds
    assert moderated(None, pooled) == pooled


def test_more_seeds_do_not_remove_the_uncertainty_of_the_sequences() -> None:
    rng = np.random.default_rng(1)
    few, many = (spread_of(simulated(rng, [0.88], seeds=seeds)[0]) for seeds in (2, 40))
    assert few.high - few.low > many.high - many.low > 2 * 1.96 * 0.9 * 0.22 / 2500**0.5


def test_a_single_seed_has_no_deviation_but_an_interval() -> None:
    accuracy = spread_of(np.array([[1.0] * 90 + [0.0] * 10]))
    assert accuracy.deviation is None
    assert accuracy.mean == pytest.approx(0.9)
    # Wilson's by hand: z² / n is 0.0384.
    assert (accuracy.low, accuracy.high) == pytest.approx((0.8256, 0.9448), abs=5e-4)


@pytest.mark.parametrize(("n", "least"), [(50, 0.91), (100, 0.92), (250, 0.93)])
def test_the_interval_of_one_model_holds_also_on_few_sequences_and_near_1(
    n: int, least: float
) -> None:
    """Exact, over every number of hits; Wald's falls to 0.80."""
    spreads = [spread_of((np.arange(n) < hits).astype(float)[None]) for hits in range(n + 1)]
    low, high = (np.array([getattr(each, end) for each in spreads]) for end in ("low", "high"))
    hits = np.arange(n + 1)
    ways = np.array([math.comb(n, each) for each in range(n + 1)], dtype=float)
    coverages = []
    for true in np.linspace(0.8, 0.98, 91):
        chance = ways * true**hits * (1 - true) ** (n - hits)
        coverages.append(chance[(low <= true) & (true <= high)].sum())
    assert min(coverages) >= least
    assert 0.94 <= np.mean(coverages) <= 0.97


def test_the_interval_does_not_jump_where_every_answer_is_right() -> None:
    all_right, one_wrong = (spread_of((np.arange(400) < hits)[None] * 1.0) for hits in (400, 399))
    assert all_right.high == 1.0
    assert all_right.low == pytest.approx(400 / (400 + 1.96**2), abs=1e-4)
    assert one_wrong.low < all_right.low < one_wrong.low + 0.006


@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 2**31))
@example(4, 3, 41735)
def test_an_interval_holds_its_mean_and_lies_in_its_bounds(seeds: int, n: int, seed: int) -> None:
    scores = (np.random.default_rng(seed).random((seeds, n)) < 0.7).astype(float)
    accuracy = spread_of(scores)
    assert 0 <= accuracy.low <= accuracy.mean <= accuracy.high <= 1


def test_noise_that_explains_the_scatter_of_seeds_leaves_an_interval_with_ends() -> None:
    """Of the seeds' variance nothing is left but a rounding error, whose degrees of freedom are none."""
    scores = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]], float)
    seeds = pooled_seed_variance([scores])
    assert seeds is not None
    assert seeds.variance == pytest.approx(0, abs=1e-15)
    error, degrees = standard_error(seed_part(seeds, 4))
    assert (error, degrees) == pytest.approx((math.sqrt(seeds.mean_square / 4), 3))
    spread = spread_of(scores, most=2.0)
    assert spread.high == pytest.approx(0.5 + 3.182 * error, abs=1e-3)
    for left in (1e-30, 1e-6, 1e-3, 0.02, 0.1):
        width = half_width(*standard_error(seed_part(replace(seeds, variance=left), 4)))
        assert width <= spread.high - 0.5 + 1e-9


def test_where_every_answer_was_right_the_next_one_may_be_wrong() -> None:
    assert spread_of(np.ones((2, 30))).low < 0.95
    assert spread_of(np.zeros((1, 30))).high > 0.05


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_an_error_of_one_seed_makes_no_interval_narrower_than_that_of_no_error(
    seeds: int,
) -> None:
    scores, alike = np.ones((seeds, 1000)), SeedVariance(0.0, 0.0, 1)
    lows = [spread_of(scores, seeds=alike).low]
    for error in range(6):  # each in a sequence of its own
        scores[error % seeds, error] = 0
        lows.append(spread_of(scores, seeds=alike).low)
    assert lows == sorted(lows, reverse=True)


def test_what_coming_first_was_worth_makes_no_interval_of_no_error_narrower() -> None:
    all_right, seeds = np.ones((5, 1000)), SeedVariance(1e-7, 1e-7, 8)
    named, first = (spread_of(all_right, seeds=seeds, excess=excess) for excess in (0, 2e-4))
    assert first.low <= named.low == spread_of(all_right).low


def test_few_errors_of_several_seeds_leave_an_interval_that_holds() -> None:
    """On 200 sequences, half of the errors shared by all seeds: 91 of 100 intervals held it before."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        shared, own = rng.random(200) < 0.005, rng.random((5, 200)) < 1 - 0.99 / 0.995
        spread = spread_of((~shared & ~own).astype(float))
        held += spread.low <= 0.99 <= spread.high
    assert held / 400 >= 0.94


RARE = (np.arange(1000) < 8).astype(np.int32)  # 8 of the second class
OF_RARE = [MetricName.VAL_F1, MetricName.VAL_F1_POSITIVE, MetricName.VAL_BALANCED_ACCURACY]


def spread_with(metric: MetricName, right: np.ndarray) -> Spread:
    """Of a model of two classes that is right on these of the sequences."""
    sure = np.eye(2, dtype=np.float32)[np.where(right, RARE, 1 - RARE)]
    deciding = deciding_in(metric, RARE, np.arange(1000))
    return spread_of(sequence_scores(metric, sure, RARE)[None], deciding=deciding)


@pytest.mark.parametrize("metric", OF_RARE)
def test_a_figure_of_a_rare_class_rests_on_its_sequences(metric: MetricName) -> None:
    lows = []
    for wrong in ([], [500], [500, 0], [500, 0, 1]):  # one of the frequent class, then rare ones
        right = np.ones(1000, bool)
        right[wrong] = False
        lows.append(spread_with(metric, right).low)
    assert lows[0] == pytest.approx(16 / (16 + 1.96**2), abs=1e-3)  # as of twice 8 sequences
    assert lows == sorted(lows, reverse=True)


@pytest.mark.parametrize("recall", [0.9, 0.97])
def test_the_interval_of_a_rare_class_holds_the_truth(recall: float) -> None:
    """It held 50 and 19 of 100 times: with no error among 8 sequences it was that of 1,000."""
    rng = np.random.default_rng(4)
    true = (recall + 0.98) / 2
    held = 0
    for _ in range(300):
        right = rng.random(1000) < np.where(RARE == 1, recall, 0.98)
        spread = spread_with(MetricName.VAL_BALANCED_ACCURACY, right)
        held += spread.low <= true <= spread.high
    assert held / 300 >= 0.93


def test_rare_classes_decide_by_their_clusters() -> None:
    every, labels = np.arange(1000), RARE
    assert deciding_in(MetricName.VAL_ACCURACY, labels, every) is None
    assert deciding_in(MetricName.VAL_LOSS, labels, every) is None
    for metric in OF_RARE:
        assert deciding_in(metric, labels, every) == 16
        assert deciding_in(metric, labels, every // 4) == 4  # eight rows, copies of two texts
        assert deciding_in(metric, (every % 2).astype(np.int32), every) == 1000
        assert (
            deciding_in(metric, labels, np.zeros(1000, np.int64)) == 16
        )  # of one group, rows count
    three = (every % 3).astype(np.int32)
    assert deciding_in(MetricName.VAL_F1, three, every) == 999
    nothing = np.zeros_like(labels)
    assert deciding_in(MetricName.VAL_F1_POSITIVE, nothing, every) == 1
    assert deciding_in(MetricName.VAL_F1_POSITIVE, 1 - labels, every) == 1000


def predicted(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes, and labels that they often miss."""
    labels = rng.choice(3, n, p=[0.6, 0.3, 0.1]).astype(np.int32)
    scores = rng.normal(0, 1, (n, 3))
    scores[np.arange(n), labels] += 1
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), labels


@given(st.integers(1, 60), st.integers(0, 2**31))
def test_the_mean_over_sequences_is_the_metric(n: int, seed: int) -> None:
    probabilities, labels = predicted(np.random.default_rng(seed), n)
    best = probabilities.argmax(axis=1)
    expected = {
        MetricName.VAL_ACCURACY: (best == labels).mean(),
        MetricName.VAL_LOSS: -np.log(probabilities[np.arange(n), labels].astype(float)).mean(),
        MetricName.VAL_F1: Confusion.of(labels, best, 3).macro_f1,
        MetricName.VAL_F1_POSITIVE: Confusion.of(labels, best, 3).f1_positive,
        MetricName.VAL_BALANCED_ACCURACY: Confusion.of(labels, best, 3).balanced_accuracy,
    }
    assert set(expected) == set(MetricName)
    for metric, value in expected.items():
        assert sequence_scores(metric, probabilities, labels).mean() == pytest.approx(value)


@pytest.mark.parametrize("metric", list(MetricName))
def test_the_interval_of_every_metric_is_as_wide_as_other_sequences_scatter(
    metric: MetricName,
) -> None:
    rng = np.random.default_rng(3)
    drawn = [sequence_scores(metric, *predicted(rng, 800)) for _ in range(400)]
    scatter = np.std([each.mean() for each in drawn])
    widths = [(s := spread_of(each[None], most=9.0)).high - s.low for each in drawn]
    assert np.mean(widths) / (2 * 1.96) == pytest.approx(scatter, rel=0.12)


def test_of_losses_a_few_large_differences_are_little_evidence() -> None:
    """They differ on every sequence, so a count of those that differ would be all of them."""
    rng = np.random.default_rng(2)
    difference = rng.normal(0, 1e-4, 2000)
    difference[:4] = 1.0
    part = paired_part(difference, MetricName.VAL_LOSS)
    assert part.variance**2 / part.uncertainty == pytest.approx(3, abs=0.01)
    hits = np.repeat([1.0, -1.0, 0.0], [30, 20, 1950])
    part = paired_part(hits, MetricName.VAL_ACCURACY)
    assert part.variance**2 / part.uncertainty == pytest.approx(49)


@pytest.mark.parametrize("metric", [Metric(), Metric(name=MetricName.VAL_F1)])
def test_a_model_surely_gains_nothing_over_itself_but_another_one_that_is_as_often_right_may(
    metric: Metric,
) -> None:
    labels = np.array([0, 1] * 10, np.int32)
    rows = HeldOutRows(metric, labels, np.arange(20))
    sure = np.eye(2, dtype=np.float32)[labels]
    unsure = 0.2 + 0.6 * sure
    assert rows.gain_of(sure, over=sure.copy()) == Gain(0.0, 0.0, 0.0)
    other = rows.gain_of(sure, over=unsure)
    assert other.mean == pytest.approx(0)
    assert -other.low == other.high == pytest.approx(1.96**2 / (20 + 1.96**2), abs=1e-3)


def test_an_ensemble_averages() -> None:
    members = [np.array([[0.2, 0.8]], np.float32), np.array([[0.6, 0.4]], np.float32)]
    assert mean_probabilities(members) == pytest.approx(np.array([[0.4, 0.6]]))


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    # From the tables of Student's t distribution; the last one is the normal distribution's.
    [(1, 12.7062), (2, 4.3027), (4, 2.7764), (30, 2.0423), (math.inf, 1.9600)],
)
def test_the_quantile_is_students_t(degrees: float, quantile: float) -> None:
    assert t_quantile(degrees) == pytest.approx(quantile, abs=5e-5)


def _models(
    rng: np.random.Generator, groups: int, size: int, within: float, count: int = 5
) -> list[NDArray[np.float32]]:
    """Models that are right on 0.8 of the rows of label 0, by a chance that a group's rows share in this part."""
    right = []
    for _ in range(count):
        of_group = rng.random(groups)[np.repeat(np.arange(groups), size)]
        is_shared = np.repeat(rng.random(groups) < within, size)
        right.append(np.where(is_shared, of_group, rng.random(groups * size)) < 0.8)
    return [np.stack([each, ~each], axis=1).astype(np.float32) for each in right]


@pytest.mark.parametrize(
    ("within", "expected"),
    # The design effect of half of the groups, whose rows are right or wrong together, is (1 + 20) / 2.
    [(0.0, 2000), (0.5, 2000 / 10.5), (1.0, 100)],
)
def test_the_effective_number_is_that_of_as_many_independent_sequences(
    within: float, expected: float
) -> None:
    labels, clusters = np.zeros(2000, np.int32), np.repeat(np.arange(100), 20)
    rows = HeldOutRows(Metric(), labels, clusters)
    models = _models(np.random.default_rng(2), 100, 20, within)
    assert rows.effective_number(models) == pytest.approx(expected, rel=0.15)
    assert rows.effective_number(models[:1]) is None
    assert rows.effective_number(models[:1] * 2) is None
    for own in (np.arange(2000), np.zeros(2000, np.int64)):  # of one cluster, rows count
        assert HeldOutRows(Metric(), labels, own).effective_number(models) == 2000
