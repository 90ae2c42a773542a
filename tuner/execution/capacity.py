"""How many trials may run at once: as many as fit on the present nodes and on those that an autoscaler would add."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tuner.errors import ConfigError
from tuner.execution.packing import Packing, Resources
from tuner.settings.config import SearchConfig

_REFRESH_S = 2.0


@dataclass(frozen=True)
class NodeType:
    """A kind of node that an autoscaler starts."""

    resources: Resources  # empty when unknown
    most: int


@dataclass(frozen=True)
class Growth:
    """How far an autoscaler may grow a cluster."""

    node_types: tuple[NodeType, ...]
    most_nodes: int  # of all types together
    head: Resources = field(default_factory=dict)  # of the head, for trials

    def fit(self, packing: Packing) -> int:
        """Trials that the fully grown cluster has room for."""
        fitting = sorted(
            (packing.fit(kind.resources) for kind in self.node_types for _ in range(kind.most)),
            reverse=True,
        )
        return sum(fitting[: self.most_nodes]) + packing.fit(self.head)


class Capacity:
    """How many trials may run at once, as nodes come and go and the packing is lowered.

    Args:
        packing: how many trials fit on a node.
        nodes: reads the resources of every living node.
        grown: trials that fit once an autoscaler has started all nodes it may; so many wait for that.
        limits: upper limits for other reasons, such as memory; None is no limit.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        packing: Packing,
        nodes: Callable[[], Sequence[Resources]],
        *,
        grown: Callable[[], int] = lambda: 0,
        limits: Sequence[int | None] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._packing = packing
        self._nodes = nodes
        self._grown = grown
        self._limits = [limit for limit in limits if limit is not None]
        self._clock = clock
        self._read_at: float | None = None
        self._lowered = packing.lowered
        self._trials = 0

    def __call__(self) -> int:
        """The number for now, at least 1: an autoscaler starts a node only for a trial that waits."""
        now = self._clock()
        is_old = self._read_at is None or now - self._read_at >= _REFRESH_S
        if is_old or self._lowered != self._packing.lowered:
            fit = sum(map(self._packing.fit, self._nodes()))
            self._trials = max(1, min([max(fit, self._grown()), *self._limits]))
            self._read_at, self._lowered = now, self._packing.lowered
        return self._trials


def check_fits(
    where: str, config: SearchConfig, nodes: Sequence[Resources], *, gpus_known: bool = True
) -> None:
    """Refuses trials that no node would ever have room for.

    Args:
        where: the nodes, as the message names them.
        nodes: those that exist or could be started.
        gpus_known: whether it is known how many GPUs they have.

    Raises:
        ConfigError: not even one fits.
    """
    cpus = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
    gpus = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
    on_one_node = "" if where == "this machine" else " on its largest node"
    if config.cpus_per_trial > cpus:
        raise ConfigError(
            f"--cpus-per-trial: {where} has {cpus:g} CPUs{on_one_node}, got {config.cpus_per_trial:g}; "
            "ask for fewer"
        )
    if gpus_known and config.gpus > gpus:
        raise ConfigError(
            f"--gpus-per-trial: {where} has {gpus:g} GPUs{on_one_node}, got {config.gpus:g}; "
            "ask for fewer (`tuner doctor` shows all GPUs)"
        )


def read_growth(file: Path) -> Growth | None:
    """The growth of the cluster that `ray up` made; None where this is not the head of such a cluster.

    Args:
        file: the cluster's description as `ray up` leaves it on the head, `~/ray_bootstrap_config.yaml`.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        types = dict(content["available_node_types"])
        # On a person's own machines one type stands for all, and its resources are unknown.
        is_local = content["provider"]["type"] == "local"
        head = (
            types[content["head_node_type"]] if is_local else types.pop(content["head_node_type"])
        )
        return Growth(
            tuple(
                NodeType(_resources(kind), int(kind.get("max_workers", content["max_workers"])))
                for kind in types.values()
            ),
            most_nodes=int(content["max_workers"]),
            head=_resources(head),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _resources(kind: Mapping[str, Any]) -> Resources:
    return {name: float(amount) for name, amount in (kind.get("resources") or {}).items()}
