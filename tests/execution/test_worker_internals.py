"""Fails when Ray has changed what `tuner.execution.worker_internals` relies on."""

import inspect
from pathlib import Path

import ray

from tuner.execution import worker_internals

RAY = Path(ray.__file__).parent


def test_a_fork_server_can_take_the_place_of_rays_program_for_workers() -> None:
    from ray._private import parameter, services
    from ray._private.node import Node

    handed_over = inspect.getsource(getattr(Node, worker_internals.START_RAYLET))
    assert f"self._ray_params.{worker_internals.WORKER_PROGRAM}," in handed_over
    assert worker_internals.WORKER_PROGRAM in inspect.signature(parameter.RayParams).parameters
    assert worker_internals.WORKER_PROGRAM in inspect.signature(services.start_raylet).parameters
    library = (RAY / "_raylet.so").read_bytes()
    assert all(name.encode() in library for name in worker_internals.FIXED_AT_IMPORT)
    raylet = (RAY / "core/src/ray/raylet/raylet").read_bytes()
    assert all(name.encode() in raylet for name in worker_internals.NO_WORKERS_BEFORE)
