"""A search whose settings say nothing of GPUs: it takes those of this machine, and records that."""

import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.searches import make

from tuner.errors import ConfigError
from tuner.execution import default_gpus, fork_server, ray_internals, runner
from tuner.execution.cluster import Cluster
from tuner.execution.default_gpus import with_default_gpus
from tuner.execution.interrupts import TimeIsUp
from tuner.execution.search import run_search
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace


@pytest.fixture(autouse=True)
def machine_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_gpus, "default_gpus", lambda: "auto")
    monkeypatch.setattr(ray_internals, "runs_already", lambda: False)  # other tests leave one


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "auto"),
        ({"gpus_per_trial": 0}, 0),
        ({"gpus_per_trial": 0.25}, 0.25),
        ({"address": "10.0.0.1:6379"}, None),  # what is there is not known here
        ({"trainer": "toy"}, None),
    ],
)
def test_gpus_of_this_machine_are_used_where_nobody_has_said(
    space: SearchSpace, settings: dict[str, Any], expected: object
) -> None:
    config = SearchConfig.model_validate({"space": space, **settings})
    assert with_default_gpus(config).gpus_per_trial == expected


def test_a_running_ray_is_asked_for_no_gpu(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_internals, "runs_already", lambda: True)
    assert with_default_gpus(SearchConfig(space=space)).asked_gpus == 0


def test_what_a_search_takes_unasked_depends_on_the_machine_and_is_not_recorded(
    space: SearchSpace, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def measure(config: SearchConfig, *_: object, **__: object) -> None:
        seen.append(config.asked_gpus)
        raise TimeIsUp

    ray = SimpleNamespace(nodes=lambda: [])
    monkeypatch.setattr(
        runner,
        "ray_cluster",
        lambda *_, **__: nullcontext(Cluster(ray, Path(), False)),  # type: ignore[arg-type]
    )
    monkeypatch.setattr(runner, "make_packing", measure)
    outcome = run_search(make(space, sentences, tmp_path, trainer="keras"))
    assert seen == ["auto"]
    assert outcome.run.recorded.config.gpus_per_trial is None


@pytest.mark.parametrize("asked", [None, "auto"])
def test_a_gpu_that_cannot_be_shared_is_left_alone_unless_it_was_asked_for(
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    asked: str | None,
) -> None:
    def measure(config: SearchConfig, *_: object, **__: object) -> None:
        if config.gpus:
            time.sleep(0.2)
            raise ConfigError("--gpus-per-trial: its memory is full")
        raise TimeIsUp

    ray = SimpleNamespace(nodes=lambda: [])
    monkeypatch.setattr(
        runner, "ray_cluster", lambda *_, **__: nullcontext(Cluster(ray, Path(), False))
    )
    monkeypatch.setattr(runner, "make_packing", measure)
    config = make(space, sentences, tmp_path, trainer="keras", gpus_per_trial=asked)
    if asked is not None:
        with pytest.raises(ConfigError, match="its memory is full"):
            run_search(config)
        assert not config.folder.exists()
        return
    run = run_search(config).run
    assert run.recorded.config.gpus_per_trial is None
    assert run.reader.seconds >= 0.2  # what was measured in vain counts to the budget
    said = "tuner: trials train on the CPUs; --gpus-per-trial: its memory is full"
    assert said in capfd.readouterr().err


def test_workers_with_gpus_nobody_asked_for_start_by_themselves_too(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(fork_server.ForkServer, "start", lambda **_: started.append(1))
    with fork_server.fork_server(SearchConfig(space=space)):
        assert not started
