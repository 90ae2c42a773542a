"""Sequences that are alike count together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.training.row_clusters import by_cluster, error_of_mean
from tuner.training.statistics import spread_of


def test_copies_of_every_sequence_tell_no_more_than_one_of_each() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random((3, 60)) < 0.8).astype(float)
    copied, clusters = np.repeat(scores, 10, axis=1), np.repeat(np.arange(60), 10)
    order = rng.permutation(600)
    spread = spread_of(scores)
    clustered = spread_of(by_cluster(copied[:, order], clusters[order]))
    figures = (clustered.mean, clustered.deviation, clustered.low, clustered.high)
    assert figures == pytest.approx((spread.mean, spread.deviation, spread.low, spread.high))
    one, as_independent = spread_of(scores[:1]), spread_of(copied[:1])
    share = (as_independent.high - as_independent.low) / (one.high - one.low)
    assert share == pytest.approx(1 / math.sqrt(10), rel=0.02)  # too narrow by that


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1), st.floats(0, 1)), min_size=2))
def test_the_variance_over_clusters_is_that_of_their_sums(
    rows: list[tuple[int, float, float]],
) -> None:
    clusters, one, other = (np.array(column) for column in zip(*rows, strict=True))
    of_one, of_other = by_cluster(np.stack([one, other]), clusters)
    assert of_one.mean() == pytest.approx(one.mean())
    count = len(set(clusters.tolist()))
    if count == 1:
        assert (of_one == one).all()
        return
    n, difference = len(rows), one - other
    sums = [(difference - difference.mean())[clusters == each].sum() for each in set(clusters)]
    expected = np.square(sums).sum() * count / (count - 1) / n**2
    of_difference = of_one - of_other
    assert of_difference.var(ddof=1) / count == pytest.approx(expected, abs=1e-12)


def test_few_clusters_have_a_wider_interval_that_holds_the_truth() -> None:
    """Six customers of 40 tickets each; with the normal quantile 89 of 100 intervals held it."""
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(6), 40)
    held = 0
    for _ in range(1000):
        of_customer = np.clip(rng.normal(0.7, 0.1, 6), 0, 1)
        hits = (rng.random(240) < of_customer[clusters]).astype(float)[None]
        spread = spread_of(by_cluster(hits, clusters))
        held += spread.low <= 0.7 <= spread.high
    assert 930 <= held <= 970


def test_sequences_of_their_own_keep_their_scores() -> None:
    scores = np.array([0.2, 0.9, 0.4])
    assert by_cluster(scores, np.array([7, 3, 5])) is scores


def test_the_error_of_a_mean_over_clusters_holds_the_truth_in_95_of_100_cases() -> None:
    """40 customers of 25 tickets each, one in five of which is answered wrong for all of his tickets or none."""
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(40), 25)
    held = held_by_rows = 0
    for _ in range(1000):
        of_customer = rng.beta(0.8, 0.2, 40)
        hits = (rng.random(1000) < of_customer[clusters]).astype(float)
        error = error_of_mean(hits, clusters)
        assert error is not None
        away = abs(hits.mean() - 0.8)
        held += away <= 2.02 * error  # of Student's t with 39 degrees of freedom
        held_by_rows += away <= 1.96 * math.sqrt(hits.var() / 1000)
    assert 930 <= held <= 970
    assert held_by_rows <= 500


def test_one_cluster_tells_nothing_about_another() -> None:
    assert error_of_mean(np.array([0.0, 1.0, 1.0]), np.array([4, 4, 4])) is None
