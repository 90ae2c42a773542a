"""Tune during a search, seen from inside."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.searches import make

from tuner.execution import ray_tune
from tuner.execution.search import run_search
from tuner.execution.trainable import Report
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.ray


def test_what_a_worker_notes_reaches_the_person() -> None:
    notes: list[str] = []
    session: Any = SimpleNamespace(callback_error=None, note=notes.append)
    nothing: Any = None
    scheduler = ray_tune.StudyScheduler(session, nothing, nothing)
    trial: Any = SimpleNamespace(config={"number": 1})
    scheduler.on_trial_result(nothing, trial, Report(note="no MPS here").to_result())
    assert notes == ["no MPS here"]


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
