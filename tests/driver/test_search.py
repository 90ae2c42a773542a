"""Whole searches through a real Ray Tune."""

import contextlib
import csv
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tuner.config import SearchConfig, make_config
from tuner.driver import ray_tune
from tuner.driver.progress import Event, EventKind, SearchState
from tuner.driver.search import EndReason, run_search
from tuner.errors import ConfigError, DataError, RunFolderError, SearchError, SpaceError
from tuner.records import counts_as_finished
from tuner.run import Run
from tuner.run_state import Activity, read_run_state
from tuner.space import SearchSpace
from tuner.status import TrialStatus

pytestmark = pytest.mark.ray


class Events:
    """Remembers what the search told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event, state: SearchState) -> None:
        self.events.append(event)


def make(space: SearchSpace, source: Path, out: Path, **settings: Any) -> SearchConfig:
    return make_config(
        {
            "space": space,
            "data": {"source": str(source)},
            "out": str(out),
            "trainer": "toy",
            "trials": 8,
            **settings,
        }
    )


def toy_space(**parameters: Any) -> SearchSpace:
    return SearchSpace.from_mapping(
        {
            "name": "toy",
            "max_epochs": 9,
            "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
            "architectures": {"tuner.trial.toy:curve": parameters},
        },
        "toy.yaml",
    )


def test_a_search_ends_with_its_budget_and_every_trial_is_a_row(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    events = Events()
    outcome = run_search(make(space, sentences, tmp_path / "runs", trials=20), events)
    board = outcome.run.leaderboard()
    assert outcome.reason is EndReason.BUDGET_USED
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


def test_tune_forgets_trials_that_ended(
    shared_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = []
    original = ray_tune.Heartbeat.on_step_end

    def on_step_end(self: ray_tune.Heartbeat, iteration: int, trials: list, **info: object) -> None:
        known.append(len(trials))
        original(self, iteration, trials, **info)

    monkeypatch.setattr(ray_tune.Heartbeat, "on_step_end", on_step_end)
    run_search(make(space, sentences, tmp_path, trials=20))
    assert 1 <= max(known) <= 6  # two run, two wait for their actor, two have just ended


def test_trials_take_the_processes_that_ray_starts_with_itself(shared_ray: None) -> None:
    original = ray_tune.class_cache._ActorClassCache.get
    with ray_tune.workers_at_hand():
        actor = ray_tune.class_cache._ActorClassCache().get(Events)
    assert actor._default_options.get("runtime_env") is None  # any other wants processes of its own
    assert ray_tune.class_cache._ActorClassCache.get is original


def test_the_same_search_again_continues_toward_a_larger_budget(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    first = run_search(make(space, sentences, tmp_path, trials=4))
    before = first.run.leaderboard().set_index("trial")["score"]
    assert (
        run_search(make(space, sentences, tmp_path, trials=4)).reason is EndReason.BUDGET_WAS_USED
    )
    second = run_search(make(space, sentences, tmp_path, trials=7))
    after = second.run.leaderboard().set_index("trial")["score"]
    assert sorted(after.index) == list(range(7))
    assert after.loc[before.index].equals(before)


def test_another_space_or_data_under_the_same_name_is_refused_and_nothing_is_touched(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    config = make(space, sentences, tmp_path, name="mine", trials=2)
    run_search(config)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").iterdir()}
    other = SearchSpace.from_mapping({**space.to_mapping(), "shared": {}, "baselines": []}, "o")
    with pytest.raises(RunFolderError, match="belongs to a search with another space"):
        run_search(make(other, sentences, tmp_path, name="mine", trials=2))
    sample = config.data.model_copy(update={"sample": 100})
    with pytest.raises(RunFolderError, match="belongs to a search with other data"):
        run_search(config.model_copy(update={"data": sample}))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").iterdir()} == files


def test_a_trial_that_breaks_is_a_row_with_its_reason_and_the_search_goes_on(
    shared_ray: None, sentences: Path, tmp_path: Path
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
    assert not worked[worked.sum() :].any()  # what broke ranks last


def test_a_search_whose_every_trial_fails_alike_stops_early_and_says_why(
    shared_ray: None, sentences: Path, tmp_path: Path
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
    space = toy_space(fault={"choice": ["none", "crash"]}, fault_epoch=2)
    config = make(space, sentences, tmp_path, trials=5, pruner="none", retries=1)
    run = run_search(config).run
    counted = [t for t in run.study.trials if counts_as_finished(t)]
    assert len(counted) == 5
    board = run.leaderboard().set_index("trial").loc[[trial.number for trial in counted]]
    crashed = board[board["fault"] == "crash"]
    assert len(crashed) > 0
    assert set(crashed["status"]) == {"failed"}
    assert all("process died" in error and "(2 times)" in error for error in crashed["error"])
    assert set(board[board["fault"] == "none"]["status"]) == {"complete"}


def test_the_time_budget_ends_a_search_in_the_middle_of_an_epoch(
    shared_ray: None, sentences: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"trials": None, "pruner": "none", "max_concurrent": 2}
    space = toy_space(epoch_seconds=60)
    config = make(space, sentences, tmp_path, time_budget="12s", **settings)
    outcome = run_search(config)
    assert outcome.reason is EndReason.BUDGET_USED
    board = outcome.run.leaderboard()
    assert list(board["status"]) == ["failed", "failed"]
    assert list(board["epochs"]) == [0, 0]  # nobody waited for the minute
    assert all("cut off by the end of the search" in error for error in board["error"])
    assert run_search(config).reason is EndReason.BUDGET_WAS_USED


def test_a_used_up_time_budget_can_be_continued_with_a_number_of_trials(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    first = run_search(make(space, sentences, tmp_path, trials=None, time_budget="1s"))
    assert first.run.study is not None
    again = make_config({"trials": 3}, config_file=first.run.folder / "run.yaml")
    outcome = run_search(again)
    assert outcome.run.folder == first.run.folder
    board = outcome.run.leaderboard()
    counted = [not str(error).startswith("cut off") for error in board["error"]]
    assert sum(counted) >= 3


def test_a_file_that_cannot_be_written_stops_the_search_with_the_reason(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    config = make(space, sentences, tmp_path, name="x", trials=3)
    (config.folder / "leaderboard.csv").mkdir(parents=True)
    with pytest.raises(
        SearchError, match=r"the search cannot go on: .*directory.*; finished trials are kept"
    ):
        run_search(config)
    (config.folder / "leaderboard.csv").rmdir()
    board = run_search(config).run.leaderboard()
    assert (board["status"].isin(["complete", "pruned"])).sum() >= 3


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"data": {"source": "nothing.csv"}}, DataError, "no such file|no data set or file"),
        ({"cpus_per_trial": 1000}, ConfigError, "--cpus-per-trial: .* got 1000"),
        ({"gpus_per_trial": 1000}, ConfigError, "--gpus-per-trial: .* got 1000"),
        ({"gpus_per_trial": "auto"}, ConfigError, "--gpus-per-trial auto: no GPU is seen"),
        ({"address": "ray://127.0.0.1:1"}, ConfigError, "Ray Client|Ray runs in this process"),
    ],
)
def test_what_cannot_be_met_leaves_no_run_folder(
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    settings: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    config = make(space, sentences, tmp_path / "runs", **settings)
    with pytest.raises(error, match=message):
        run_search(config)
    assert not (tmp_path / "runs").exists()


def test_a_users_architecture_that_does_not_exist_is_refused(
    sentences: Path, tmp_path: Path
) -> None:
    space = SearchSpace.from_mapping(
        {"name": "x", "architectures": {"nowhere.models:build": {"units": 3}}}, "x.yaml"
    )
    with pytest.raises(SpaceError, match=r"nowhere\.models"):
        run_search(make(space, sentences, tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


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
    outcome = run_search(make(space, sentences, tmp_path, trials=4, trainer="keras"))
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


def test_three_classes_in_chinese_are_searched_by_characters(
    shared_ray: None, tmp_path: Path
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


_SEARCH = [sys.executable, "-c", "from tuner.cli import main; main()", "search"]


@pytest.fixture
def hangups_are_heard() -> Iterator[None]:
    """Also where the tests run under `nohup`: a process inherits what its parent ignores."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups_are_heard")
