"""Every method of a metric agrees on which of two scores is better, for metrics to raise and to lower."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import ConfigError
from tuner.settings.metric import Metric, MetricName, Mode

ACCURACY = Metric()
LOSS = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
SCORES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("name", "plain_name", "in_words", "is_share"),
    [
        (MetricName.VAL_ACCURACY, "accuracy", "validation accuracy", True),
        (MetricName.VAL_F1, "f1", "validation macro F1", True),
        (MetricName.VAL_F1_POSITIVE, "f1_positive", "validation F1 of the second class", True),
        (
            MetricName.VAL_BALANCED_ACCURACY,
            "balanced_accuracy",
            "validation balanced accuracy",
            True,
        ),
        (MetricName.VAL_LOSS, "loss", "validation loss", False),
    ],
)
def test_a_metric_has_names_for_people_and_a_scale(
    name: MetricName, plain_name: str, in_words: str, is_share: bool
) -> None:
    assert (name.plain_name, name.in_words, name.is_share) == (plain_name, in_words, is_share)


def test_a_metric_of_two_classes_is_refused_where_there_are_more() -> None:
    for name in MetricName:
        name.check_classes(2)
    for name in set(MetricName) - {MetricName.VAL_F1_POSITIVE}:
        name.check_classes(3)
    with pytest.raises(ConfigError, match=r"^metric val_f1_positive: is a .* have 3; score by"):
        MetricName.VAL_F1_POSITIVE.check_classes(3)


@pytest.mark.parametrize(
    ("metric", "better", "worse", "word"),
    [(ACCURACY, 0.9, 0.4, "higher"), (LOSS, 0.4, 0.9, "lower")],
)
def test_the_better_of_two_scores_is_so_in_every_answer(
    metric: Metric, better: float, worse: float, word: str
) -> None:
    assert metric.is_better(better, than=worse)
    assert not metric.is_better(worse, than=better)
    assert metric.gain(better, over=worse) == pytest.approx(0.5)
    assert metric.gain(worse, over=better) == pytest.approx(-0.5)
    assert metric.as_cost(better) < metric.as_cost(worse)
    assert metric.best([worse, better, worse]) == better
    assert sorted([None, worse, better], key=metric.sort_key) == [better, worse, None]
    assert metric.better_is == word


@given(one=SCORES, other=SCORES, metric=st.sampled_from([ACCURACY, LOSS]))
def test_a_score_is_better_where_it_gains_and_where_it_sorts_first(
    one: float, other: float, metric: Metric
) -> None:
    is_better = metric.is_better(one, than=other)
    assert is_better == (metric.gain(one, over=other) > 0)
    assert is_better == (metric.sort_key(one) < metric.sort_key(other))
    assert not (is_better and metric.is_better(other, than=one))


@pytest.mark.parametrize(
    ("metric", "scores", "best"),
    [
        (ACCURACY, {1: 0.5, 2: 0.9, 3: 0.9}, 2),
        (ACCURACY, {3: 0.9, 1: 0.9}, 1),
        (LOSS, {1: 0.5, 2: 0.1, 3: 0.1}, 2),
    ],
)
def test_the_best_epoch_is_the_earliest_of_equals(
    metric: Metric, scores: Mapping[int, float], best: int
) -> None:
    assert metric.best_epoch(scores) == best


def test_a_metric_with_the_wrong_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode of val_loss must be min, got max"):
        Metric(name=MetricName.VAL_LOSS)
