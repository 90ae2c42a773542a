"""Finalists, trained again. tests/faults and tests/cluster do that through a real Ray."""

import dataclasses
import shutil
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from optuna.trial import FrozenTrial
from support.confirmed_run import Confirmed
from support.in_process import trials_in_this_process
from support.searches import write_sentences

from tuner.data import Dataset, Split, load_dataset
from tuner.errors import RunFolderError, UsageError
from tuner.execution.search import run_search
from tuner.finalists.confirmation import ConfirmationPlan, run_confirmation, wanted_trials
from tuner.finalists.epochs import best_epochs_on_train, fixed_epochs
from tuner.finalists.finalist import Finalist
from tuner.finalists.ranking import (
    better_since,
    compared_with_reference,
    read_finalists,
)
from tuner.finalists.request import Request, confirmation_config
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.events import Event, EventKind, SearchState, SilentListener
from tuner.run.folder import RunFolder
from tuner.run.records import StudyReader, TrialRecord, counts_as_finished, ranked
from tuner.run.run_file import read_run_file, write_run_file
from tuner.run.sessions import SessionEnd
from tuner.run.train_on import TrainOn
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.space import SearchSpace
from tuner.terminal.finalists import print_confirmation

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_ray")]


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


@pytest.fixture(scope="module")
def searched_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RunFolder, SearchConfig]:
    """A search of 12 toy trials."""
    space = SearchSpace.from_mapping(
        {
            "name": "small",
            "max_epochs": 9,
            "shared": {
                "learning_rate": {"float": [1e-4, 1e-2], "log": True},
                "lstm_units": {"int": [8, 64]},
            },
            "architectures": {"lstm": {}, "cnn_lstm": {"filters": {"int": [8, 32]}}},
        },
        "small.yaml",
    )
    folder = tmp_path_factory.mktemp("searched")
    with trials_in_this_process():
        return searched(space, write_sentences(folder), folder)


@pytest.fixture
def folder(searched_once: tuple[RunFolder, SearchConfig], tmp_path: Path) -> RunFolder:
    """A copy of it."""
    shutil.copytree(searched_once[0].path, tmp_path / "mine")
    return RunFolder(tmp_path / "mine")


@pytest.fixture
def dataset(searched_once: tuple[RunFolder, SearchConfig]) -> Dataset:
    """Its data."""
    config = searched_once[1]
    return load_dataset(config.data)


def confirm(
    folder: RunFolder, listener: Any = None, **request: Any
) -> tuple[SessionEnd, pd.DataFrame]:
    outcome = run_confirmation(
        Run(folder.path),
        Request(**{"top": 3, "seeds": 2, **request}),
        confirmation_config(folder, {}),
        listener or SilentListener(),
    )
    return outcome.reason, pd.read_csv(folder.finalists)


def test_the_best_trials_are_trained_again_and_ranked(folder: RunFolder, dataset: Dataset) -> None:
    board = pd.read_csv(folder.leaderboard)
    reason, rows = confirm(folder)
    assert reason is SessionEnd.BUDGET_USED
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
    labels = dataset.splits[Split.CONFIRMATION].labels
    for finalist in read_finalists(Run(folder.path), dataset):
        for member in finalist.members:
            predicted = member.model.probabilities.argmax(axis=1)
            assert member.score == pytest.approx((predicted == labels).mean())


def test_the_same_again_trains_nothing_and_more_seeds_train_only_those(folder: RunFolder) -> None:
    _, first = confirm(folder)
    models = {path: path.stat().st_mtime_ns for path in (folder.path / "finalists").iterdir()}
    reason, again = confirm(folder)
    assert reason is SessionEnd.BUDGET_WAS_USED
    assert again.equals(first)
    reason, more = confirm(folder, seeds=3)
    assert reason is SessionEnd.BUDGET_USED
    assert (more["seeds"] == 3).all()
    after = {path: path.stat().st_mtime_ns for path in (folder.path / "finalists").iterdir()}
    assert len(after) == 9
    assert models.items() <= after.items()


def finalists_of(folder: RunFolder) -> list[Finalist]:
    config = make_config({}, config_file=folder.run_file)
    return read_finalists(Run(folder.path), load_dataset(config.data))


