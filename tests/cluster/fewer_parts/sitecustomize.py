"""Python imports this wherever it starts on the tests' hosts and their laptop: leaves out parts of Ray.

tuner uses none of them. With them a command `ray` takes twice the CPU time, and a node half as much again.
"""

import sys
import types
from typing import Any

# Ray Serve's commands, which every command `ray` imports: 1.4 s of a core where FastAPI is installed, as MLflow has it.
sys.modules["ray.serve.scripts"] = None  # type: ignore[assignment]
# Pages of the dashboard, a process each. Of the others jobs need those of nodes and events.
for page in ("data", "metrics", "reporter", "serve", "state", "task_events", "train"):
    name = f"ray.dashboard.modules.{page}.{page}_head"
    sys.modules[name] = types.ModuleType(name)


def start_few_daemons(parameters: Any, is_head: bool) -> None:
    """What RAY_START_HOOK names: `ray start` calls it with a node's parameters (ray/scripts/scripts.py)."""
    parameters.include_log_monitor = False
    parameters.ray_client_server_port = None
