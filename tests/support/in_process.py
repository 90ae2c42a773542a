"""Searches and confirmations whose trials run one after the other in this process, without Ray.

Starting Ray and a process per search takes seconds; most tests of what a session records need neither. All but
`tuner.execution.tune_run` and the cluster is the program's own: its searcher, scheduler, heartbeat and trainable are
called as Tune calls them, which `tests/execution` shows with a real Ray. No trial may end this process.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from tuner.execution import fork_server, ray_internals, runner, trainable, tune_run
from tuner.execution.cluster import Cluster
from tuner.execution.task import Task
from tuner.execution.trainable import TrialActor
from tuner.training import devices

_NODE = {
    "NodeID": "here",
    "Alive": True,
    "NodeManagerAddress": "127.0.0.1",
    "NodeManagerHostname": "here",
    "Resources": {"CPU": 2.0},
}


class _Trial:
    """A trial as Tune shows it to callbacks."""

    status = "RUNNING"

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config


class _Controller:
    """Tune's controller of one process, which `retire` has it end."""

    def __init__(self) -> None:
        self._started_actors: set[str] = set()
        self._trial_to_actor: dict[_Trial, str] = {}
        self._process: TrialActor | None = None

    def start(self, trial: _Trial, task: Task) -> TrialActor:
        if self._process is None or not self._started_actors:
            self._process = TrialActor.__new__(TrialActor)
            self._process.setup(trial.config, task=task)
            self._started_actors = {"process"}
        else:
            self._process.reset_config(trial.config)
        self._trial_to_actor = {trial: "process"}
        return self._process

    def get_trials(self) -> list[_Trial]:
        return list(self._trial_to_actor)


def _run_trials(
    session: Any, task: Task, searcher: Any, scheduler: Any, heartbeat: Any, cluster: Any
) -> None:
    """In place of `tuner.execution.tune_run.run_trials`."""
    controller = _Controller()
    steps = count()
    while True:
        heartbeat.on_step_begin(next(steps), [])
        trial_id = f"id-{next(steps)}"
        config = searcher.suggest(trial_id)
        if config == "FINISHED":
            return
        trial = _Trial(config)
        heartbeat.on_trial_start(next(steps), [trial], trial)
        process = controller.start(trial, task)
        is_over = False
        while not is_over:
            result = process.step()
            is_over = result["done"]
            if not is_over:
                is_over = scheduler.on_trial_result(controller, trial, result) == "STOP"
            if is_over:
                searcher.on_trial_complete(trial_id, result=result)
                scheduler.on_trial_complete(controller, trial, result)
            heartbeat.on_step_end(next(steps), [] if is_over else [trial])


@contextmanager
def _cluster(*_: object, **__: object) -> Iterator[Cluster]:
    """This machine with two CPUs, in place of `tuner.execution.cluster.ray_cluster`."""
    ray: Any = SimpleNamespace(nodes=lambda: [_NODE])
    before = os.environ.get(ray_internals.PENDING_TRIALS)
    try:
        yield Cluster(ray, Path("unused"), is_ours=True)
    finally:
        if before is None:
            os.environ.pop(ray_internals.PENDING_TRIALS, None)


@contextmanager
def trials_in_this_process() -> Iterator[None]:
    """Whatever searches or confirms inside does so without Ray."""
    with ExitStack() as stack:
        for module, name, ours in (
            (runner, "ray_cluster", _cluster),
            (tune_run, "run_trials", _run_trials),
            (fork_server.ForkServer, "start", lambda **given: SimpleNamespace(close=lambda: None)),
            # The output is pytest's, and TensorFlow, its devices and its objects are other tests', too.
            (trainable, "_redirect_output", lambda logs: None),
            (trainable, "_freeze_imports", lambda: None),
            (devices, "configure_device", lambda **share: None),
        ):
            stack.enter_context(patch.object(module, name, ours))
        yield
