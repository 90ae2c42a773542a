"""How many trials may run at once on this machine and on a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tuner.config import SearchConfig
from tuner.driver.capacity import Capacity, Growth, NodeType, check_fits, read_growth
from tuner.errors import ConfigError
from tuner.space import SearchSpace

LAPTOP = {"CPU": 2.0}
GPUS = {"CPU": 48.0, "GPU": 4.0}


@pytest.fixture
def config(space: SearchSpace) -> Any:
    def _config(**settings: object) -> SearchConfig:
        return SearchConfig.model_validate({"space": space, **settings})

    return _config


class Cluster:
    """Nodes that come and go, and a clock."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self.nodes = list(nodes)
        self.now = 0.0

    def capacity(self, config: SearchConfig, **options: Any) -> Capacity:
        return Capacity(config, lambda: self.nodes, clock=lambda: self.now, **options)


@pytest.mark.parametrize(
    ("settings", "trials"),
    [
        ({}, 98),
        ({"cpus_per_trial": 4}, 24),  # 12 on each of two nodes
        ({"cpus_per_trial": 32}, 2),  # a trial never spans two
        ({"gpus_per_trial": 1}, 8),
        ({"gpus_per_trial": 0.25}, 32),
        ({"gpus_per_trial": 0.3}, 26),  # 13 on each
        ({"gpus_per_trial": 0.25, "cpus_per_trial": 6}, 16),
        ({"gpus_per_trial": 0.25, "max_concurrent": 5}, 5),
    ],
)
def test_as_many_trials_as_fit_on_each_node(
    config: Any, settings: dict[str, object], trials: int
) -> None:
    assert Cluster(GPUS, GPUS, LAPTOP).capacity(config(**settings))() == trials


def test_a_third_of_a_gpu_fits_three_times(config: Any) -> None:
    assert Cluster({"CPU": 9, "GPU": 1}).capacity(config(gpus_per_trial=1 / 3))() == 3


def test_a_node_that_joins_is_used_and_one_that_leaves_is_not(config: Any) -> None:
    cluster = Cluster(LAPTOP)
    capacity = cluster.capacity(config())
    assert capacity() == 2
    cluster.nodes.append({"CPU": 8.0})
    assert capacity() == 2  # nobody asks Ray at every step
    cluster.now += 2
    assert capacity() == 10
    cluster.nodes.clear()
    cluster.now += 2
    assert capacity() == 1  # one waits for a node


def test_on_a_cluster_that_grows_trials_wait_for_all_that_it_may_become(config: Any) -> None:
    growth = Growth((NodeType(GPUS, 4), NodeType({"CPU": 8}, 10)), most_nodes=5)
    cluster = Cluster({"CPU": 0})
    assert cluster.capacity(config(gpus_per_trial=0.25), growth=growth)() == 4 * 16
    assert cluster.capacity(config(), growth=growth)() == 4 * 48 + 8
    assert cluster.capacity(config(max_concurrent=7), growth=growth)() == 7


def test_memory_limits_what_runs_on_this_machine(config: Any) -> None:
    assert Cluster({"CPU": 64}).capacity(config(), most=10)() == 10


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"cpus_per_trial": 49}, "--cpus-per-trial: the cluster has 48 CPUs on its largest node"),
        ({"gpus_per_trial": 5}, "--gpus-per-trial: the cluster has 4 GPUs on its largest node"),
    ],
)
def test_a_trial_that_no_node_has_room_for_is_refused(
    config: Any, settings: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        check_fits("the cluster", config(**settings), [LAPTOP, GPUS])


def test_the_growth_is_what_ray_up_was_given(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
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
    growth = read_growth(file)
    assert growth == Growth(
        (NodeType({"CPU": 48, "GPU": 4, "memory": 1e11}, 3), NodeType({"CPU": 8}, 4)), most_nodes=4
    )


@pytest.mark.parametrize("text", [None, "", "[]", "{", "max_workers: many"])
def test_elsewhere_than_on_such_a_head_nothing_grows(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    if text is not None:
        file.write_text(text)
    assert read_growth(file) is None
