"""How sure a trial's score is, as far as the study tells."""

import pytest
from support.run_files import record

from tuner.run.score_errors import ValidationRows, score_error
from tuner.settings.metric import MetricName

ACCURACY = MetricName.VAL_ACCURACY
MEASURED = record(score=0.88, curve={1: {"val_accuracy": 0.88, "val_accuracy_error": 0.031}})
NOT_MEASURED = record(score=0.88, curve={1: {"val_accuracy": 0.88}})


def test_an_accuracys_error_over_rows_follows_from_their_number() -> None:
    assert score_error(NOT_MEASURED, ACCURACY, ValidationRows(2500)) == pytest.approx(
        0.0065, rel=0.01
    )


@pytest.mark.parametrize("clusters", [250, 1])
def test_over_clusters_it_is_what_was_measured(clusters: int) -> None:
    rows = ValidationRows(2500, clusters)
    assert score_error(MEASURED, ACCURACY, rows) == 0.031
    assert score_error(NOT_MEASURED, ACCURACY, rows) is None  # by an earlier version, or a toy


@pytest.mark.parametrize("metric", [MetricName.VAL_F1, MetricName.VAL_LOSS])
def test_of_other_metrics_it_is_not_known(metric: MetricName) -> None:
    assert score_error(NOT_MEASURED, metric, ValidationRows(2500)) is None
    assert score_error(MEASURED, metric, ValidationRows(2500, 250)) is None


def test_of_a_run_of_an_earlier_version_and_without_a_score_it_is_not_known() -> None:
    assert score_error(NOT_MEASURED, ACCURACY, ValidationRows()) is None
    without = record(score=None, best_epoch=None)
    for rows in (ValidationRows(2500), ValidationRows(2500, 250)):
        assert score_error(without, ACCURACY, rows) is None
