"""Searches that cannot run are refused, and nothing is touched."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.searches import make, toy_command

from tuner.errors import ConfigError, DataError, RunFolderError, SearchError, SpaceError, UsageError
from tuner.execution import runner
from tuner.execution.search import run_search
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.ray


def test_another_space_or_data_under_the_same_name_is_refused_and_nothing_is_touched(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
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


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"data": {"source": "nothing.csv"}}, DataError, "no such file|no data set or file"),
        ({"cpus_per_trial": 1000}, ConfigError, "--cpus-per-trial: .* got 1000"),
    ],
)
def test_a_refused_request_leaves_no_run_folder(
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


def test_an_address_beside_a_ray_that_runs_here_is_refused(
    shared_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    config = make(space, sentences, tmp_path / "runs", address="127.0.0.1:1")
    with pytest.raises(ConfigError, match="Ray runs in this process already; write 'off'"):
        run_search(config)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "ray://127.0.0.1:1",
            "--address ray://127.0.0.1:1: a search cannot run through Ray Client",
        ),
        ("127.0.0.1:1", "--address 127.0.0.1:1: no Ray cluster answers there"),
    ],
)
def test_an_address_where_no_search_can_run_is_refused(
    sentences: Path, tmp_path: Path, address: str, message: str
) -> None:
    command = [*toy_command(tmp_path, sentences), "--address", address]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert (ended.returncode, message in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_second_search_in_one_process_is_refused_at_once(
    space: SearchSpace, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def second(*_: object) -> None:
        with pytest.raises(UsageError, match="another search or confirmation runs in this process"):
            run_search(make(space, sentences, tmp_path, name="second"))
        refused.append("second")
        raise SearchError("enough")

    monkeypatch.setattr(runner, "_run_alone", second)
    for _ in range(2):  # the first one's end lets another begin
        with pytest.raises(SearchError, match="enough"):
            run_search(make(space, sentences, tmp_path, name="first"))
    assert refused == ["second", "second"]
    assert not (tmp_path / "second").exists()
