"""How many trials may run at once on this machine and on a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.watching import Clock

from tuner.errors import ConfigError
from tuner.execution.capacity import Capacity, Growth, NodeType, check_fits, read_growth
from tuner.execution.cluster import Cluster as RayCluster
from tuner.execution.packing import GpuKind, Packing
from tuner.machine import Memory
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace

LAPTOP = {"CPU": 2.0}
GPUS = {"CPU": 48.0, "GPU": 4.0}


@pytest.fixture
def config(space: SearchSpace) -> Any:
    def _config(**settings: object) -> SearchConfig:
        return SearchConfig.model_validate({"space": space, **settings})

    return _config


class Cluster:
    """Nodes that join and leave, and a clock."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self.nodes = list(nodes)
        self.clock = Clock(0.0)

    def capacity(self, packing: Packing, **options: Any) -> Capacity:
        return Capacity(packing, lambda: self.nodes, clock=self.clock, **options)


def packing(cpus: float = 1, gpus: float = 0.0) -> Packing:
    """That of trials which need no memory."""
    return Packing(cpus, gpus, [GpuKind(None, None, 1)] if 0 < gpus < 1 else [])


@pytest.mark.parametrize(
    ("settings", "trials"),
    [
        ({}, 98),
        ({"cpus": 4}, 24),  # 12 on each of two nodes
        ({"cpus": 32}, 2),  # a trial never spans two
        ({"gpus": 1.0}, 8),
        ({"gpus": 0.25}, 32),
        ({"gpus": 0.3}, 24),  # a trial's part comes from one GPU
        ({"gpus": 0.25, "cpus": 6}, 16),
    ],
)
def test_as_many_trials_as_fit_on_each_node(settings: dict[str, float], trials: int) -> None:
    assert Cluster(GPUS, GPUS, LAPTOP).capacity(packing(**settings))() == trials


def test_of_several_limits_the_lowest_counts() -> None:
    capacity = Cluster({"CPU": 64}).capacity(packing(), limits=[10, None, 7])
    assert capacity() == 7


def test_a_lowered_packing_counts_at_once() -> None:
    shared = packing(gpus=0.25)
    capacity = Cluster(GPUS).capacity(shared)
    assert capacity() == 16
    shared.lower()
    assert capacity() == 8


def test_a_node_that_joins_is_used_and_one_that_leaves_is_not() -> None:
    cluster = Cluster(LAPTOP)
    capacity = cluster.capacity(packing())
    assert capacity() == 2
    cluster.nodes.append({"CPU": 8.0})
    assert capacity() == 2  # Ray is not asked at every step
    cluster.clock.now += 2
    assert capacity() == 10
    cluster.nodes.clear()
    cluster.clock.now += 2
    assert capacity() == 1  # one waits for a node


def test_on_a_cluster_that_grows_trials_wait_for_all_its_nodes() -> None:
    growth = Growth((NodeType(GPUS, 4), NodeType({"CPU": 8}, 10)), most_nodes=5)
    assert growth.fit(packing(gpus=0.25)) == 4 * 16
    assert growth.fit(packing(gpus=0.3)) == 4 * 12
    assert growth.fit(packing()) == 4 * 48 + 8
    cluster = Cluster({"CPU": 0})
    assert cluster.capacity(packing(), grown=lambda: 64)() == 64
    assert cluster.capacity(packing(), grown=lambda: 64, limits=[7])() == 7
    cluster.nodes = [{"CPU": 100}]
    assert cluster.capacity(packing(), grown=lambda: 64)() == 100


class Ray:
    """Stands for Ray as a cluster asks it."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self._nodes = nodes

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": node} for node in self._nodes]


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a head; variables that a search sets are removed again."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")
    return tmp_path


def joined(*nodes: dict[str, float]) -> RayCluster:
    return RayCluster(Ray(*nodes), Path(), is_ours=False)  # type: ignore[arg-type]


def test_before_the_first_node_of_a_cluster_that_grows_has_come_trials_wait(
    config: Any, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="the cluster has 0 CPUs"):
        joined({"CPU": 0}).check(config())
    with monkeypatch.context() as kuberay:
        kuberay.setenv("RAY_USAGE_STATS_KUBERAY_IN_USE", "1")
        assert joined({}).capacity(config(max_concurrent=32), packing())() == 32
        assert joined({}).capacity(config(), packing())() == 1
        with pytest.raises(ConfigError, match="the cluster has 2 CPUs on its largest node, got 3"):
            joined(LAPTOP).check(config(cpus_per_trial=3))
    write_bootstrap(head / "ray_bootstrap_config.yaml")
    assert joined({}).capacity(config(), packing(gpus=0.25))() == 3 * 16
    with pytest.raises(ConfigError, match="the cluster has 48 CPUs on its largest node, got 49"):
        joined({}).check(config(cpus_per_trial=49))


def test_memory_limits_the_trials_on_this_machine(
    config: Any, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.execution.cluster.memory", lambda: Memory(2**34, 10 * 2**30))
    ours = RayCluster(Ray({"CPU": 64}), Path(), is_ours=True)  # type: ignore[arg-type]
    assert ours.capacity(config(), Packing(1, host_mb=1500))() == 6
    assert ours.capacity(config(), Packing(1, host_mb=99_999))() == 1


@pytest.mark.parametrize(
    ("settings", "nodes", "problem"),
    [
        (
            {"cpus_per_trial": 49},
            [LAPTOP, GPUS],
            "--cpus-per-trial: the cluster has 48 CPUs on its largest node",
        ),
        (
            {"gpus_per_trial": 1},
            [LAPTOP],
            "--gpus-per-trial: the cluster has 0 GPUs on its largest node",
        ),
    ],
)
def test_a_trial_that_no_node_has_room_for_is_refused(
    config: Any, settings: dict[str, object], nodes: list[dict[str, float]], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        check_fits("the cluster", config(**settings), nodes)


def write_bootstrap(file: Path) -> None:
    content = {
        "max_workers": 4,
        "provider": {"type": "aws"},
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "max_workers": 0},
            "gpu": {"resources": {"CPU": 48, "GPU": 4, "memory": 1e11}, "max_workers": 3},
            "cpu": {"resources": {"CPU": 8}},
        },
    }
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def test_the_growth_is_read_from_the_file_of_ray_up(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    write_bootstrap(file)
    growth = read_growth(file)
    assert growth == Growth(
        (NodeType({"CPU": 48, "GPU": 4, "memory": 1e11}, 3), NodeType({"CPU": 8}, 4)),
        most_nodes=4,
        head={"CPU": 0},
    )


def test_a_head_that_may_run_trials_counts() -> None:
    growth = Growth((NodeType({"CPU": 2}, 4),), most_nodes=4, head={"CPU": 2})
    assert growth.fit(packing()) == 10


def test_ones_own_machines_count_like_present_ones(config: Any, head: Path, tmp_path: Path) -> None:
    content = {
        "max_workers": 2,
        "provider": {"type": "local"},
        "head_node_type": "local.cluster.node",
        "available_node_types": {"local.cluster.node": {"resources": {}, "max_workers": 2}},
    }
    (head / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(content))
    assert joined({}).capacity(config(), packing(cpus=4))() == 1  # none has come yet
    with pytest.raises(ConfigError, match="the cluster has 2 CPUs on its largest node, got 4"):
        joined(LAPTOP).check(config(cpus_per_trial=4))


@pytest.mark.parametrize("text", [None, "", "[]", "{", "max_workers: many"])
def test_elsewhere_than_on_such_a_head_nothing_grows(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    if text is not None:
        file.write_text(text)
    assert read_growth(file) is None
