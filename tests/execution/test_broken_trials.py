"""Trials that break, die or hang: a row with its reason, or another try; the search goes on."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from optuna.trial import TrialState
from support.searches import make, toy_command, toy_space

from tuner.errors import SearchError
from tuner.execution import tune_run
from tuner.execution.search import run_search
from tuner.execution.task import Task
from tuner.execution.trainable import TrialActor
from tuner.run import Run
from tuner.run.records import counts_as_finished, failed_on
from tuner.search import watchdog
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.ray


def test_a_trial_that_breaks_is_a_row_with_its_reason_and_the_search_goes_on(
    without_ray: None, sentences: Path, tmp_path: Path
) -> None:
    expected = {
        "fail": ("failed", "ValueError: this toy trial"),
        "diverge": ("diverged", "loss became nan"),
        "memory": ("out_of_memory", "MemoryError"),
    }
    space = toy_space(fault={"choice": ["none", *expected]}, fault_epoch=2)
    board = run_search(make(space, sentences, tmp_path, trials=30, pruner="none")).run.leaderboard()
    assert len(board) == 30
    assert set(board["fault"]) == {"none", *expected}
    for row in board.itertuples():
        status, reason = expected.get(row.fault, ("complete", ""))
        assert row.status == status
        assert reason in ("" if pd.isna(row.error) else row.error)
    worked = board["status"] == "complete"
    assert not worked[worked.sum() :].any()  # broken trials rank last


def test_a_search_whose_every_trial_fails_alike_stops_early_and_prints_why(
    without_ray: None, sentences: Path, tmp_path: Path
) -> None:
    config = make(toy_space(fault="fail"), sentences, tmp_path, trials=50)
    with pytest.raises(SearchError, match="every trial failed in the same way"):
        run_search(config)
    board = Run(config.folder).leaderboard()
    assert 3 <= len(board) < 10
    assert set(board["status"]) == {"failed"}


def test_a_trial_whose_process_always_dies_has_failed_and_others_go_on(
    shared_ray: None, sentences: Path, tmp_path: Path
) -> None:
    mapping = toy_space(fault={"choice": ["none", "crash"]}, fault_epoch=2).to_mapping()
    (architecture,) = mapping["architectures"]
    both = [
        {"architecture": architecture, "learning_rate": 1e-3, "fault": fault, "fault_epoch": 2}
        for fault in ("crash", "none")
    ]
    space = SearchSpace.from_mapping({**mapping, "baselines": both}, "toy.yaml")
    run = run_search(make(space, sentences, tmp_path, trials=2, retries=1)).run
    counted = [t for t in run.study.trials if counts_as_finished(t)]
    board = run.leaderboard().set_index("trial").loc[[trial.number for trial in counted]]
    crashed, worked = (board[board["fault"] == fault] for fault in ("crash", "none"))
    assert list(crashed["status"]) == ["failed"]
    assert all("process died" in error and "(2 times)" in error for error in crashed["error"])
    assert list(worked["status"]) == ["complete"]


def test_a_process_that_does_not_start_is_ended_and_its_trial_runs_again(
    shared_ray: None, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(TrialActor):  # as on a node whose storage hangs
        def setup(self, config: dict[str, Any], *, task: Task) -> None:
            if config["number"] == 1:
                time.sleep(300)
            super().setup(config, task=task)

    monkeypatch.setattr(tune_run, "TrialActor", Stuck)
    # So long that Ray has found a node for the process before, also on a busy machine.
    monkeypatch.setattr(watchdog, "_LONGEST_START_S", 25.0)
    # So many that no other process takes its trial before, as one does that has nothing else to do.
    space = toy_space(epoch_seconds=0.5)
    config = make(space, sentences, tmp_path, trials=55, max_epochs=2, max_concurrent=2)
    trials = run_search(config).run.study.trials
    assert trials[1].user_attrs["error"] == (
        "its process did not start within 25s, so it was ended; runs again"
    )
    assert sum(counts_as_finished(trial) for trial in trials) == 55
    (again,) = (trial for trial in trials if trial.user_attrs.get("retry_of") == 1)
    (node,) = ray.nodes()
    assert failed_on(again) == [node["NodeID"]]  # on several nodes, another one gets it


def test_trials_whose_process_of_four_dies_or_hangs_or_breaks_run_again_and_cost_no_other(
    sentences: Path, tmp_path: Path
) -> None:
    faults = {2: "crash", 7: "hang", 12: "gpu", 17: "poison"}
    # A trial that runs again may be the next one that is told to fail.
    settings = ["--trials", "24", "--pruner", "none", "--retries", "10", "--epoch-timeout=8s"]
    ended = subprocess.run(
        [*toy_command(tmp_path, sentences, epoch_seconds=0.02), *settings, "--cpus-per-trial=0.5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "TUNER_TOY_FAULTS": ",".join(f"{n}:{f}" for n, f in faults.items())},
    )
    assert ended.returncode == 0, ended.stderr
    trials = Run(tmp_path / "runs" / "x").study.trials
    counted = [trial for trial in trials if counts_as_finished(trial)]
    assert len(counted) == 24
    assert {trial.state for trial in counted} == {TrialState.COMPLETE}
    # A process that is poisoned fails every trial that it gets: it gets none.
    assert [trial.number for trial in trials if trial not in counted] == [*faults]
    for lost in faults:
        (again,) = (trial for trial in trials if trial.user_attrs.get("retry_of") == lost)
        assert again.params == trials[lost].params
    reasons = {number: trials[number].user_attrs["error"] for number in faults}
    assert reasons[2] == "its process died; see the run's logs; runs again"
    assert reasons[7].startswith("no epoch within 8s, so its process was ended")
    assert reasons[12].startswith("its GPU failed: RuntimeError: CUDA_ERROR_ILL")
    assert reasons[17].endswith("told to fail every trial; runs again")
    assert "a GPU failed: the trials that were on it run again" in ended.stdout + ended.stderr
