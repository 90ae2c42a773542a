"""Searches on clusters of several nodes, whose nodes are processes of this machine."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cluster.hosts import missing
from ray.cluster_utils import Cluster
from support.commands import TUNER

from tuner.errors import RunFolderError
from tuner.execution import ray_internals
from tuner.execution.fork_server import ForkServer
from tuner.execution.worker_internals import NO_WORKERS_BEFORE, workers_forked
from tuner.run import Run
from tuner.run.records import counts_as_finished
from tuner.settings.space import SearchSpace

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_SEARCH = [*TUNER, "search"]
_WAIT_S = 280.0
_EPOCH_S = 1.5  # the first trial still runs when the last has its process
_ENVIRONMENT = {"TUNER_TOY_SECONDS": str(_EPOCH_S)}


class Nodes:
    """A cluster whose head runs no trials. What these tests do not show is left out: dashboard, monitors, imports.

    The workers of the first search on a node are forked; those of a second one start by themselves.
    """

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        variables = {**_ENVIRONMENT, **NO_WORKERS_BEFORE}
        with ray_internals.few_daemons():
            self._cluster = Cluster(
                initialize_head=True, head_node_args={"num_cpus": 0, "env_vars": variables}
            )
        self._servers: dict[Any, ForkServer] = {}
        self.address = self._cluster.address

    def add(self, environment: Mapping[str, str] | None = None, **resources: Any) -> Any:
        variables = {**_ENVIRONMENT, **(environment or {})}
        server = ForkServer.start(with_keras=False)
        listening = server.listen(self._folders.mktemp("n"))
        with ray_internals.few_daemons(), workers_forked(listening):
            node = self._cluster.add_node(env_vars=variables, **resources)
        self._servers[node] = server
        return node

    def kill(self, node: Any) -> None:
        self._cluster.remove_node(node, allow_graceful=False)
        self._servers.pop(node).close()

    def remove_all(self) -> None:
        """But the head."""
        for node, server in self._servers.items():
            self._cluster.remove_node(node)
            server.close()
        self._servers.clear()

    def shutdown(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # or Ray declares no GPUs
        cluster = Nodes(tmp_path_factory)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def nodes(head: Nodes) -> Iterator[Nodes]:
    yield head
    head.remove_all()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(nodes: Nodes, space: SearchSpace, sentences: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `tuner search` on the cluster, in a process of its own."""
    started = []
    (tmp_path / "space.yaml").write_text(space.to_yaml())

    def _start(**options: object) -> "subprocess.Popen[str]":
        given = {
            "data": sentences,
            "name": "mine",
            "out": tmp_path,
            "address": nodes.address,
            "trainer": "toy",
            "pruner": "none",
            **options,
        }
        words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        search = subprocess.Popen(
            [*_SEARCH, "space.yaml", *words],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(search)
        return search

    yield _start
    for search in started:
        if search.poll() is None:
            search.kill()
        search.communicate()


def wait_for(what: Callable[[], object], search: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + _WAIT_S
    while not what():
        if search.poll() is not None or time.monotonic() > until:
            search.kill()
            raise AssertionError(f"waited in vain: {search.communicate()[1]}")
        time.sleep(0.2)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "mine"


def board(run: Path) -> pd.DataFrame:
    with contextlib.suppress(RunFolderError):  # before there is one
        return Run(run).leaderboard()
    return pd.DataFrame({"status": [], "epochs": [], "tries": [], "device": []})


def training(run: Path) -> pd.DataFrame:
    """Trials that run and have ended an epoch."""
    rows = board(run)
    return rows[(rows["status"] == "running") & (rows["epochs"] > 0)]


def complete(run: Path, tries: int = 1) -> pd.DataFrame:
    """Trials that ended well, after so many tries at least."""
    rows = board(run)
    return rows[(rows["status"] == "complete") & (rows["tries"] >= tries)]


def free_resources(nodes: Nodes) -> dict[str, float]:
    """What nobody holds of the cluster, by Ray's names."""
    program = f"import json, ray; ray.init('{nodes.address}'); print(json.dumps(ray.available_resources()))"
    asked = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    answer: dict[str, float] = json.loads(asked.stdout.splitlines()[-1])
    return answer


def test_gpus_of_two_kinds_are_packed_each_in_its_own_way(
    nodes: Nodes, start: Start, run: Path
) -> None:
    nodes.add(num_cpus=2, num_gpus=1, resources={"accelerator_type:T4": 1})
    nodes.add(num_cpus=6, num_gpus=2, resources={"accelerator_type:H100": 2})
    # More trials than end before all eight places have a process.
    search = start(gpus_per_trial="auto", trials=100)
    packed = {"gpu 0, 1/2": 2, "gpu 0, 1/3": 3, "gpu 1, 1/3": 3}
    wait_for(lambda: Counter(training(run)["device"]) == packed, search)
    free = free_resources(nodes)
    assert free.get("CPU", 0) == 0
    assert free.get("GPU", 0) < 0.001  # two halves, and twice three thirds in four decimals
    assert free["accelerator_type:T4"] == pytest.approx(1 - 2 * 0.001)
    assert free["accelerator_type:H100"] == pytest.approx(2 - 6 * 0.001)

    search.kill()
    unmeasured = start(gpus_per_trial="auto", trainer="keras", trials=1, name="unmeasured")
    _, error = unmeasured.communicate(timeout=_WAIT_S)
    assert unmeasured.returncode == 2
    assert error.splitlines()[-1] == (
        "tuner: --gpus-per-trial: the largest models cannot be measured: NVIDIA's driver does not report the memory "
        "of a GPU here; --gpus-per-trial 1 needs no measuring, 0 no GPU"
    )
    assert not run.with_name("unmeasured").exists()


@pytest.mark.skipif(missing() is None, reason="tests/cluster does it on real hosts here")
def test_nodes_that_join_are_used_and_trials_of_one_that_dies_run_again_elsewhere(
    nodes: Nodes, start: Start, run: Path
) -> None:
    first = nodes.add(num_cpus=2)
    search = start(trials=5, retries=0)
    wait_for(lambda: len(training(run)) == 2, search)
    nodes.add(num_cpus=2)
    wait_for(lambda: len(training(run)) == 4, search)
    nodes.kill(first)
    _, error = search.communicate(timeout=_WAIT_S)
    assert search.returncode == 0, error
    trials = Run(run).study.get_trials()
    assert sum(map(counts_as_finished, trials)) == 5
    rows = board(run)
    lost = rows[rows["error"].notna()]
    assert set(lost["error"]) <= {
        "its node died; runs again",
        "its node could not be reached; runs again",
    }
    again = rows[rows["tries"] > 1]
    assert len(again) == len(lost) >= 2
    assert set(rows["status"].drop(lost.index)) == {"complete"}


def test_where_storage_is_shared_they_go_on_from_their_last_epoch(
    nodes: Nodes, start: Start, run: Path, tmp_path: Path
) -> None:
    first = nodes.add(num_cpus=1)
    search = start(trials=1, storage_path=tmp_path / "shared")
    wait_for(lambda: max(training(run)["epochs"], default=0) >= 3, search)
    nodes.kill(first)
    nodes.add(num_cpus=1)
    _, error = search.communicate(timeout=_WAIT_S)
    assert search.returncode == 0, error
    curves = Run(run).curves().drop(columns="trial")
    lost, again = (curves[Run(run).curves()["trial"] == number] for number in (0, 1))
    assert 3 <= len(lost) < len(again) == 9
    assert "checkpoints" not in error  # each node has written and read there
    # Same seconds: they were not trained again.
    assert lost.reset_index(drop=True).equals(again.head(len(lost)).reset_index(drop=True))
    assert not (tmp_path / "shared" / "mine").exists()


def test_one_node_of_three_whose_every_trial_fails_is_left_out_and_costs_no_trial(
    nodes: Nodes, start: Start, run: Path
) -> None:
    for _ in range(2):
        nodes.add(num_cpus=1)
    nodes.add(num_cpus=2, environment={"TUNER_TOY_FAULTS": "*:fail"})
    # More trials than end before the last node has processes, which fail.
    search = start(trials=100, max_epochs=2)
    wait_for(lambda: len(complete(run, tries=2)) >= 3, search)  # failed there, worked elsewhere
    before = len(complete(run))
    wait_for(lambda: len(complete(run)) >= before + 4, search)
    search.send_signal(signal.SIGINT)
    out, err = search.communicate(timeout=_WAIT_S)
    assert search.returncode == 130, err
    assert "is left out: 3 trials failed on it and worked on other nodes" in out + err
    rows = board(run)
    assert 3 <= rows["error"].str.endswith("told to fail; runs again").sum() <= 6
    assert rows.loc[rows["status"] == "failed", "error"].str.contains("runs again").all()
    # None waits until no process has another trial to take.
    ended = {each.number: each.datetime_complete for each in Run(run).study.trials}
    for number in complete(run, tries=2)["trial"]:
        before = [at for later, at in ended.items() if later > number and at is not None]
        assert sum(at < ended[number] for at in before) <= 8


def test_a_trial_that_fits_on_no_node_is_refused(nodes: Nodes, start: Start, run: Path) -> None:
    nodes.add(num_cpus=2)
    search = start(cpus_per_trial=3)
    _, error = search.communicate(timeout=_WAIT_S)
    assert search.returncode == 2
    assert error == (
        "tuner: --cpus-per-trial: the cluster has 2 CPUs on its largest node, got 3; ask for fewer\n"
    )
    assert not run.exists()