class InterruptsAfter:
    """Presses Ctrl-C when so many trials have ended."""

    def __init__(self, trials: int) -> None:
        self._trials = trials

    def on_event(self, event: Event, state: SearchState) -> None:
        if event.kind is EventKind.TRIAL_ENDED and state.finished == self._trials:
            signal.raise_signal(signal.SIGINT)


def trainings(folder: RunFolder) -> list[FrozenTrial]:
    """The trials of its confirmations that have ended, none of them interrupted."""
    study = Run(folder.path).confirmation
    return [trial for trial in study.trials if counts_as_finished(trial)]


def test_an_interrupted_confirmation_goes_on_and_its_rest_is_not_trained_for_another_one(
    folder: RunFolder,
) -> None:
    reason, some = confirm(folder, InterruptsAfter(3))
    assert reason is SessionEnd.INTERRUPTED
    assert 3 <= some["seeds"].sum() < 6
    with pytest.raises(
        RunFolderError, match=r"its confirmation is not finished \([345] of 6 train"
    ):
        finalists_of(folder)
    done = len(trainings(folder))
    reason, rows = confirm(folder, train_on=TrainOn.BOTH)
    assert (reason, list(rows["seeds"])) == (SessionEnd.BUDGET_USED, [2, 2, 2])
    ways = Counter(trial.user_attrs[Attribute.TRAIN_ON] for trial in trainings(folder))
    assert ways == {TrainOn.TRAIN: done, TrainOn.BOTH: 6}
    assert all(
        (trial.user_attrs[Attribute.STOP_AFTER] is None)
        == (trial.user_attrs[Attribute.TRAIN_ON] == TrainOn.TRAIN)
        for trial in trainings(folder)
    )
    reason, rows = confirm(folder)  # the first one again: what it had is kept
    assert (reason, list(rows["seeds"])) == (SessionEnd.BUDGET_USED, [2, 2, 2])
    assert len(trainings(folder)) == 12


def test_a_smaller_confirmation_trains_no_more_than_it_asks_for(folder: RunFolder) -> None:
    confirm(folder, InterruptsAfter(2), top=8, seeds=5)
    before = len(trainings(folder))
    _, rows = confirm(folder, top=1, seeds=3)
    assert len(trainings(folder)) <= before + 3
    assert list(rows["seeds"]) == [3]


def test_a_confirmation_that_is_refused_leaves_the_finalists_as_they_are(folder: RunFolder) -> None:
    confirm(folder)
    before = folder.journal.read_bytes(), [each.record.number for each in finalists_of(folder)]
    config = confirmation_config(folder, {"cpus_per_trial": 1000})
    with pytest.raises(UsageError, match=r"--cpus-per-trial: .* got 1000"):
        run_confirmation(Run(folder.path), Request(train_on=TrainOn.BOTH), config, SilentListener())
    after = folder.journal.read_bytes(), [each.record.number for each in finalists_of(folder)]
    assert after == before


