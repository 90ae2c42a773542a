"""Two objectives: how they are written, and which way each is better."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.settings.metric import Metric, MetricName, Mode
from tuner.settings.objectives import (
    Cost,
    MetricAlone,
    MetricAndCost,
    make_objectives,
    parse_objectives,
    shared_objectives,
)

METRICS = [
    Metric(),
    Metric(name=MetricName.VAL_F1),
    Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN),
]


@pytest.mark.parametrize(
    "given", ["val_f1,weights", " val_f1 , weights ", ["val_f1", "weights"], ("val_f1", "weights")]
)
def test_a_metric_and_a_cost_are_read(given: object) -> None:
    assert parse_objectives(given) == (MetricName.VAL_F1, Cost.WEIGHTS)
    assert parse_objectives(parse_objectives(given)) == parse_objectives(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("weights", "must be METRIC,COST such as val_accuracy,weights, got 'weights'"),
        ("", "must be METRIC,COST"),
        ("val_accuracy,weights,seconds_per_epoch", "must be METRIC,COST"),
        (["val_accuracy"], "must be METRIC,COST"),
        (["val_accuracy", 3], "must be METRIC,COST"),
        ({"val_accuracy": 1, "weights": 2}, "must be METRIC,COST"),
        (7, "must be METRIC,COST such as val_accuracy,weights, got 7"),
        (
            "weights,val_accuracy",
            "the first must be val_accuracy, .*val_balanced_accuracy or val_loss, got 'weights'",
        ),
        ("accuracy,weights", "the first must be .*, got 'accuracy'"),
        (
            "val_accuracy,seconds",
            "the second must be seconds_per_epoch or weights, got 'seconds'",
        ),
        ("val_accuracy,val_loss", "the second must be .*, got 'val_loss'"),
    ],
)
def test_anything_but_a_metric_and_a_cost_is_refused(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_objectives(given)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@given(scores=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_of_two_trials_of_the_same_cost_the_better_one_is_the_front(
    metric: Metric, scores: tuple[float, float]
) -> None:
    objectives = MetricAndCost(metric, Cost.WEIGHTS)
    trials = [(score, 10.0) for score in scores]
    best = metric.best(scores)
    assert objectives.front(trials) == [at for at in (0, 1) if scores[at] == best]
    assert objectives.contenders(trials) == objectives.front(trials)


def test_with_the_metric_alone_there_is_no_front_and_any_trial_may_be_chosen() -> None:
    *_, loss = METRICS
    trials = [(0.5,), (0.2,), (0.9,), (0.2,)]
    assert MetricAlone(loss).front(trials) == []
    assert MetricAlone(loss).contenders(trials) == [0, 1, 2, 3]
    assert MetricAlone(loss).leading(trials, 3) == [1, 3, 0]
    assert MetricAlone(Metric()).leading(trials, 9) == [2, 0, 1, 3]


def test_a_front_comes_before_the_trials_that_it_beats() -> None:
    trials = [(0.9, 50.0), (0.8, 60.0), (0.7, 40.0), (0.95, 70.0)]
    objectives = MetricAndCost(Metric(), Cost.WEIGHTS)
    assert objectives.front(trials) == [3, 0, 2]
    assert objectives.leading(trials, 4) == [3, 0, 2, 1]


def test_optuna_gets_objectives_in_its_own_words() -> None:
    *_, loss = METRICS
    objectives = make_objectives(loss, Cost.SECONDS_PER_EPOCH)
    assert objectives.names == ["val_loss", "seconds_per_epoch"]
    assert objectives.directions == ["minimize", "minimize"]
    assert make_objectives(Metric(), Cost.WEIGHTS).directions == ["maximize", "minimize"]
    assert make_objectives(Metric(), None).directions == ["maximize"]


def test_only_a_search_by_its_metric_alone_can_prune() -> None:
    assert make_objectives(Metric(), None).can_prune
    assert not make_objectives(Metric(), Cost.WEIGHTS).can_prune


def test_searches_of_different_objectives_share_the_metric_only() -> None:
    alone, by_two = (make_objectives(Metric(), cost) for cost in (None, Cost.WEIGHTS))
    assert shared_objectives([by_two, by_two]) == by_two
    assert shared_objectives([by_two, alone]) == alone
    assert shared_objectives([by_two, make_objectives(Metric(), Cost.SECONDS_PER_EPOCH)]) == alone