@pytest.mark.parametrize(
    ("signal_number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_an_interrupted_search_ends_at_once_keeps_what_is_finished_and_continues(
    sentences: Path, tmp_path: Path, signal_number: signal.Signals, code: int
) -> None:
    space = toy_space(epoch_seconds=0.1)
    (tmp_path / "toy.yaml").write_text(space.to_yaml(), encoding="utf-8")
    command = [*_SEARCH, "toy.yaml", "--data", str(sentences), "--trainer", "toy", "--name", "x"]
    search = subprocess.Popen(
        [*command, "--trials", "500"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TUNER_CACHE": str(tmp_path / "cache")},
    )
    assert search.stdout is not None
    for line in search.stdout:
        if "trial 2 " in line and "started" in line:
            break
    os.killpg(search.pid, signal_number)  # as a terminal's Ctrl-C does
    out, error = search.communicate(timeout=60)
    assert search.returncode == code, error
    assert "type the same command again to continue" in out
    assert error == ""
    run = Run(tmp_path / "runs" / "x")
    assert "running" not in set(run.leaderboard()["status"])
    kept = {trial.number for trial in run.study.trials if counts_as_finished(trial)}
    again = run_search(make(space, sentences, tmp_path / "runs", name="x", trials=len(kept) + 3))
    trials = again.run.study.trials
    counted = {trial.number for trial in trials if counts_as_finished(trial)}
    assert kept <= counted
    assert len(counted) == len(kept) + 3
    retried = {trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs}
    assert retried == {trial.number for trial in trials} - counted


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12, with threads
@pytest.mark.usefixtures("hangups_are_heard")
def test_a_terminal_that_goes_ends_the_search_in_good_order(
    sentences: Path, tmp_path: Path
) -> None:
    (tmp_path / "toy.yaml").write_text(toy_space(epoch_seconds=0.1).to_yaml(), encoding="utf-8")
    command = [*_SEARCH, "toy.yaml", "--data", str(sentences), "--trainer", "toy", "--name", "x"]
    process, terminal = pty.fork()
    if not process:
        os.chdir(tmp_path)
        os.environ["TUNER_CACHE"] = str(tmp_path / "cache")
        os.execv(command[0], [*command, "--trials", "500"])
    seen = b""
    while b"3 complete" not in seen:  # the live table
        seen += os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert read_run_state(tmp_path / "runs" / "x").activity is Activity.STOPPED


def test_trials_whose_process_dies_or_hangs_run_again(sentences: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(toy_space().to_yaml(), encoding="utf-8")
    settings = ["--trials", "5", "--pruner", "none", "--max-concurrent", "1", "--epoch-timeout=3s"]
    ended = subprocess.run(
        [*_SEARCH, "toy.yaml", "--data", str(sentences), "--trainer=toy", "--name=x", *settings],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "TUNER_CACHE": str(tmp_path / "cache"),
            "TUNER_TOY_FAULTS": "1:crash,3:hang",
        },
    )
    assert ended.returncode == 0, ended.stderr
    trials = Run(tmp_path / "runs" / "x").study.trials
    assert [trial.user_attrs.get("retry_of") for trial in trials] == [
        None,
        None,
        1,
        None,
        3,
        None,
        None,
    ]
    assert [counts_as_finished(trial) for trial in trials].count(True) == 5
    assert trials[1].user_attrs["error"] == "its process died; see the run's logs; runs again"
    assert trials[3].user_attrs["error"].startswith("no epoch within 3s, so its process was ended")
    for lost in (1, 3):
        assert trials[lost + 1].params == trials[lost].params


@pytest.mark.parametrize("after_s", [0.7, 2.0, 3.0])
def test_a_sigterm_while_ray_starts_ends_the_search_with_143_and_leaves_nothing(
    sentences: Path, tmp_path: Path, after_s: float
) -> None:
    (tmp_path / "toy.yaml").write_text(toy_space(epoch_seconds=0.5).to_yaml(), encoding="utf-8")
    search = subprocess.Popen(
        [*_SEARCH, "toy.yaml", "--data", str(sentences), "--trainer", "toy", "--name", "x"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TUNER_CACHE": str(tmp_path / "cache")},
    )
    assert search.stdout is not None
    assert search.stdout.readline().startswith("reading the data and starting Ray")
    time.sleep(after_s)
    search.terminate()
    out, error = search.communicate(timeout=60)
    assert search.returncode == 143, error
    assert error == "tuner: stopped before the first trial\n" or "Stopped." in out
    assert (tmp_path / "runs" / "x").exists() == ("Stopped." in out)


def test_another_terminal_stops_a_search_and_it_continues(sentences: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(toy_space(epoch_seconds=0.1).to_yaml(), encoding="utf-8")
    command = [*_SEARCH, "toy.yaml", "--data", str(sentences), "--trainer", "toy", "--name", "x"]
    search = subprocess.Popen(
        [*command, "--trials", "500"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TUNER_CACHE": str(tmp_path / "cache")},
    )
    assert search.stdout is not None
    for line in search.stdout:
        if "trial 2 " in line and "started" in line:
            break
    stop = subprocess.run(
        [*_SEARCH[:-1], "stop", "runs/x"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    out, error = search.communicate(timeout=60)
    assert (search.returncode, error) == (0, "")
    assert "type the same command again to continue" in out
    assert stop.stdout.startswith(f"Stopped runs/x (process {search.pid} on ")
    state = read_run_state(tmp_path / "runs" / "x")
    assert state.activity is Activity.STOPPED
    assert state.running == 0


_FULL_DISK = """
import resource, sys
from pathlib import Path
from tuner.config import make_config
from tuner.driver.progress import EventKind
from tuner.driver.search import run_search

config = make_config({"trials": 50, "out": sys.argv[3], "name": "x", "space": sys.argv[1],
                      "data": {"source": sys.argv[2]}, "trainer": "toy", "max_concurrent": 2})
journal = config.folder / "study.journal"

class FillsTheDisk:
    def on_event(self, event, state):
        if event.kind is EventKind.TRIAL_ENDED and state.finished == 4:
            size = journal.stat().st_size + 300
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

run_search(config, FillsTheDisk())
"""


def test_a_disk_that_is_full_stops_the_search_and_the_journal_stays_whole(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(space.to_yaml(), encoding="utf-8")
    arguments = [str(tmp_path / "space.yaml"), str(sentences), str(tmp_path / "runs")]
    ended = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "TUNER_CACHE": str(tmp_path / "cache")},
    )
    assert "JournalTorn: the journal cannot be written: [Errno 27] File too large" in ended.stderr
    run = Run(tmp_path / "runs" / "x")
    with open(run.folder / "leaderboard.csv", newline="", encoding="utf-8") as file:
        assert {None} not in [set(row) for row in csv.DictReader(file)]
    kept = {trial.number for trial in run.study.trials if counts_as_finished(trial)}
    assert len(kept) >= 4
    config = make(space, sentences, tmp_path / "runs", name="x", trials=len(kept) + 2)
    trials = run_search(config).run.study.trials
    counted = {trial.number for trial in trials if counts_as_finished(trial)}
    assert kept <= counted
    assert len(counted) == len(kept) + 2


@pytest.mark.parametrize("daemon", ["raylet", "gcs_server"])
def test_a_ray_that_dies_ends_the_search_with_a_word_and_it_continues(
    sentences: Path, tmp_path: Path, daemon: str
) -> None:
    (tmp_path / "toy.yaml").write_text(toy_space(epoch_seconds=0.1).to_yaml(), encoding="utf-8")
    command = [*_SEARCH, "toy.yaml", "--data", str(sentences), "--trainer", "toy", "--name", "x"]
    environment = {**os.environ, "TUNER_CACHE": str(tmp_path / "cache")}
    search = subprocess.Popen(
        [*command, "--trials", "500"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert search.stdout is not None
    for line in search.stdout:
        if "trial 2 " in line and "started" in line:
            break
    (pid,) = (pid for pid, name in children(search.pid) if name == daemon)
    os.kill(pid, signal.SIGKILL)
    _, error = search.communicate(timeout=60)
    assert search.returncode == 1
    assert error.startswith("tuner: Ray died (its ")
    assert error.endswith(" ended); finished trials are kept, the same command continues\n")
    kept = sum(counts_as_finished(trial) for trial in Run(tmp_path / "runs" / "x").study.trials)
    again = subprocess.run(
        [*command, "--trials", str(kept + 2)], cwd=tmp_path, env=environment, timeout=120
    )
    assert again.returncode == 0
    trials = Run(tmp_path / "runs" / "x").study.trials
    assert sum(counts_as_finished(trial) for trial in trials) == kept + 2


def children(parent: int) -> list[tuple[int, str]]:
    """Pids and names of a process' children (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = stat.read_text().split(" (", 1)
            name, fields = rest.rsplit(") ", 1)
            if int(fields.split()[1]) == parent:
                found.append((int(pid), name))
    return found
