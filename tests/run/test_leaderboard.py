"""The leaderboard: its columns are a contract, and its order is total."""

import io
import json
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from support.boards import (
    ACCURACY,
    BY_ACCURACY,
    BY_TWO,
    CONTRACT_AFTER,
    CONTRACT_BEFORE,
    LOSS,
    begin,
    board_of,
    by_two,
    in_memory,
    metrics,
    rows_of,
    run,
)

from tuner.run.csv_text import to_csv
from tuner.run.leaderboard import PARETO, curves, leaderboard, merge, only_front, to_json
from tuner.run.records import StudyReader, TrialRecord, on_front, ranked
from tuner.run.score_errors import ValidationRows
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.study import SearchStudy
from tuner.settings.config import SamplerName
from tuner.settings.metric import Metric, MetricName
from tuner.settings.pareto_fronts import dominates
from tuner.settings.space import RESERVED_NAMES, SearchSpace
from tuner.terminal.tables import leaderboard_table
from tuner.training.spec import EpochResult


@pytest.fixture
def study(space: SearchSpace) -> SearchStudy:
    """A study in memory, without the baseline."""
    return in_memory(space)


def test_trials_of_two_programs_are_marked() -> None:
    own = SearchSpace.from_mapping(
        {"name": "own", "architectures": {"my_models:build": {"units": {"int": [1, 9]}}}}, "own"
    )
    inner = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    inner.set_user_attr("space", own.to_mapping())
    study = SearchStudy(inner, own, seed=0, sampler=SamplerName.RANDOM, workers=1)
    for code in ("aaaa", "bbbb", None):
        trial = study.ask()
        own.suggest(trial)
        facts = TrialFacts(seed=7, host="node", device="cpu", weights=1, code=code)
        study.record_facts(trial, facts)
        study.report(trial, 1, metrics(0.5))
        study.finish(trial, TrialStatus.COMPLETE)
    board = board_of(study)
    assert list(board.columns[-2:]) == ["starter", "code"]
    assert board["code"].tolist() == ["aaaa", "bbbb", None]
    file = io.StringIO()
    Console(file=file, width=200).print(leaderboard_table(board, ["units"], BY_ACCURACY))
    assert "(code aaaa)" in file.getvalue()
    merged = merge({"one": board, "two": board}, BY_ACCURACY)
    assert list(merged.columns).count("code") == 1
    assert merged.columns[-1] == "code"


@pytest.mark.parametrize("name", ["code", "part"])
def test_a_parameter_may_have_the_name_of_a_last_column(name: str) -> None:
    own = SearchSpace.from_mapping(
        {"name": "own", "architectures": {"my_models:build": {name: {"int": [1, 9]}}}}, "own"
    )
    inner = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    inner.set_user_attr("space", own.to_mapping())
    study = SearchStudy(inner, own, seed=0, sampler=SamplerName.RANDOM, workers=1)
    ValidationRows(100, parts=4).record(inner)
    value = own.suggest(study.ask()).custom[name]
    board = board_of(study)
    assert (list(board.columns).count(name), board[name].tolist()) == (1, [value])


def test_where_parts_of_the_rows_take_turns_each_trial_tells_its_own(study: SearchStudy) -> None:
    run(study, 0.8)
    assert "part" not in board_of(study)
    ValidationRows(100, parts=4).record(study.study)
    trial = begin(study)
    study.record_facts(trial, TrialFacts(seed=7, host="node", device="cpu", weights=1, part=3))
    study.report(trial, 1, metrics(0.7))
    study.finish(trial, TrialStatus.COMPLETE)
    board = board_of(study)
    assert list(board.columns[-2:]) == ["starter", "part"]
    assert str(board["part"].dtype) == "Int64"
    assert board["part"].isna().tolist() == [True, False]
    assert board["part"].iloc[1] == 3


# -- columns --------------------------------------------------------------------------------------


def test_the_columns_are_the_contract_with_one_per_parameter_between(study: SearchStudy) -> None:
    run(study, 0.8)
    assert list(board_of(study).columns) == [
        *CONTRACT_BEFORE,
        "learning_rate",
        "lstm_units",
        "filters",
        *CONTRACT_AFTER,
    ]


def test_no_parameter_of_a_custom_architecture_can_take_a_columns_name() -> None:
    assert {*CONTRACT_BEFORE, PARETO, *CONTRACT_AFTER, "run"} <= RESERVED_NAMES


def test_a_study_without_trials_is_a_header(study: SearchStudy) -> None:
    assert board_of(study).empty
    assert rows_of(to_csv(board_of(study))) == []
    assert to_csv(board_of(study)).startswith("rank,trial,status,architecture,score,")
    assert to_csv(curves(StudyReader(study.study))) == (
        "trial,epoch,loss,accuracy,val_loss,val_accuracy,val_f1,seconds\r\n"
    )


