"""Finalists, trained again through a real Ray."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tuner.config import SearchConfig, make_config
from tuner.data import Split, load_dataset
from tuner.driver.progress import Event, EventKind, SearchState, SilentListener
from tuner.driver.search import EndReason, run_search
from tuner.errors import RunFolderError, UsageError
from tuner.finalists.confirmation import run_confirmation, wanted_trials
from tuner.finalists.ranking import read_finalists
from tuner.finalists.request import Request, TrainOn, confirmation_config
from tuner.records import StudyReader
from tuner.run import Run
from tuner.run_folder import RunFolder
from tuner.space import SearchSpace

pytestmark = pytest.mark.ray


def searched(
    space: SearchSpace, sentences: Path, out: Path, **settings: Any
) -> tuple[RunFolder, SearchConfig]:
    asked: Mapping[str, Any] = {
        "space": space,
        "data": {"source": str(sentences)},
        "out": str(out),
        "name": "mine",
        "trainer": "toy",
        "trials": 12,
        **settings,
    }
    config = make_config(asked)
    run_search(config)
    return RunFolder(out / "mine"), config


def confirm(
    folder: RunFolder, listener: Any = None, **request: Any
) -> tuple[EndReason, pd.DataFrame]:
    outcome = run_confirmation(
        folder,
        Request(**{"top": 3, "seeds": 2, **request}),
        confirmation_config(folder, {}),
        listener or SilentListener(),
    )
    return outcome.reason, pd.read_csv(folder.finalists)


def test_the_best_trials_are_trained_again_and_ranked(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    folder, config = searched(space, sentences, tmp_path)
    board = pd.read_csv(folder.leaderboard)
    reason, rows = confirm(folder)
    assert reason is EndReason.BUDGET_USED
    assert list(rows["rank"]) == [1, 2, 3]
    assert set(rows["trial"]) == set(board["trial"].head(3))
    assert list(rows["mean"]) == sorted(rows["mean"], reverse=True)
    assert (rows["seeds"] == 2).all()
    assert ((rows["low"] <= rows["mean"]) & (rows["mean"] <= rows["high"])).all()
    scores = board.set_index("trial")["score"]
    for row in rows.itertuples():
        assert row.search_score == pytest.approx(scores[row.trial])
        assert row.optimism == pytest.approx(row.search_score - row.mean, abs=1e-5)
    assert pd.read_csv(folder.leaderboard).equals(board)  # the search is as it was
    finalists = read_finalists(folder, load_dataset(config.data, seed=config.seed))
    labels = load_dataset(config.data, seed=config.seed).splits[Split.CONFIRMATION].labels
    for finalist in finalists:
        for member in finalist.members:
            said = member.model.probabilities.argmax(axis=1)
            assert member.score == pytest.approx((said == labels).mean())


def test_the_same_again_trains_nothing_and_more_seeds_train_only_those(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    folder, _ = searched(space, sentences, tmp_path)
    _, first = confirm(folder)
    models = {path: path.stat().st_mtime_ns for path in (folder.path / "finalists").iterdir()}
    reason, again = confirm(folder)
    assert reason is EndReason.BUDGET_WAS_USED
    assert again.equals(first)
    reason, more = confirm(folder, seeds=3)
    assert reason is EndReason.BUDGET_USED
    assert (more["seeds"] == 3).all()
    after = {path: path.stat().st_mtime_ns for path in (folder.path / "finalists").iterdir()}
    assert len(after) == 9
    assert models.items() <= after.items()


class InterruptsAfter:
    """Presses Ctrl-C when so many trials have ended."""

    def __init__(self, trials: int) -> None:
        self._trials = trials

    def on_event(self, event: Event, state: SearchState) -> None:
        if event.kind is EventKind.TRIAL_ENDED and state.finished == self._trials:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupted_confirmation_goes_on_where_it_stopped(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    folder, _ = searched(space, sentences, tmp_path)
    reason, some = confirm(folder, InterruptsAfter(3))
    assert reason is EndReason.INTERRUPTED
    assert 3 <= some["seeds"].sum() < 6
    reason, rows = confirm(folder)
    assert reason is EndReason.BUDGET_USED
    assert list(rows["seeds"]) == [2, 2, 2]


def test_of_two_objectives_the_front_is_confirmed(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    settings = {"trials": 8, "max_epochs": 2, "objectives": "val_accuracy,weights"}
    folder, config = searched(space, sentences, tmp_path, **settings)
    run = Run(folder.path)
    front = [record.number for record in run.pareto]
    reason, rows = confirm(folder, top=2, seeds=1)
    assert reason is EndReason.BUDGET_USED
    assert set(rows["trial"]) == set(front[:2])  # the best of it by the metric
    every = wanted_trials(StudyReader(run.study), config, Request(top=99, seeds=1))
    assert [wanted.finalist for wanted in every] == front
    assert Run(folder.path).objectives == config.two_objectives  # the search is as it was


def test_with_more_to_learn_from_the_number_of_epochs_is_the_searchs(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    settings = {"trainer": "keras", "trials": 3, "max_epochs": 2}
    folder, config = searched(space, sentences, tmp_path, **settings)
    _, alone = confirm(folder, top=1, seeds=1)
    _, both = confirm(folder, top=1, seeds=1, train_on=TrainOn.BOTH)
    assert len(alone) == len(both) == 1  # not mixed
    assert len(list((folder.path / "finalists").iterdir())) == 2
    (finalist,) = read_finalists(folder, load_dataset(config.data, seed=config.seed))
    (member,) = finalist.members
    assert member.model.figures.epoch == finalist.record.best_epoch
    assert all(np.isfinite(weight).all() for weight in member.model.weights)
    assert finalist.record.weights == sum(weight.size for weight in member.model.weights)


def test_a_run_that_was_not_confirmed_has_no_finalists(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    folder, config = searched(space, sentences, tmp_path, trials=1)
    with pytest.raises(RunFolderError, match=f"no finalists yet; tuner confirm {folder.path}"):
        read_finalists(folder, load_dataset(config.data, seed=config.seed))


def test_data_that_is_not_here_any_more_is_one_line(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    folder, _ = searched(space, sentences, tmp_path)
    sentences.unlink()
    with pytest.raises(UsageError, match="no such file"):
        confirm(folder)
    assert not folder.finalists.exists()


def test_a_model_that_was_removed_or_damaged_is_said(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    folder, config = searched(space, sentences, tmp_path)
    confirm(folder, top=1, seeds=1)
    (model,) = (folder.path / "finalists").iterdir()
    dataset = load_dataset(config.data, seed=config.seed)
    model.write_bytes(model.read_bytes()[:-40])
    with pytest.raises(RunFolderError, match=f"{model}: damaged"):
        read_finalists(folder, dataset)
    model.unlink()
    with pytest.raises(RunFolderError, match="no finalist has ended yet; tuner confirm"):
        read_finalists(folder, dataset)
    reason, rows = confirm(folder, top=1, seeds=1)  # as the message says
    assert reason is EndReason.BUDGET_USED
    assert list(rows["seeds"]) == [1]
    assert model.is_file()
