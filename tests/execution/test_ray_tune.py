"""What Tune does for a search, seen from inside."""

from pathlib import Path

import pytest
from support.searches import Events, make

from tuner.execution import ray_tune
from tuner.execution.search import run_search
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.ray


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