def test_a_row_has_the_figures_of_the_best_epoch(study: SearchStudy) -> None:
    trial = begin(study, architecture="cnn_lstm", filters=16)
    for epoch, (accuracy, loss) in enumerate([(0.7, 0.6), (0.91234567, 0.2), (0.8, 0.1)], start=1):
        study.report(trial, epoch, metrics(accuracy, val_loss=loss, seconds=float(epoch)))
    study.finish(trial, TrialStatus.COMPLETE)
    row = rows_of(to_csv(board_of(study)))[0]
    assert float(row.pop("seconds")) >= 0
    assert datetime.fromisoformat(row.pop("started")) <= datetime.now()
    assert row == {
        "rank": "1",
        "trial": "0",
        "status": "complete",
        "architecture": "cnn_lstm",
        "score": "0.912346",
        "val_accuracy": "0.912346",
        "val_loss": "0.2",
        "best_epoch": "2",
        "epochs": "3",
        "seconds_per_epoch": "2.0",
        "weights": "1234",
        "learning_rate": "0.001",
        "lstm_units": "32",
        "filters": "16",
        "baseline": "False",
        "tries": "1",
        "seed": "7",
        "host": "node",
        "device": "cpu",
        "error": "",
        "starter": "",
        "score_error": "",  # how many rows scored the trial is not known
    }


def test_integers_stay_integers_where_cells_are_empty(study: SearchStudy) -> None:
    run(study, 0.8)
    run(study, 0.7, architecture="cnn_lstm", filters=16)
    study.finish(begin(study), TrialStatus.FAILED, "broke")
    rows = rows_of(to_csv(board_of(study)))
    assert [row["filters"] for row in rows] == ["", "16", ""]
    assert [row["best_epoch"] for row in rows] == ["1", "1", ""]
    assert [row["epochs"] for row in rows] == ["1", "1", "0"]


def test_every_trial_has_a_row_and_those_that_broke_come_last(study: SearchStudy) -> None:
    for status, accuracy in [
        (TrialStatus.DIVERGED, 0.99),
        (TrialStatus.FAILED, 0.98),
        (TrialStatus.COMPLETE, 0.6),
        (TrialStatus.OUT_OF_MEMORY, 0.97),
        (TrialStatus.PRUNED, 0.7),
    ]:
        trial = begin(study)
        study.report(trial, 1, metrics(accuracy))
        error = None if status in {TrialStatus.COMPLETE, TrialStatus.PRUNED} else "why"
        study.finish(trial, status, error)
    begin(study)  # has begun, has no epoch yet
    trial = begin(study)
    study.report(trial, 1, metrics(0.8))
    board = board_of(study)
    assert list(board["rank"]) == list(range(1, 8))
    assert list(board["trial"]) == [6, 4, 2, 0, 1, 3, 5]
    assert list(board["status"]) == [
        *("running", "pruned", "complete"),
        *("diverged", "failed", "out_of_memory", "running"),
    ]
    assert list(board["error"].fillna("")) == ["", "", "", "why", "why", "why", ""]


def test_waiting_trials_have_no_row(study: SearchStudy) -> None:
    study.study.enqueue_trial({"architecture": "lstm"})
    assert board_of(study).empty


def test_an_epoch_that_is_not_finite_is_no_score(study: SearchStudy) -> None:
    trial = begin(study)
    study.report(trial, 1, metrics(0.6, val_loss=float("nan")))
    study.report(trial, 2, metrics(float("nan")))
    study.finish(trial, TrialStatus.DIVERGED, "loss is nan")
    (row,) = rows_of(to_csv(board_of(study)))
    assert (row["score"], row["best_epoch"], row["epochs"], row["val_loss"]) == (
        "0.6",
        "1",
        "2",
        "",
    )
    assert json.loads(to_json(board_of(study)))[0]["val_loss"] is None


def test_curves_have_one_row_per_trial_and_epoch(study: SearchStudy) -> None:
    run(study, 0.5, 0.6)
    run(study, 0.7)
    frame = curves(StudyReader(study.study))
    always = [field.name for field in fields(EpochResult) if field.default is MISSING]
    assert list(frame.columns) == ["trial", *always]
    assert list(frame["trial"]) == [0, 0, 1]
    assert list(frame["epoch"]) == [1, 2, 1]
    assert list(frame["val_accuracy"]) == [0.5, 0.6, 0.7]


def test_curves_have_the_metric_of_the_run_where_it_is_another(
    space: SearchSpace,
) -> None:
    balanced = space.model_copy(update={"metric": Metric(name=MetricName.VAL_BALANCED_ACCURACY)})
    study = in_memory(balanced)
    assert str(curves(StudyReader(study.study)).dtypes["val_balanced_accuracy"]) == "Float64"
    trial = begin(study)
    study.report(trial, 1, {**metrics(0.9), "val_balanced_accuracy": 0.6})
    frame = curves(StudyReader(study.study))
    assert frame.columns[-1] == "val_balanced_accuracy"
    assert list(frame["val_balanced_accuracy"]) == [0.6]


