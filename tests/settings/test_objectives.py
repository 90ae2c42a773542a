"""Two objectives: how they are written, and which way each is better."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.settings.metric import Metric, MetricName, Mode
from tuner.settings.objectives import Cost, Objectives, dominates, parse_objectives

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
            "the first must be val_accuracy, val_f1 or val_loss, got 'weights'",
        ),
        ("accuracy,weights", "the first must be .*, got 'accuracy'"),
        (
            "val_accuracy,seconds",
            "the second must be seconds_per_epoch or weights, got 'seconds'",
        ),
        ("val_accuracy,val_loss", "the second must be .*, got 'val_loss'"),
    ],
)
def test_what_is_no_metric_and_cost_is_refused(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_objectives(given)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@given(scores=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_better_score_at_the_same_cost_dominates(
    metric: Metric, scores: tuple[float, float]
) -> None:
    objectives = Objectives(metric, Cost.WEIGHTS)
    better = metric.best_epoch(dict(enumerate(scores)))
    point, other = (objectives.point(score, 10) for score in (scores[better], scores[1 - better]))
    assert dominates(point, other) == (scores[0] != scores[1])


def test_they_are_told_to_optuna_in_its_words() -> None:
    *_, loss = METRICS
    objectives = Objectives(loss, Cost.SECONDS_PER_EPOCH)
    assert objectives.names == ["val_loss", "seconds_per_epoch"]
    assert objectives.directions == ["minimize", "minimize"]
    assert Objectives(Metric(), Cost.WEIGHTS).directions == ["maximize", "minimize"]
