"""Searches that are killed at every kind of moment: the same command again ends as if nothing had happened.

Kills at points are of searches without Ray: what is written between two of them is the same, and Ray's start takes most
of a short search's time. Kills at random moments are of searches that join one Ray, which survives its drivers.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from faults.killing import Search, Tally, kill_at_points, kill_at_random, kill_workers, toy
from support.forked import Forked
from support.searches import make

from tuner.execution.search import run_search
from tuner.kill_points import VARIABLE, KillPoint
from tuner.run import Run
from tuner.run.records import counts_as_finished
from tuner.settings.space import SearchSpace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEED = int(os.environ.get("TUNER_FAULT_SEED", time.time_ns() % 2**31))
RANDOM_KILLS = int(os.environ.get("TUNER_FAULT_KILLS", 4))
# The last ones come when the budget is used up: no trial starts after them.
POINTS = (
    *("folder_claimed:1", "ray_started:1", "file_written:1", "baseline_enqueued:1"),
    *("study_opened:1", "asked:1", "suggested:1", "asked:3", "suggested:3", "retry_enqueued:1"),
    *("retry_marked:1", "epoch_noted:4", "reported:7", "status_noted:2", "told:2"),
    *("model_kept:1", "trial_told:2", "ensemble_recorded:2", "closing:1"),
    "file_written:1",
)

MakeSearch = Callable[..., Search]


@pytest.fixture
def make_search(tmp_path: Path, sentences: Path) -> MakeSearch:
    """A search of toy trials, or of another space."""

    def make_one(
        name: str,
        *arguments: str,
        trials: int,
        space: SearchSpace = TOY,
        without_ray: bool = False,
    ) -> Search:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(sentences, folder / "sentences.csv")
        (folder / "space.yaml").write_text(space.to_yaml(), encoding="utf-8")
        return Search(
            folder,
            ["space.yaml", "--data", "sentences.csv", *arguments],
            trials,
            {"TUNER_CACHE": str(tmp_path / "cache")},
            without_ray=without_ray,
        )

    return make_one


TOY = toy(epoch_seconds=0.05)
TINY = SearchSpace.from_mapping(
    {
        "name": "tiny",
        "max_epochs": 3,
        "shared": {
            "learning_rate": {"float": [1e-3, 1e-2], "log": True},
            "lstm_units": 4,
            "embedding_size": 4,
            "max_length": 10,
            "batch_size": 16,
        },
        "architectures": {"lstm": {}, "cnn_lstm": {"filters": {"int": [2, 4]}}},
        "baselines": [{"architecture": "lstm", "learning_rate": 2e-3}],
    },
    "tiny.yaml",
)


def address() -> str:
    """The address of the Ray that the tests share."""
    from ray._private.worker import _global_node

    assert _global_node is not None
    return str(_global_node.address)


def test_every_kill_point_is_tried() -> None:
    tried = {point.partition(":")[0] for point in (*POINTS, "closed:1")}
    assert tried == set(KillPoint)


def test_a_search_survives_kills_at_every_point(
    make_search: MakeSearch, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally()
    kill_at_points(
        make_search("points", "--trainer=toy", trials=20, without_ray=True), POINTS, tally
    )
    few = make_search("closed", "--trainer=toy", trials=3, without_ray=True)
    kill_at_points(few, ["closed:1"], tally)
    with capsys.disabled():
        print(f"\nat points: {tally}")
    assert tally.problems == []
    assert (tally.kills, tally.lost, tally.doubled) == (len(POINTS) + 1, 0, 0)


@pytest.mark.ray
def test_a_search_survives_kills_at_random_moments(
    shared_ray: None, make_search: MakeSearch, capsys: pytest.CaptureFixture[str]
) -> None:
    joined = ["--trainer", "toy", "--address", address(), "--max-concurrent", "1"]
    tally = Tally()
    kill_at_random(make_search("chance", *joined, trials=20), RANDOM_KILLS, SEED, 5.0, tally)
    with capsys.disabled():
        print(f"\nat random (seed {SEED}): {tally}")
    assert tally.problems == [], f"seed {SEED}"
    assert (tally.kills, tally.lost, tally.doubled) == (RANDOM_KILLS, 0, 0), f"seed {SEED}"


@pytest.mark.ray
def test_a_search_survives_the_deaths_of_its_trials_processes(
    make_search: MakeSearch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--trainer", "toy", "--retries", "100"]
    search, tally = make_search("workers", *settings, trials=12), Tally()
    kills = kill_workers(search, random.Random(SEED), every_s=2.0, most=RANDOM_KILLS)
    kill_at_random(search, 0, SEED, 0.0, tally)
    with capsys.disabled():
        print(f"\ntrials' processes: {kills()} killed, {tally}")
    assert kills() > 0
    assert tally.problems == []
    assert (tally.lost, tally.doubled) == (0, 0)


@pytest.mark.ray
def test_a_search_of_real_models_survives_kills_of_driver_and_worker(
    make_search: MakeSearch, capsys: pytest.CaptureFixture[str]
) -> None:
    search = make_search(
        "real", "--retries=100", "--max-concurrent=1", trials=3, space=TINY
    )  # one process that imports TensorFlow at a time
    tally = Tally()
    # Not to the end: where a new process needs longer than 4 s to its first epoch, no trial would ever end.
    kills = kill_workers(search, random.Random(SEED), every_s=4.0, most=1)
    kill_at_random(search, 1, SEED, 12.0, tally)
    with capsys.disabled():
        print(f"\nreal models: {tally}, {kills()} processes of trials killed as well")
    assert tally.problems == []
    assert tally.kills == 1
    assert (tally.lost, tally.doubled) == (0, 0)


def test_a_confirmation_survives_kills(without_ray: None, sentences: Path, tmp_path: Path) -> None:
    config = make(TOY, sentences, tmp_path, name="x", trials=4)
    run_search(config)
    command = ["confirm", str(config.folder), "--top=3", "--seeds=2"]
    for point in ("reported:5", "retry_marked:1", "status_noted:2", "told:1"):
        killed = Forked(command, tmp_path, {VARIABLE: point})
        _, error = killed.communicate()
        assert killed.returncode == -signal.SIGKILL, (point, error)
    ended = Forked(command, tmp_path)
    _, error = ended.communicate()
    assert ended.returncode == 0, error
    assert list(pd.read_csv(config.folder / "finalists.csv")["seeds"]) == [2, 2, 2]
    study = Run(config.folder).confirmation
    assert study is not None
    assert sum(map(counts_as_finished, study.trials)) == 6
    assert all(trial.state.is_finished() for trial in study.trials)
