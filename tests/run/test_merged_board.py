"""Leaderboards of several runs as one, and any of them in another order."""

from itertools import permutations
from pathlib import Path

import pytest
from support.boards import (
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
    small_board,
)
from support.studies import open_study, run_trial

from tuner.errors import UsageError
from tuner.run.csv_text import to_csv
from tuner.run.leaderboard import PARETO, leaderboard, merge, only_front, sort_by
from tuner.run.merged_board import read_merged_board
from tuner.run.trial_status import TrialStatus
from tuner.settings.objectives import MetricAlone
from tuner.settings.space import SearchSpace


def test_runs_by_the_same_objectives_have_one_front(space: SearchSpace) -> None:
    boards = {
        "a": leaderboard(by_two(space, (0.9, 50), (0.7, 40))),
        "b": leaderboard(by_two(space, (0.9, 45), (0.6, 40), (None, 1))),
    }
    merged = merge(boards, BY_TWO)
    leaders = only_front(merged)
    assert list(zip(leaders["run"], leaders["trial"], strict=True)) == [("b", 0), ("a", 1)]
    assert list(merged.columns)[:14] == ["run", *CONTRACT_BEFORE, PARETO]
    assert PARETO not in merge(boards, BY_ACCURACY)
    assert list(merge(boards, BY_ACCURACY)["rank"]) == [1, 2, 3, 4, 5]


def test_runs_are_ranked_anew_with_the_run_in_the_first_column(space: SearchSpace) -> None:
    merged = merge(
        {
            "runs/a": small_board({"score": 0.5}, {"score": 0.9}, space=space),
            "runs/b": small_board({"score": 0.7}, {"score": 0.9}, space=space),
        },
        BY_ACCURACY,
    )
    assert list(merged.columns)[:3] == ["run", "rank", "trial"]
    assert list(merged["rank"]) == [1, 2, 3, 4]
    assert list(zip(merged["run"], merged["trial"], strict=True)) == [
        ("runs/a", 1),
        ("runs/b", 1),
        ("runs/b", 0),
        ("runs/a", 0),
    ]


def test_a_trial_that_runs_again_is_ranked_last_among_several_runs_too(
    space: SearchSpace,
) -> None:
    study = in_memory(space)
    trial = begin(study)
    study.report(trial, 1, metrics(0.95))
    study.requeue_lost_trial(trial, "died", deaths=1)
    run(study, 0.7)  # the same parameters
    boards = {"a": board_of(study), "b": small_board({"score": 0.6}, space=space)}
    assert list(boards["a"]["score"]) == [0.7, 0.95]
    merged = merge(boards, BY_ACCURACY)
    assert list(zip(merged["run"], merged["trial"], strict=True))[:2] == [("a", 1), ("b", 0)]


def test_runs_of_a_metric_to_minimise_are_ranked_by_the_smallest(space: SearchSpace) -> None:
    low, high = (small_board({"score": score}, space=space) for score in (0.2, 0.8))
    assert list(merge({"high": high, "low": low}, MetricAlone(LOSS))["run"]) == ["low", "high"]
    assert list(merge({"high": high, "low": low}, BY_ACCURACY)["run"]) == ["high", "low"]


def test_runs_with_other_parameters_and_without_scores_merge(space: SearchSpace) -> None:
    narrow = SearchSpace.from_mapping(
        {
            "name": "narrow",
            "shared": {"learning_rate": {"float": [1e-4, 1e-2]}, "lstm_units": {"int": [8, 64]}},
            "architectures": {"lstm": {}},
        },
        "narrow",
    )
    failed = {"status": TrialStatus.FAILED}
    merged = merge(
        {
            "broken": small_board(failed, failed, space=space),
            "empty": small_board(space=space),
            "narrow": small_board({"score": 0.6}, space=narrow),
            "wide": small_board({"score": 0.7, "filters": 16}, failed, space=space),
        },
        BY_ACCURACY,
    )
    rows = rows_of(to_csv(merged))
    assert [row["run"] for row in rows] == ["wide", "narrow", "broken", "broken", "wide"]
    assert [row["filters"] for row in rows] == ["16", "", "", "", ""]
    assert [row["best_epoch"] for row in rows] == ["1", "1", "", "", ""]
    assert list(merged.columns) == [
        *("run", *CONTRACT_BEFORE, "learning_rate", "lstm_units", "filters", *CONTRACT_AFTER)
    ]
    assert sort_by(merged, "-filters")["run"].iloc[0] == "wide"


def test_merging_ignores_the_order_of_the_runs(space: SearchSpace) -> None:
    failed = {"status": TrialStatus.FAILED}
    boards = {name: small_board({"score": 0.5}, failed, space=space) for name in "abc"}
    expected = to_csv(merge(boards, BY_ACCURACY))
    for order in permutations("abc"):
        assert to_csv(merge({name: boards[name] for name in order}, BY_ACCURACY)) == expected


# -- sorting --------------------------------------------------------------------------------------


def test_sorting_keeps_the_ranks_order_of_equals_and_empty_cells_last(space: SearchSpace) -> None:
    board = small_board(
        {"score": 0.9, "filters": 32},
        {"score": 0.8},
        {"score": 0.7, "filters": 8},
        {"score": 0.6, "filters": 32},
        space=space,
    )
    assert list(sort_by(board, "filters")["trial"]) == [2, 0, 3, 1]
    assert list(sort_by(board, "-filters")["trial"]) == [0, 3, 2, 1]
    assert list(sort_by(board, "-architecture")["trial"]) == [1, 0, 2, 3]
    assert list(sort_by(board, "error")["trial"]) == [0, 1, 2, 3]


def test_an_unknown_column_is_refused_with_the_existing_ones(space: SearchSpace) -> None:
    board = small_board({"score": 0.9}, space=space)
    with pytest.raises(UsageError, match=r"^--sort: no column 'scor'; did you mean score\?$"):
        sort_by(board, "-scor")
    with pytest.raises(UsageError, match=r"^--sort: no column 'xyz'; write one of rank, trial, "):
        sort_by(board, "xyz")


def test_constants_are_shown_where_runs_differ_in_them(tmp_path: Path) -> None:
    folders = []
    for batch_size, more in ((32, {}), (64, {"optimizer": "adamw"}), (64, {"optimizer": "adam"})):
        content = {
            "name": "s",
            "shared": {"batch_size": batch_size, "max_length": 9, **more},
            "architectures": {"lstm": {"lstm_units": {"int": [8, 16]}}},
        }
        study = open_study(
            tmp_path / f"{len(folders)}" / "study.journal", SearchSpace.from_mapping(content, "s")
        )
        run_trial(study, 0.5)
        folders.append(str(tmp_path / f"{len(folders)}"))

    def shown(*numbers: int) -> set[str]:
        return set(read_merged_board([folders[number] for number in numbers]).parameters)

    assert shown(0) == {"lstm_units"}
    assert shown(0, 1) == {"lstm_units", "batch_size", "optimizer"}
    assert shown(0, 2) == {"lstm_units", "batch_size"}  # adam is what a space without it has
