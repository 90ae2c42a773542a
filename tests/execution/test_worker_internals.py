"""Fails when Ray has changed what `tuner.execution.worker_internals` relies on."""

import inspect
import re
from pathlib import Path

import ray

from tuner.execution import worker_internals
from tuner.execution.forked_worker import LANGUAGE, RUNTIME_ENVIRONMENT

RAY = Path(ray.__file__).parent


def test_a_fork_server_can_take_the_place_of_rays_program_that_sets_workers_up() -> None:
    from ray._private import parameter, services
    from ray._private.node import Node

    name = worker_internals.SETUP_PROGRAM
    handed_over = inspect.getsource(getattr(Node, worker_internals.START_RAYLET))
    assert f"self._ray_params.{name}," in handed_over
    assert name in inspect.signature(parameter.RayParams).parameters
    assert name in inspect.signature(services.start_raylet).parameters
    own = (RAY / "_private" / "workers" / "setup_worker.py").read_text()
    assert re.findall(r'"(--[a-z-]+)"', own) == [RUNTIME_ENVIRONMENT, LANGUAGE]
    assert "exec_worker(remaining_args, " in own
    library = (RAY / "_raylet.so").read_bytes()
    assert all(name.encode() in library for name in worker_internals.FIXED_AT_IMPORT)
    raylet = (RAY / "core/src/ray/raylet/raylet").read_bytes()
    assert all(name.encode() in raylet for name in worker_internals.NO_WORKERS_BEFORE)
