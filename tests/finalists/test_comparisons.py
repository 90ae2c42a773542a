"""Finalists compared all at once: levels and coverage on simulated ones."""

import numpy as np
import pytest
from support.simulated_scores import SEEDS, SEQUENCES, simulated

from tuner.finalists.comparisons import deficits_of, selection_bias_of, visible_difference
from tuner.settings.metric import Metric, MetricName, Mode
from tuner.training.statistics import spread_of
from tuner.training.variance import SeedVariance, pooled_seed_variance


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth, so that a thousand confirmations are compared in a second."""
    monkeypatch.setattr("tuner.finalists.comparisons._DRAWS", 1000)


def told_apart(scores: list[np.ndarray], pooled: SeedVariance | None) -> bool:
    return any(each.at_least > 0 for each in deficits_of(scores, Metric(), pooled))


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seeds"), [(5, 2), (10, 3)])
def test_of_equal_finalists_somebody_is_told_apart_in_5_of_100_confirmations(
    count: int, seeds: int
) -> None:
    rng = np.random.default_rng(11)
    together = by_pairs = 0
    for _ in range(150):
        scores = simulated(rng, [0.9] * count, seeds=seeds, n=60)
        pooled = pooled_seed_variance(scores)
        together += told_apart(scores, pooled)
        first, last = max(scores, key=np.mean), min(scores, key=np.mean)
        by_pairs += told_apart([first, last], pooled)
    assert together / 150 <= 0.085  # 0.05, and two standard errors of this simulation
    assert by_pairs / 150 >= 0.12  # so many if every pair had a level of its own


@pytest.mark.parametrize("spread", [0.0, 0.004])
def test_all_deficits_hold_together_in_95_of_100_confirmations(spread: float) -> None:
    rng = np.random.default_rng(1)
    below = above = 0
    for _ in range(200):
        true = rng.normal(0.9, spread, 5)
        scores = simulated(rng, true, seeds=3, n=60)
        deficits = deficits_of(scores, Metric(), pooled_seed_variance(scores))
        truth = true.max() - true
        above += any(gap > each.at_most + 1e-9 for gap, each in zip(truth, deficits, strict=True))
        below += any(gap < each.at_least - 1e-9 for gap, each in zip(truth, deficits, strict=True))
    assert above / 200 <= 0.08
    assert below / 200 <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "seeds", "spread"), [(5, 1, 0.0), (5, 2, 0.0), (5, 5, 0.003), (10, 2, 0.0)]
)
def test_the_interval_of_the_first_holds_its_own_truth_in_95_of_100_confirmations(
    count: int, seeds: int, spread: float
) -> None:
    """Of one seed each, that of its own model."""
    rng = np.random.default_rng(11)
    held = too_high = too_high_as_named = 0
    for _ in range(400):
        true = rng.normal(0.9, spread, count)
        if seeds == 1:
            true += rng.normal(0, SEEDS, count)
        deviation = 0.0 if seeds == 1 else SEEDS
        scores = simulated(rng, true, seeds=seeds, n=60, deviation=deviation)
        first = int(np.argmax([each.mean() for each in scores]))
        pooled = pooled_seed_variance(scores)
        excess = selection_bias_of(scores, Metric(), pooled)
        figures = {"seeds": pooled, "deciding": SEQUENCES}  # that these scores stand for
        corrected = spread_of(scores[first], excess=excess, **figures)
        named = spread_of(scores[first], **figures)
        held += corrected.low <= true[first] <= corrected.high
        too_high += true[first] < corrected.low
        too_high_as_named += true[first] < named.low
    assert 0.93 <= held / 400 <= 0.98
    assert too_high / 400 <= 0.045
    if (count, seeds) == (10, 2):
        assert too_high_as_named / 400 >= 0.06  # in place of 0.025: what the correction is for


def test_coming_first_is_worth_nothing_where_nobody_else_was_near() -> None:
    rng = np.random.default_rng(6)
    scores = simulated(rng, [0.9, 0.8, 0.8], seeds=3)
    pooled = pooled_seed_variance(scores)
    assert selection_bias_of(scores, Metric(), pooled) == pytest.approx(0, abs=2e-4)
    assert selection_bias_of(scores[:1], Metric(), pooled) == 0


def test_coming_first_among_equals_is_worth_something_whatever_lies_far_behind() -> None:
    rng = np.random.default_rng(7)
    lower = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
    for metric, far in ((Metric(), 0.7), (lower, 1.1)):
        values = []
        for _ in range(30):
            scores = simulated(rng, [0.9, 0.9, 0.9, 0.9, far], seeds=2)
            values.append(selection_bias_of(scores, metric, pooled_seed_variance(scores)))
        assert 0.0025 < np.mean(values) < 0.006  # 1.03 deviations, each of 0.0039


def test_a_much_better_finalist_is_the_best_and_the_others_are_worse() -> None:
    rng = np.random.default_rng(2)
    scores = simulated(rng, [0.9, 0.85, 0.84], seeds=3)
    best, *others = deficits_of(scores, Metric(), pooled_seed_variance(scores))
    assert (best.at_least, best.at_most) == (0.0, 0.0)
    assert all(0.03 < each.at_least < each.at_most < 0.08 for each in others)


def test_of_losses_the_lower_one_is_better() -> None:
    rng = np.random.default_rng(3)
    scores = simulated(rng, [0.3, 0.4], seeds=3)
    lower = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
    good, bad = deficits_of(scores, lower, pooled_seed_variance(scores))
    assert good.at_most == 0.0
    assert bad.at_least > 0.07


def test_more_sequences_and_seeds_make_a_deficit_small() -> None:
    rng = np.random.default_rng(4)
    few, many = (
        max(each.at_most for each in deficits_of(scores, Metric(), pooled_seed_variance(scores)))
        for scores in (simulated(rng, [0.9, 0.9], seeds=seeds) for seeds in (2, 30))
    )
    assert few > many > 0


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_difference_that_is_said_to_be_visible_is_seen_in_80_of_100_confirmations(
    seeds: int,
) -> None:
    rng = np.random.default_rng(3)
    difference = visible_difference(0.9, n=SEQUENCES, seeds=seeds, finalists=5)
    seen = 0
    for _ in range(150):
        true = [0.9, 0.9 - difference, 0.85, 0.85, 0.85]
        scores = simulated(rng, true, seeds=seeds, n=60)
        pooled = pooled_seed_variance(scores)
        seen += deficits_of(scores, Metric(), pooled)[1].at_least > 0
    assert 0.72 <= seen / 150 <= 0.92


def seen_in(difference: float, rng: np.random.Generator, *, n: int, seeds: int = 5) -> float:
    """In how many of 150 confirmations two finalists that differ by so much are told apart."""
    seen = 0
    for _ in range(150):
        scores = simulated(rng, [0.9, 0.9 - difference, 0.85, 0.85, 0.85], seeds=seeds, n=n)
        seen += deficits_of(scores, Metric(), pooled_seed_variance(scores))[1].at_least > 0
    return seen / 150


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [4, 8])
def test_of_few_clusters_the_visible_difference_is_larger(clusters: int) -> None:
    """As many sequences' worth of evidence in so few clusters: the variance over these is hardly known."""
    rng = np.random.default_rng(3)
    figures = {"n": SEQUENCES, "seeds": 5, "finalists": 5}
    of_many = visible_difference(0.9, **figures)
    of_few = visible_difference(0.9, **figures, clusters=clusters)
    assert 0.72 <= seen_in(of_few, rng, n=clusters) <= 0.92
    assert seen_in(of_many, rng, n=clusters) <= 0.7


