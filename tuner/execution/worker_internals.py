"""Every use of Ray's private parts that changes how its workers start, each with its reason.

As `tuner.execution.ray_internals` has those of the rest of Ray. `tests/execution/test_worker_internals.py` fails when
Ray changes one of them. Must not import Ray at module level.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuner.execution import forked_worker
from tuner.execution.forked_worker import SERVER, SETUP
from tuner.execution.ray_internals import replaced

START_RAYLET = "start_raylet"  # the method that hands over the program that sets workers up
SETUP_PROGRAM = "setup_worker_path"  # of ray._private.parameter.RayParams
# Set while workers are forked: no worker starts before it is wanted, and `ray.init` waits for none
# (src/ray/raylet/worker_pool.cc). They would be there at once.
NO_WORKERS_BEFORE = {"RAY_prestart_worker_first_driver": "0"}
# Ray's library reads them when it is loaded, and never again (src/ray/common/ray_internal_flag_def.h): what is forked
# from a process that has imported Ray has its values.
FIXED_AT_IMPORT = ("RAY_RAYLET_PID", "RAY_JOB_ID")


@contextmanager
def workers_forked(server: Path) -> Iterator[None]:
    """Has the Ray that is started meanwhile run `forked_worker.py` wherever it starts a worker.

    A worker tells Ray its process itself, so it need not be the one that was started
    (ray/_private/workers/default_worker.py).
    """
    from ray._private.node import Node

    original = getattr(Node, START_RAYLET)

    def start_raylet(node: Any, *arguments: Any, **options: Any) -> Any:
        own = getattr(node._ray_params, SETUP_PROGRAM)
        variables = {SERVER: str(server), SETUP: own, **NO_WORKERS_BEFORE}
        os.environ.update(variables)  # the raylet's, and by it the workers'
        try:
            with replaced(node._ray_params, SETUP_PROGRAM, str(Path(forked_worker.__file__))):
                return original(node, *arguments, **options)
        finally:
            for name in variables:
                del os.environ[name]

    with replaced(Node, START_RAYLET, start_raylet):
        yield