# -- order ----------------------------------------------------------------------------------------


def record(number: int, status: TrialStatus, score: float | None) -> TrialRecord:
    return TrialRecord(
        number=number,
        status=status,
        architecture="lstm",
        parameters={},
        curve={},
        best_epoch=None,
        score=score,
        baseline=False,
        retry_of=None,
        seed=None,
        host=None,
        device=None,
        weights=None,
        started=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        ended=None,
        error=None,
    )


@st.composite
def shuffled_records(draw: st.DrawFn) -> tuple[list[TrialRecord], list[TrialRecord]]:
    outcomes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(TrialStatus),
                st.none() | st.sampled_from([0.0, -1.0, 0.5, 0.75]) | st.floats(-2, 2),
            ),
            max_size=12,
        )
    )
    records = [record(number, *outcome) for number, outcome in enumerate(outcomes)]
    return records, draw(st.permutations(records))


@given(records=shuffled_records(), metric=st.sampled_from([ACCURACY, LOSS]))
def test_ranking_ignores_the_order_of_arrival(
    records: tuple[list[TrialRecord], list[TrialRecord]], metric: Metric
) -> None:
    in_order, arrived = records
    assert ranked(arrived, metric) == ranked(in_order, metric)
    assert sorted(r.number for r in ranked(arrived, metric)) == [r.number for r in in_order]


@given(records=shuffled_records(), metric=st.sampled_from([ACCURACY, LOSS]))
def test_no_trial_is_ranked_above_a_better_one(
    records: tuple[list[TrialRecord], list[TrialRecord]], metric: Metric
) -> None:
    order = ranked(records[1], metric)
    scores = [r.score for r in order if r.status.is_ranked and r.score is not None]
    assert scores == sorted(scores, reverse=metric is ACCURACY)
    counts = [r.status.is_ranked and r.score is not None for r in order]
    assert counts == sorted(counts, reverse=True)


# -- two objectives -------------------------------------------------------------------------------


def test_the_front_is_marked_in_the_column_before_the_parameters(space: SearchSpace) -> None:
    trials = ((0.9, 50), (0.8, 60), (None, 1), (0.7, 40), (0.7, 40), (0.6, 45))
    board = leaderboard(by_two(space, *trials))
    parameters = ("learning_rate", "lstm_units", "filters")
    assert list(board.columns) == [*CONTRACT_BEFORE, PARETO, *parameters, *CONTRACT_AFTER]
    assert list(board["trial"]) == [0, 1, 3, 4, 5, 2]  # by the score, as ever
    assert list(board[PARETO]) == [True, False, True, True, False, False]
    assert list(only_front(board)["rank"]) == [1, 3, 4]
    assert [row["pareto"] for row in json.loads(to_json(board))][:2] == [True, False]


def test_without_trials_there_is_an_empty_front(space: SearchSpace) -> None:
    board = leaderboard(by_two(space))
    assert PARETO in board
    assert only_front(board).empty


@given(records=shuffled_records(), weights=st.lists(st.none() | st.integers(1, 9), min_size=12))
def test_the_front_holds_the_trials_that_no_ranked_trial_beats(
    records: tuple[list[TrialRecord], list[TrialRecord]], weights: list[int | None]
) -> None:
    given_in_order, given_shuffled = (
        [replace(each, weights=weights[each.number]) for each in listed] for listed in records
    )
    chosen = on_front(given_shuffled, BY_TWO)
    assert chosen == on_front(given_in_order, BY_TWO)
    points = {
        each.number: (-each.ranked_score, each.weights)
        for each in given_in_order
        if each.ranked_score is not None and each.weights is not None
    }
    leaders = {
        number
        for number, point in points.items()
        if not any(dominates(other, point) for other in points.values())
    }
    assert {each.number for each in chosen} == leaders
    assert [each.score for each in chosen] == sorted((e.score for e in chosen), reverse=True)


def test_json_keeps_every_digit_and_types(study: SearchStudy) -> None:
    run(study, 0.8, learning_rate=0.00012345678901234567)
    (row,) = json.loads(to_json(board_of(study)))
    assert row["learning_rate"] == 0.00012345678901234567
    assert (row["lstm_units"], row["filters"], row["baseline"]) == (32, None, False)
    assert isinstance(row["lstm_units"], int)
    assert list(row) == list(board_of(study).columns)


def test_json_has_escape_sequences_for_what_a_terminal_obeys(study: SearchStudy) -> None:
    trial = begin(study)
    study.finish(trial, TrialStatus.FAILED, "\x9b2J and \u202e")
    text = to_json(board_of(study))
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)[0]["error"] == "\x9b2J and \u202e"
