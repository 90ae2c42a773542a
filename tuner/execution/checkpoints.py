"""Where the checkpoints of a run's trials are kept, if anywhere, and whether all nodes can keep them there.

A trial goes on without checkpoints where none can be written, and a folder of the same name on another machine takes
them although no other node sees them. Without a look at the start both would show only when a node has died.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from tuner.data import Dataset
from tuner.errors import ConfigError
from tuner.execution.faulty_nodes import Node
from tuner.settings.config import SearchConfig
from tuner.settings.places import absolute
from tuner.storage import Storage
from tuner.text import short_reason

_ANSWER_S = 60.0  # a process starts there, and storage far away may take some seconds
_POLL_S = 0.5
_WITHOUT = "trials of a node that dies start anew then"
_ADVICE = f"choose another one, or write 'off': {_WITHOUT}"

# Has nodes run `try_here(place, token, node.id)`; what it returned on each, by the node's id.
AskNodes = Callable[[Sequence[Node], str, str], Mapping[str, str | None]]


def checkpoints_of(config: SearchConfig, dataset: Dataset) -> Storage | None:
    """The folder for this run's checkpoints, which holds nothing else; None where none are kept.

    Raises:
        ConfigError: it cannot be reached.
    """
    if config.storage_path is None:
        return None
    run = f"{absolute(config.out)}/{config.run_name}/{dataset.fingerprint}"
    digest = hashlib.sha256(run.encode()).hexdigest()[:12]
    place = absolute(config.storage_path).rstrip("/")
    try:
        return Storage(f"{place}/tuner-checkpoints/{config.run_name}-{digest}")
    except ConfigError as cause:
        raise ConfigError(f"--storage-path: {cause}; {_ADVICE}") from cause


def remove_checkpoints(config: SearchConfig, dataset: Dataset) -> None:
    """Removes them, where that is possible."""
    with suppress(OSError, ConfigError):
        storage = checkpoints_of(config, dataset)
        if storage is not None:
            storage.remove_all()


def check_writable(storage: Storage | None) -> None:
    """Writes and reads a small file from this machine.

    Raises:
        ConfigError: that fails.
    """
    if storage is None:
        return
    problem = try_here(storage.place, "", "")
    if problem is not None:
        raise ConfigError(f"--storage-path: {problem}; {_ADVICE}")


def check_nodes(
    storage: Storage, nodes: Sequence[Node], ask: AskNodes, notify: Callable[[str], None]
) -> None:
    """Has every node read a file of this machine and write one that this machine reads.

    Args:
        nodes: those that run trials.
        notify: receives a line for the person about nodes of which some cannot.

    Raises:
        ConfigError: none can.
    """
    if not nodes:
        return
    token = uuid4().hex
    try:
        storage.write(_probe(token), token.encode())
        answers = ask(nodes, storage.place, token)
        problems = {
            node.host: answers[node.id] or _problem_seen_here(storage, token, node)
            for node in nodes
        }
    finally:
        for name in (_probe(token), *(_probe(token, node.id) for node in nodes)):
            with suppress(OSError):
                storage.remove(name)
    found = {host: problem for host, problem in problems.items() if problem is not None}
    if not found:
        return
    host, problem = next(iter(found.items()))
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    if len(found) == len(nodes):
        raise ConfigError(
            f"--storage-path: no node can keep checkpoints there ({host}{others}): {problem}; give the nodes the right "
            f"to read and write it, or write 'off': {_WITHOUT}"
        )
    notify(
        f"tuner: --storage-path: {host}{others} cannot keep checkpoints there: {problem}; trials that such a node "
        "loses start anew"
    )


def try_here(place: str, token: str, node: str) -> str | None:
    """Reads the driver's file, where there is a token, then writes and reads one; why that fails, or None.

    Runs on a node, or on this machine.
    """
    try:
        storage = Storage(place)
        if token and storage.read(_probe(token)) != token.encode():
            return f"{storage.place}: does not show what the driver has written there, so it is not shared"
        name, content = _probe(token or uuid4().hex, node), (token or "here").encode()
        storage.write(name, content)
        seen = storage.read(name)
        if not token:
            storage.remove(name)
    except (ConfigError, OSError) as error:
        return short_reason(error, most=300)
    return None if seen == content else f"{place}: does not give back what was written there"


def ask_through_ray(ray: Any, check: Callable[[], None]) -> AskNodes:
    """Asks nodes in tasks of Ray.

    Args:
        check: raises where the search was asked to end.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def ask(nodes: Sequence[Node], place: str, token: str) -> Mapping[str, str | None]:
        task = ray.remote(num_cpus=0, max_retries=0)(try_here)
        asked = {}
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node.id, soft=False)
            answer = task.options(scheduling_strategy=there).remote(place, token, node.id)
            asked[answer] = node.id
        waiting, until = list(asked), time.monotonic() + _ANSWER_S
        while waiting and time.monotonic() < until:
            check()
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_POLL_S)
        return {
            node: f"{place}: no answer within {_ANSWER_S:.0f} s"
            if answer in waiting
            else _answer(ray, answer)
            for answer, node in asked.items()
        }

    return ask


def _answer(ray: Any, answer: Any) -> str | None:
    try:
        problem: str | None = ray.get(answer)
    except ray.exceptions.RayError as error:
        return short_reason(error, most=300)
    return problem


def _problem_seen_here(storage: Storage, token: str, node: Node) -> str | None:
    try:
        if storage.read(_probe(token, node.id)) == token.encode():
            return None
    except OSError as error:
        return short_reason(error, most=300)
    return f"{storage.place}: what it writes there does not arrive here, so it is not shared"


def _probe(token: str, node: str = "") -> str:
    return f"probe-{token}{node}"