def test_a_better_trial_found_after_the_confirmation_is_reported(
    space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    folder, config = searched(space, sentences, tmp_path, trials=1)
    confirm(folder, top=1, seeds=1)
    assert better_since(Run(folder.path)) is None
    before = Run(folder.path).best
    best = run_search(config.model_copy(update={"trials": 30})).run.best
    assert best != before
    assert better_since(Run(folder.path)) == best
    confirm(folder, top=1, seeds=1)
    assert better_since(Run(folder.path)) is None


def test_a_trial_that_runs_again_after_it_was_confirmed_is_the_same_finalist(
    folder: RunFolder,
) -> None:
    _, first = confirm(folder, top=1, seeds=1)
    run = Run(folder.path)
    assert run.best is not None
    best = run.study.get_trials()[run.best.number]
    best.user_attrs["retry_of"] = best.number
    run.study.add_trial(best)
    assert better_since(Run(folder.path)) is None
    reason, again = confirm(folder, top=1, seeds=1)
    assert reason is SessionEnd.BUDGET_WAS_USED
    assert again.equals(first)


def test_of_equal_trials_their_mean_decides_what_is_better_since(folder: RunFolder) -> None:
    run = Run(folder.path)
    lucky, second = (run.study.get_trials()[record.number] for record in best_of_run(run)[:2])
    lucky.user_attrs = {
        name: {**figures, "val_accuracy": 0.1} if name.startswith("epoch:") else figures
        for name, figures in lucky.user_attrs.items()
    }
    lucky.intermediate_values = dict.fromkeys(lucky.intermediate_values, 0.1)
    lucky.value = 0.1
    run.study.add_trial(lucky)  # the same parameters with another seed
    _, rows = confirm(folder, top=1, seeds=1)
    assert rows["trial"].tolist() == [second.number]
    assert better_since(Run(folder.path)) is None


def best_of_run(run: Run) -> list[TrialRecord]:
    return ranked(run.reader.records(), run.space.metric)


def test_a_copy_that_went_further_has_its_own_finalists(
    folder: RunFolder, searched_once: tuple[RunFolder, SearchConfig], dataset: Dataset
) -> None:
    config = confirmation_config(folder, {})
    run = Run(folder.path)
    plan = ConfirmationPlan(config, config, run, dataset, Request(top=1, seeds=1))
    plan.check()
    (before,) = plan.wanted
    best = run.study.get_trials()[before.training.trial]
    best.params["learning_rate"] /= 2
    best.user_attrs = {
        name: {**figures, "val_accuracy": 0.999} if name.startswith("epoch:") else figures
        for name, figures in best.user_attrs.items()
    }
    run.study.add_trial(best)
    plan.check()  # once the copy was taken up
    (after,) = plan.wanted
    assert after.training.trial == 12
    assert before.training.trial != 12


def test_a_copy_of_a_run_behind_a_url_is_confirmed_with_data_that_lie_elsewhere(
    searched_once: tuple[RunFolder, SearchConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied = RunFolder(tmp_path / "copied")
    shutil.copytree(searched_once[0].path, copied.path)
    rows, now = Path(searched_once[1].data.source), tmp_path / "now.csv"
    shutil.copy(rows, now)
    content = yaml.safe_load(copied.run_file.read_text())
    data = {**content["data"], "source": str(tmp_path / "before.csv")}
    content = {**content, "data": data, "out": "s3://bucket/x"}
    copied.run_file.write_text(yaml.safe_dump(content, sort_keys=False))
    config = confirmation_config(copied, {"data": {"source": str(now)}})
    outcome = run_confirmation(Run(copied.path), Request(top=2, seeds=1), config, SilentListener())
    assert print_confirmation(outcome, config.data) == 0
    assert "is first" in capsys.readouterr().out
    assert read_run_file(copied).located_data().source == str(now)
    assert read_run_file(copied).config.out == "s3://bucket/x"


def test_a_search_that_died_while_its_space_was_widened_is_not_confirmed(
    folder: RunFolder, searched_once: tuple[RunFolder, SearchConfig], dataset: Dataset
) -> None:
    _, config = searched_once
    content = config.space.to_mapping()
    wider = {**content["shared"], "lstm_units": {"int": [8, 99]}}
    space = SearchSpace.from_mapping({**content, "shared": wider}, "wider.yaml")
    recorded = read_run_file(folder).config
    write_run_file(folder, recorded.model_copy(update={"space": space}), dataset.fingerprint)
    with pytest.raises(RunFolderError, match=r"interrupted while its space was widened; tuner sea"):
        confirm(folder)


@pytest.mark.parametrize("metric", ["val_loss", "val_f1"])
def test_finalists_of_every_metric_have_an_interval_over_sequences(
    sentences: Path, tmp_path: Path, metric: str
) -> None:
    mode = "min" if metric == "val_loss" else "max"
    space = SearchSpace.from_mapping(
        {
            "name": "small",
            "max_epochs": 2,
            "metric": {"name": metric, "mode": mode},
            "shared": {"lstm_units": {"int": [4, 8]}, "max_length": 8, "batch_size": 16},
            "architectures": {"lstm": {}},
        },
        "small.yaml",
    )
    folder, config = searched(space, sentences, tmp_path, trials=2)
    _, rows = confirm(folder, top=2)
    assert list(rows["mean"]) == sorted(rows["mean"], reverse=mode == "max")
    labels = load_dataset(config.data).splits[Split.CONFIRMATION].labels
    for finalist in finalists_of(folder):
        by_seed = [member.score for member in finalist.members]
        assert finalist.scores.shape == (2, len(labels))
        assert finalist.spread.mean == pytest.approx(np.mean(by_seed), abs=1e-5)
        assert finalist.spread.low < finalist.spread.mean <= finalist.spread.high


def test_of_two_objectives_the_front_is_confirmed(
    space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    settings = {"trials": 8, "max_epochs": 2, "objectives": "val_accuracy,weights"}
    folder, config = searched(space, sentences, tmp_path, **settings)
    run = Run(folder.path)
    front = [record.number for record in run.pareto]
    reason, rows = confirm(folder, top=2, seeds=1)
    assert reason is SessionEnd.BUDGET_USED
    assert set(rows["trial"]) == set(front[:2])  # the best of it by the metric
    every = wanted_trials(StudyReader(run.study), config, Request(top=99, seeds=1))
    assert [wanted.training.trial for wanted in every] == front
    assert Run(folder.path).objectives == config.compared_by  # the search is as it was


@pytest.mark.keras
def test_training_on_more_data_takes_the_number_of_epochs_of_fresh_seeds(
    run_once: Confirmed, tmp_path: Path
) -> None:
    shutil.copytree(run_once.folder.path, tmp_path / "mine")
    folder = RunFolder(tmp_path / "mine")
    before = len(list((folder.path / "finalists").iterdir()))
    _, both = confirm(folder, top=1, seeds=1, train_on=TrainOn.BOTH)
    assert len(both) == 1  # not mixed with those that learned from less
    assert folder.reference_of_both.is_file()
    assert len(list((folder.path / "finalists").iterdir())) == before + 2
    (finalist,) = read_finalists(Run(folder.path), run_once.dataset)
    (member,) = finalist.members
    fresh = best_epochs_on_train(Run(folder.path).confirmation, finalist.record.number)
    assert len(fresh) == 2
    assert member.model.figures.epoch == fixed_epochs(finalist.record, [], fresh, 2)
    assert all(np.isfinite(weight).all() for weight in member.model.weights)
    assert finalist.record.weights == sum(weight.size for weight in member.model.weights)


@pytest.mark.keras
def test_the_first_finalist_with_all_its_seeds_is_compared_with_the_reference(
    run_once: Confirmed, folder: RunFolder
) -> None:
    first, metric = run_once.finalists[0], run_once.run.space.metric
    compared = compared_with_reference(first, run_once.folder, run_once.dataset, metric)
    reference = run_once.run.reference
    assert compared is not None
    assert reference is not None
    assert compared.name == f"trial {first.record.number}"
    raw = first.spread.mean - reference.score
    assert compared.gain == pytest.approx(raw - first.selection_bias, abs=1e-5)
    assert compared.low <= compared.gain <= compared.high
    alone = dataclasses.replace(first, reference=None)
    assert compared_with_reference(alone, folder, run_once.dataset, metric) is None  # of toys


def test_a_run_that_was_not_confirmed_has_no_finalists(folder: RunFolder, dataset: Dataset) -> None:
    with pytest.raises(RunFolderError, match=f"no finalists yet; tuner confirm {folder.path}"):
        read_finalists(Run(folder.path), dataset)


def test_missing_data_is_refused_in_one_line(folder: RunFolder) -> None:
    written = folder.run_file.read_text(encoding="utf-8")
    folder.run_file.write_text(written.replace("sentences.csv", "gone.csv"), encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"gone\.csv: the data of .* are not there; if they were moved"
    ):
        confirm(folder)
    assert not folder.finalists.exists()


def test_a_model_that_was_removed_or_damaged_is_reported(
    folder: RunFolder, dataset: Dataset
) -> None:
    confirm(folder, top=1, seeds=1)
    (model,) = (folder.path / "finalists").iterdir()
    model.write_bytes(model.read_bytes()[:-40])
    with pytest.raises(RunFolderError, match=f"{model}: damaged"):
        read_finalists(Run(folder.path), dataset)
    model.unlink()
    with pytest.raises(RunFolderError, match="no finalist has a model; tuner confirm"):
        read_finalists(Run(folder.path), dataset)
    reason, rows = confirm(folder, top=1, seeds=1)  # as the message advises
    assert reason is SessionEnd.BUDGET_USED
    assert list(rows["seeds"]) == [1]
    assert model.is_file()
