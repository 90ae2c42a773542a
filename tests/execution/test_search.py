"""Whole searches: their results, also through a real Ray Tune, and how they are continued."""

import csv
import socket
from pathlib import Path
from typing import Any

import pytest
from support.searches import make, toy_space
from support.watching import Recorder

from tuner.data import load_dataset
from tuner.errors import RunFolderError
from tuner.execution import run_files, trainable
from tuner.execution.search import SearchPlan, run_search
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.epoch_parts import read_epoch_parts
from tuner.run.events import Event, EventKind, SearchState
from tuner.run.folder import RunFolder
from tuner.run.journal import SEARCH
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialStatus
from tuner.search import session
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.ray


def test_a_search_ends_with_its_budget_and_every_trial_is_a_row(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    events = Recorder()
    outcome = run_search(
        make(space, sentences, tmp_path / "runs", trials=20, pruner="halving"), events
    )
    board = outcome.run.leaderboard()
    assert outcome.reason is SessionEnd.BUDGET_USED
    assert sorted(board["trial"]) == list(range(20))
    assert set(board["status"]) == {"complete", "pruned"}
    baseline = board[board["baseline"]]
    assert list(baseline["status"]) == ["complete"]
    assert list(baseline["epochs"]) == [9]
    ended = [event for event in events.events if event.kind is EventKind.TRIAL_ENDED]
    assert len(ended) == 20
    with open(outcome.run.folder / "leaderboard.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == list(board["trial"])
    with open(outcome.run.folder / "curves.csv", newline="", encoding="utf-8") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == board["epochs"].sum()


def test_the_same_search_again_continues_toward_a_larger_budget(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    first = run_search(make(space, sentences, tmp_path, trials=4))
    before = first.run.leaderboard().set_index("trial")["score"]
    assert (
        run_search(make(space, sentences, tmp_path, trials=4)).reason is SessionEnd.BUDGET_WAS_USED
    )
    second = run_search(make(space, sentences, tmp_path, trials=7))
    after = second.run.leaderboard().set_index("trial")["score"]
    assert sorted(after.index) == list(range(7))
    assert after.loc[before.index].equals(before)


def test_the_time_budget_ends_a_search_in_the_middle_of_an_epoch(
    shared_ray: None, sentences: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"trials": None, "pruner": "none", "max_concurrent": 2}
    space = toy_space(epoch_seconds=60)
    config = make(space, sentences, tmp_path, time_budget="12s", **settings)
    outcome = run_search(config)
    assert outcome.reason is SessionEnd.BUDGET_USED
    board = outcome.run.leaderboard()
    assert list(board["status"]) == ["failed", "failed"]
    assert list(board["epochs"]) == [0, 0]  # it did not wait for the minute
    assert all("interrupted by the end of the search" in error for error in board["error"])
    assert run_search(config).reason is SessionEnd.BUDGET_WAS_USED


class Reading(Recorder):
    """Reads, as `tuner watch` does, how far the trials are."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self.read: set[int] = set()

    def on_event(self, event: Event, state: SearchState) -> None:
        super().on_event(event, state)
        self.read |= set(read_epoch_parts(self.folder, SEARCH))


def test_a_running_epoch_shows_how_far_it_is_and_changes_nothing(
    without_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = run_search(make(space, sentences, tmp_path / "plain", trials=2))
    monkeypatch.setenv("TUNER_TOY_SECONDS", "0.02")
    monkeypatch.setattr(session, "_PROGRESS_EVERY_S", 0.005)
    monkeypatch.setattr(session, "_MOST_PROGRESS_PER_S", 1000)
    monkeypatch.setattr(run_files, "_EVERY_S", 0.0)
    config = make(space, sentences, tmp_path / "shown", trials=2)
    listener = Reading(RunFolder(config.folder))
    shown = run_search(config, listener)
    assert EventKind.EPOCH_CONTINUES in listener.kinds
    assert 0 in listener.read
    assert not listener.folder.epoch_parts.exists()
    columns = ["trial", "status", "score", "epochs"]
    assert shown.run.leaderboard()[columns].equals(plain.run.leaderboard()[columns])
    lines = [each.journal.read_bytes().count(b"\n") for each in (shown.run.files, plain.run.files)]
    assert abs(lines[0] - lines[1]) <= 2  # the seconds searched are recorded by the clock


def test_a_used_up_time_budget_can_be_continued_with_a_number_of_trials(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    first = run_search(make(space, sentences, tmp_path, trials=None, time_budget="1s"))
    assert first.reason is SessionEnd.BUDGET_USED
    again = make_config({"trials": 3}, config_file=first.run.folder / "run.yaml")
    outcome = run_search(again)
    assert outcome.run.folder == first.run.folder
    board = outcome.run.leaderboard()
    counted = [not str(error).startswith("interrupted") for error in board["error"]]
    assert sum(counted) >= 3


def test_a_search_goes_on_in_a_wider_space_and_says_so(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    first = run_search(make(space, sentences, tmp_path, name="x", trials=2))
    before = first.run.leaderboard()
    content = space.to_mapping()
    content["shared"]["lstm_units"] = {"int": [8, 256]}
    content["architectures"]["bilstm"] = {}
    wider = SearchSpace.from_mapping(content, "wider.yaml")
    listener = Recorder()
    run = run_search(make(wider, sentences, tmp_path, name="x", trials=4), listener).run
    more = "lstm_units 8 … 256 in place of 8 … 64 and bilstm"
    assert f"the search goes on in a wider space, with {more}" in listener.notes
    board = run.leaderboard()
    assert len(board) == 4
    columns = ["trial", "status", "architecture", "score", "learning_rate", "lstm_units", "seconds"]
    old = board[board["trial"].isin(before["trial"])][columns].reset_index(drop=True)
    assert old.equals(before[columns])
    assert (run.space, run.recorded.config.space) == (wider, wider)
    again = Recorder()
    config = make_config({"trials": 5}, config_file=run.files.run_file)
    assert len(run_search(config, again).run.leaderboard()) == 5
    assert not any("wider space" in str(note) for note in again.notes)
    with pytest.raises(RunFolderError, match="which does not hold all of 8 … 256; choose"):
        run_search(make(space, sentences, tmp_path, name="x", trials=6))


def test_a_finished_search_keeps_its_space_and_its_models_and_says_so(
    without_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = run_search(make(space, sentences, tmp_path, name="x", trials=7)).run
    settings = run.files.run_file.read_bytes()
    before = sorted(run.files.trial_models.iterdir()), run.ensemble
    content = space.to_mapping()
    content["shared"]["lstm_units"] = {"int": [8, 256]}
    wider = SearchSpace.from_mapping(content, "wider.yaml")
    for searched, asked in ((space, {"ensemble": 2}), (wider, {"no_reference": True})):
        config = make(searched, sentences, tmp_path, name="x", trials=7, **asked)
        assert run_search(config).reason is SessionEnd.BUDGET_WAS_USED
        again = Run(run.folder)
        assert (sorted(run.files.trial_models.iterdir()), again.ensemble) == before
        assert again.space == again.recorded.config.space == space
    assert run.files.run_file.read_bytes() == settings
    told = capfd.readouterr().err
    assert "--ensemble 2 changes nothing; a larger budget continues the search with it, and" in told
    assert "does not become wider (lstm_units 8 … 256 in place of 8 … 64); a larger" in told
    assert "--no-reference changes nothing" in told


def test_a_reference_that_was_left_out_can_be_trained_after_the_last_trial(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"name": "x", "trainer": "keras", "trials": 1, "max_epochs": 1}
    first = run_search(make(space, sentences, tmp_path, no_reference=True, **settings)).run
    assert first.reference is None
    for _ in range(2):
        again = run_search(make(space, sentences, tmp_path, **settings))
        assert again.reason is SessionEnd.BUDGET_WAS_USED
        assert again.run.reference is not None
        assert not Run(first.folder).recorded.config.no_reference


def test_real_models_are_trained_and_ranked(
    shared_ray: None, sentences: Path, tmp_path: Path
) -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "real",
            "max_epochs": 2,
            "shared": {
                "learning_rate": {"float": [1e-3, 1e-2], "log": True},
                "lstm_units": 4,
                "embedding_size": 4,
                "max_length": 10,
                "batch_size": 16,
            },
            "architectures": {"lstm": {}, "cnn_lstm": {"filters": {"int": [2, 4]}}},
        },
        "real.yaml",
    )
    config = make(space, sentences, tmp_path, trials=4, trainer="keras")
    listener = Recorder()
    outcome = run_search(config, listener)
    # The reference is measured beside the first trials, so the ensemble has had it since.
    kinds = listener.kinds
    last = len(kinds) - 1 - kinds[::-1].index(EventKind.TRIAL_ENDED)
    assert kinds.index(EventKind.REFERENCE_MEASURED) < last
    assert listener.state.ensemble is not None
    assert listener.state.ensemble.with_reference is not None
    board = outcome.run.leaderboard()
    assert set(board["status"]) <= {"complete", "pruned"}
    assert board["score"].between(0, 1).all()
    assert (board["weights"] > 0).all()
    assert set(board["device"]) == {"cpu"}
    assert list(board["lstm_units"]) == [4] * 4
    best = outcome.run.best
    assert best is not None
    assert best.score == board["score"].max()
    assert best.status in {TrialStatus.COMPLETE, TrialStatus.PRUNED}
    reference = outcome.run.reference
    assert reference is not None
    assert reference.score == 1.0  # good and bad tell the class
    names = [each.name for each in reference.compared]
    assert names[-1].startswith("trial ")
    assert outcome.run.files.reference.is_file()
    # A session that was killed before it measured the reference leaves that to the next one.
    outcome.run.study.set_user_attr(Attribute.REFERENCE, None)
    again = run_search(config)
    assert again.reason is SessionEnd.BUDGET_WAS_USED
    assert again.run.reference is not None
    # One that went on and was killed leaves the comparisons.
    SearchPlan(config, outcome.run.files, load_dataset(config.data)).open(workers=1)
    withdrawn = Run(config.folder).reference
    assert withdrawn is not None
    assert withdrawn.compared == ()
    measured = run_search(config).run.reference
    assert measured is not None
    assert [each.name for each in measured.compared] == names


def test_three_classes_in_chinese_are_searched_by_characters(
    without_ray: None, tmp_path: Path
) -> None:
    words = {"体育": "球队赢得比赛冠军", "财经": "股市上涨银行利率", "美食": "餐厅菜肴味道鲜美"}
    path = tmp_path / "新闻.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["标题", "类别"])
        for number in range(40):
            for label, text in words.items():
                writer.writerow([f"{text[number % 5 :]}{text}{number}", label])
    space = SearchSpace.from_mapping(
        {
            "name": "zh",
            "max_epochs": 6,
            "shared": {
                "learning_rate": {"float": [1e-2, 3e-2]},
                "lstm_units": 8,
                "embedding_size": 8,
                "max_length": 20,
                "batch_size": 16,
            },
            "architectures": {"bilstm": {}},
        },
        "zh.yaml",
    )
    data = {"text_column": "标题", "label_column": "类别", "tokens": "characters"}
    config = make(space, path, tmp_path / "runs", trials=2, trainer="keras", pruner="none")
    config = config.model_copy(
        update={"data": config.data.model_validate({"source": str(path), **data})}
    )
    board = run_search(config).run.leaderboard()
    assert list(board["status"]) == ["complete", "complete"]
    assert board["score"].max() > 0.8  # chance is a third


def test_a_process_with_other_code_or_versions_than_the_driver_is_named_once(
    without_ray: None, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "_code_in", lambda module: "edited")
    monkeypatch.setattr(trainable, "installed_versions", lambda: {"keras": "2.9"})
    events = Recorder()
    run_search(make(toy_space(), sentences, tmp_path, trials=3), events)
    host = socket.gethostname()
    for note in (f"{host} trains other code of tuner.training.toy:curve", f"{host} has other vers"):
        assert sum(each.startswith(note) for each in events.notes) == 1
