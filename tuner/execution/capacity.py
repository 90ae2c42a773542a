"""How many trials may run at once: as many as fit on the present nodes and on those that an autoscaler would add."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tuner.errors import ConfigError
from tuner.settings.config import SearchConfig

# The resources of a node by Ray's names, such as CPU and GPU.
Resources = Mapping[str, float]

_REFRESH_S = 2.0
_ROUNDING = 1e-9  # a third of a GPU, three times, is one


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

    def fit(self, config: SearchConfig) -> int:
        """Trials that the fully grown cluster has room for."""
        fitting = sorted(
            (fit_on(kind.resources, config) for kind in self.node_types for _ in range(kind.most)),
            reverse=True,
        )
        return sum(fitting[: self.most_nodes]) + fit_on(self.head, config)


class Capacity:
    """How many trials may run at once, as nodes come and go.

    Args:
        config: the resources of a trial, and the number of trials at once that the person allows.
        nodes: reads the resources of every living node.
        grown: trials that fit once an autoscaler has started all nodes it may; so many wait for that.
        most: an upper limit for another reason, such as memory.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        config: SearchConfig,
        nodes: Callable[[], Sequence[Resources]],
        *,
        grown: int = 0,
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._nodes = nodes
        self._clock = clock
        self._grown = grown
        self._limits = [limit for limit in (most, config.max_concurrent) if limit is not None]
        self._read_at: float | None = None
        self._trials = 0

    def __call__(self) -> int:
        """The number for now, at least 1: an autoscaler starts a node only for a trial that waits."""
        now = self._clock()
        if self._read_at is None or now - self._read_at >= _REFRESH_S:
            fit = sum(fit_on(node, self._config) for node in self._nodes())
            self._trials = max(1, min([max(fit, self._grown), *self._limits]))
            self._read_at = now
        return self._trials


def fit_on(node: Resources, config: SearchConfig) -> int:
    """Trials that one node has room for; a trial never spans two nodes."""
    fit = node.get("CPU", 0.0) / config.cpus_per_trial
    if config.gpus:
        fit = min(fit, node.get("GPU", 0.0) / config.gpus)
    return int(fit + _ROUNDING)


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
