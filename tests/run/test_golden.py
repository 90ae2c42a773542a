"""A run folder of an earlier version opens, continues, confirms, tests, exports, predicts and reports."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from support.commands import run_tuner
from support.golden import golden_run

from tuner.data import load_dataset
from tuner.execution.search import run_search
from tuner.export.classifier import Classifier
from tuner.finalists.ranking import finalists_frame, read_finalists
from tuner.report.markdown import markdown
from tuner.report.page import page
from tuner.report.reading import read_runs
from tuner.run import Run
from tuner.run.csv_text import to_csv, write_csv
from tuner.run.evaluations import TEST_SPLIT, read_test_log
from tuner.run.finalists_file import FinalistRow, read_finalists_file
from tuner.run.run_file import check_same_search
from tuner.run.state import Activity, read_run_state
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import make_config
from tuner.terminal.run_state import state_lines


@pytest.fixture
def small(tmp_path: Path) -> Run:
    """Searched, confirmed, tested and exported."""
    return golden_run("small", tmp_path)


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


# The ends of the intervals, and columns that this version did not have.
ADDED = {"low", "high", "worse_at_least", "worse_at_most", "recommended", "selection_bias"}
ADDED |= {name for name in FinalistRow.model_fields if name.startswith(("gap_", "averaged"))}


def assert_same(rows: Sequence[FinalistRow], written: Sequence[FinalistRow]) -> None:
    """Except the ends of the intervals.

    That version estimated the seeds' variance of each finalist alone, counted the noise of single sequences twice, and
    did not correct the first one's interval for its having been chosen.
    """
    for row, before in zip(rows, written, strict=True):
        assert row.model_dump(exclude=ADDED) == before.model_dump(exclude=ADDED)
        assert (row.low, row.high) == pytest.approx((before.low, before.high), abs=0.05)


@pytest.mark.parametrize("name", ["small", "cheap"])
def test_leaderboard_and_curves_are_as_they_were_written(tmp_path: Path, name: str) -> None:
    run = golden_run(name, tmp_path)
    board = run.leaderboard()
    assert (
        board.pop("score_error").isna().all()
    )  # that version did not record how many rows validate
    assert board.pop("starter").isna().all()  # nor had any
    assert to_csv(board) == text_of(run.files.leaderboard)
    assert to_csv(run.curves()) == text_of(run.files.curves)


def test_its_state_is_read(small: Run) -> None:
    state = read_run_state(small)
    assert (state.activity, state.finished, state.trial_budget) == (Activity.FINISHED, 8, 8)
    assert state.counts == {TrialStatus.COMPLETE: 6, TrialStatus.PRUNED: 2}
    assert state.best is not None
    assert (state.best.number, state.best.score) == (1, 0.65)


def test_that_no_weights_of_trials_were_kept_is_told(
    small: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "no trials' weights were kept"
    assert f"ensemble    {told}" in state_lines(read_run_state(small))
    assert f"Ensemble:  {told}" in run_tuner(["leaderboard", str(small.folder)], capsys).out
    for command in ("test", "export"):
        refused = run_tuner([command, str(small.folder), "--members", "trials"], capsys)
        assert refused.refusal == f"{small.folder}: {told}; tuner confirm {small.folder}"
    assert small.ensemble is None


def test_of_two_objectives_the_front_is_read(tmp_path: Path) -> None:
    run = golden_run("cheap", tmp_path)
    assert run.objectives.names == ["val_accuracy", "weights"]
    assert [record.number for record in run.pareto] == [1, 4, 3]


def test_its_finalists_are_as_they_were_written(small: Run) -> None:
    config = small.recorded.config
    dataset = load_dataset(config.data)
    small.recorded.check_same_data(config.data.source, dataset.fingerprint)
    check_same_search(small.files, config, dataset.fingerprint)
    written = read_finalists_file(small.files)
    frame = finalists_frame(read_finalists(small, dataset), small.space)
    write_csv(frame, small.files.finalists)
    assert_same(read_finalists_file(small.files), written)


def test_its_test_log_is_read(small: Run) -> None:
    (evaluation,) = read_test_log(small.files)
    assert (evaluation.data, evaluation.members) == (TEST_SPLIT, ("trial 6, seed 568327097",))
    assert (evaluation.figures.accuracy, evaluation.before) == (0.575, ())


@pytest.mark.parametrize("name", ["small", "cheap"])
def test_it_is_reported(tmp_path: Path, name: str) -> None:
    run = golden_run(name, tmp_path)
    readings = read_runs([str(run.folder)])
    text = markdown(readings)
    assert "0.6500" in text
    assert ("Tested on the test split" in text) == (name == "small")
    assert "<html" in page(readings, datetime(2026, 1, 1))


def test_its_confirmation_is_done(small: Run, capsys: pytest.CaptureFixture[str]) -> None:
    written = read_finalists_file(small.files)
    journal = small.files.journal.read_bytes()
    ended = run_tuner(["confirm", str(small.folder), "--top", "2", "--seeds", "2"], capsys)
    assert ended.code == 0, ended.err
    assert_same(read_finalists_file(small.files), written)
    assert small.files.journal.read_bytes() == journal


@pytest.mark.slow
def test_its_exported_model_predicts_as_one_that_is_exported_now(small: Run) -> None:
    import tuner

    texts = ["a good film", "a dull and awful movie", "the director cannot decide"]
    earlier = Classifier(small.files.model).predict(texts)
    exported = Classifier(tuner.export(small, out=small.folder / "again")).predict(texts)
    pd.testing.assert_frame_equal(exported, earlier, check_exact=False, atol=1e-6)


@pytest.mark.slow
def test_it_is_tested_again_with_the_same_figures(small: Run) -> None:
    import tuner

    (earlier,) = read_test_log(small.files)
    now = tuner.test(small)
    assert now.before == (earlier.opened,)
    assert now.figures.confusion == earlier.figures.confusion
    assert now.figures.roc_auc == pytest.approx(earlier.figures.roc_auc)
    assert now.figures.loss == pytest.approx(earlier.figures.loss, abs=1e-5)


@pytest.mark.slow
def test_it_is_continued(small: Run, without_ray: None) -> None:
    asked = {"trials": 9, "out": str(small.folder.parent)}
    before = small.leaderboard()
    run_search(make_config(asked, config_file=small.files.run_file))
    board = Run(small.folder).leaderboard()
    assert (len(before), len(board)) == (8, 9)
    of_now = ["rank", "score_error"]  # the latter was no column then
    pd.testing.assert_frame_equal(
        board[board["trial"] < 8].sort_values("trial").drop(columns=of_now).reset_index(drop=True),
        before.sort_values("trial").drop(columns=of_now).reset_index(drop=True),
    )
    assert read_run_state(small).activity is Activity.FINISHED
