"""Whole searches by two objectives."""

import csv
from pathlib import Path

import pytest
from faults.killing import Search, Tally, kill_at_points
from support.watching import Recorder

import tuner
from tuner.errors import RunFolderError
from tuner.execution.search import run_search
from tuner.run import Run
from tuner.run.events import EventKind
from tuner.run.leaderboard import only_front
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.pareto_fronts import dominates
from tuner.settings.space import SearchSpace

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_ray")]


@pytest.fixture
def asked(space: SearchSpace, sentences: Path, tmp_path: Path) -> SearchConfig:
    return make_config(
        {
            "space": space,
            "data": {"source": str(sentences)},
            "out": str(tmp_path / "runs"),
            "name": "x",
            "trainer": "toy",
            "trials": 14,
            "max_epochs": 3,
            "objectives": "val_accuracy,weights",
        }
    )


def test_a_search_by_two_objectives_ends_with_its_front(asked: SearchConfig) -> None:
    recorder = Recorder()
    run = run_search(asked, recorder).run
    board = run.leaderboard()
    assert set(board["status"]) == {"complete"}
    assert set(board["epochs"]) == {3}  # nothing is pruned
    assert list(board["score"]) == sorted(board["score"], reverse=True)
    assert 1 < len(run.pareto) < 14
    values = {trial.number: (-trial.values[0], trial.values[1]) for trial in run.study.trials}
    for record in run.pareto:
        assert not any(dominates(other, values[record.number]) for other in values.values())
    assert list(only_front(board)["trial"]) == [record.number for record in run.pareto]
    front_shown = [trial.number for trial in recorder.states_at(EventKind.TRIAL_ENDED)[-1].front]
    assert front_shown == [record.number for record in run.pareto]
    assert run.best == run.pareto[0]
    assert {trial.number for trial in run.study.best_trials} == set(front_shown)
    with open(run.folder / "leaderboard.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["pareto"] == "True" for row in rows] == list(board["pareto"])


def test_the_same_search_goes_on_and_another_pair_is_refused_and_touches_nothing(
    asked: SearchConfig,
) -> None:
    first = run_search(asked.model_copy(update={"trials": 4})).run.study.trials
    files = {path: path.stat().st_mtime_ns for path in asked.folder.iterdir()}
    for objectives in (None, ("val_accuracy", "seconds_per_epoch")):
        with pytest.raises(
            RunFolderError, match="with objectives val_accuracy,weights, not val_ac"
        ):
            run_search(asked.model_copy(update={"objectives": objectives}))
    assert {path: path.stat().st_mtime_ns for path in asked.folder.iterdir()} == files
    run = tuner.search(
        config=asked.folder / "run.yaml",
        trials=7,
        objectives=("val_accuracy", "weights"),
        progress=False,
    )
    trials = run.study.trials
    assert [trial.values for trial in trials[:4]] == [trial.values for trial in first]
    assert len(trials) == 7
    assert all(len(trial.values) == 2 for trial in trials)


def test_a_search_by_two_objectives_survives_kills(
    asked: SearchConfig, sentences: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "typed"
    folder.mkdir()
    (folder / "space.yaml").write_text(asked.space.to_yaml(), encoding="utf-8")
    options = "--trainer toy --max-epochs 3 --objectives val_accuracy,weights"
    arguments = ["space.yaml", "--data", str(sentences), *options.split()]
    search = Search(
        folder, arguments, 8, {"TUNER_CACHE": str(tmp_path / "cache")}, without_ray=True
    )
    tally = Tally()
    kill_at_points(search, ["epoch_noted:5", "status_noted:2"], tally)
    assert tally.problems == []
    assert (tally.kills, tally.lost, tally.doubled) == (2, 0, 0)
    run = Run(search.run)
    assert [direction.name for direction in run.study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert run.objectives == asked.compared_by
    board = run.leaderboard()
    interrupted = board[board["error"].fillna("").str.startswith("interrupted")]
    assert len(interrupted) == 2
    assert not interrupted["pareto"].any()  # the next try is ranked instead