@pytest.mark.parametrize(("n", "at_most"), [(20, 0.135), (1000, 0.0032)])
def test_finalists_that_predict_the_same_may_differ_on_further_sequences(
    n: int, at_most: float
) -> None:
    """On 20 sequences nothing is shown to be at most 0.005 worse; on 1,000 it is."""
    scores = np.tile(np.arange(n) < 0.9 * n, (2, 1)).astype(float)
    both = [scores, scores]
    pooled = pooled_seed_variance(both)
    for deficit in deficits_of(both, Metric(), pooled):
        assert (deficit.at_least, deficit.at_most) == pytest.approx((0, at_most), rel=0.05)
    loss = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
    assert all(each.at_most == 0 for each in deficits_of(both, loss, pooled))


def test_one_seed_each_or_one_finalist_are_not_compared() -> None:
    one = np.ones((1, 50))
    assert deficits_of([one, one], Metric(), pooled_seed_variance([one, one])) == []
    two = np.ones((2, 50))
    assert deficits_of([two], Metric(), pooled_seed_variance([two])) == []


def test_few_differing_sequences_are_no_evidence() -> None:
    """Four sequences, all for one side: an exact test of signs gives 0.125; of eight, 0.008."""
    for telling, may_be_best in ((4, True), (8, False)):
        one, zeros = np.zeros((3, 200)), np.zeros((3, 200))
        one[:, :telling] = 1
        _, worse = deficits_of([one, zeros], Metric(), pooled_seed_variance([one, zeros]))
        assert (worse.at_least == 0) is may_be_best
