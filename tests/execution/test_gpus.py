"""Measuring the GPUs of a cluster. No GPU is needed: its figures are handed in."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.probe_ray import AnsweringRay
from support.searches import make, toy_space

from tuner.data import Dataset, EncodedSequences, Split
from tuner.errors import ConfigError
from tuner.execution import gpus, runner
from tuner.execution.cluster import Cluster
from tuner.execution.gpus import make_packing, note_on_idle_gpus
from tuner.execution.interrupts import TimeIsUp
from tuner.execution.mps import MpsState
from tuner.execution.probe import Measuring, Wait
from tuner.execution.search import run_search
from tuner.nvidia import Driver, Gpu
from tuner.run.sessions import SessionEnd
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace
from tuner.training.gpu_memory import GpuFigures

SEQUENCES = EncodedSequences(
    np.full(7, 3, np.int32), np.array([0, 2, 7]), np.array([0, 1], np.int32)
)
DATASET = Dataset("d", "f", ("no", "yes"), (), dict.fromkeys(Split, SEQUENCES))
T4 = {"CPU": 16.0, "GPU": 4.0, "accelerator_type:T4": 1.0}
H100 = {"CPU": 32.0, "GPU": 2.0, "accelerator_type:H100": 1.0}
UNNAMED = {"CPU": 8.0, "GPU": 1.0}
FIGURES = GpuFigures("NVIDIA H100", 81_559, 80_990, 3_000, 700, 2_500, 120_000, has_mps=True)
SMALLER = GpuFigures("Tesla T4", 15_360, 14_930, 3_000, 700, 2_500, 120_000)

MPS_RUNS = MpsState(True)


def cluster(*nodes: dict[str, float], ray: Any = None, is_ours: bool = False) -> Cluster:
    known = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": node} for node in nodes])
    return Cluster(ray or known, Path(), is_ours)


def search(space: SearchSpace, gpus_per_trial: object = "auto", **settings: object) -> SearchConfig:
    return SearchConfig.model_validate(
        {"space": space, "gpus_per_trial": gpus_per_trial, **settings}
    )


def this_machine_has(
    monkeypatch: pytest.MonkeyPatch, *these: Gpu, mps: MpsState = MPS_RUNS
) -> None:
    monkeypatch.setattr(gpus, "ask_driver", lambda: Driver("580", these))
    monkeypatch.setattr(gpus, "mps_state", lambda: mps)
    available = FIGURES.host_free_mb * 2**20
    monkeypatch.setattr(gpus, "memory", lambda: SimpleNamespace(available=available))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def no_wait() -> Wait:
    return Wait(lambda: None, lambda line: None)


def pack(config: SearchConfig, *nodes: dict[str, float], recorded: Any = None) -> Any:
    return make_packing(
        config, cluster(*nodes), DATASET, recorded=[recorded] if recorded else [], wait=no_wait()
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[str | None]]:
    """The kinds of GPUs that were measured."""
    asked: list[list[str | None]] = []

    def play(
        ray: Any, kinds: Sequence[str | None], *_: object, **__: object
    ) -> dict[str | None, GpuFigures]:
        asked.append(list(kinds))
        return {kind: SMALLER if kind == "T4" else FIGURES for kind in kinds}

    monkeypatch.setattr(gpus, "measure", play)
    return asked


# -- the packing ----------------------------------------------------------------------------------


def test_what_an_earlier_version_recorded_is_not_measured_again(
    space: SearchSpace, measured: list[list[str | None]]
) -> None:
    _, content = pack(search(space), T4)
    earlier = {
        kind: {("card" if name == "gpu" else name): each for name, each in figures.items()}
        for kind, figures in content["kinds"].items()
    }
    pack(search(space), T4, recorded={**content, "kinds": earlier})
    assert len(measured) == 1


@pytest.mark.parametrize("gpus_per_trial", ["auto", 0.25])
def test_each_kind_of_gpu_is_measured_once_per_study(
    space: SearchSpace, measured: list[list[str | None]], gpus_per_trial: object
) -> None:
    config = search(space, gpus_per_trial)
    packing, content = pack(config, T4, H100, H100)
    again, content_again = pack(config, T4, H100, recorded=content)
    assert measured == [["T4", "H100"]]
    assert content_again == content
    for node in (T4, H100):
        assert again.fit(node) == packing.fit(node) > 0
    assert again.place(nodes=lambda: [T4, H100]) == packing.place(nodes=lambda: [T4, H100])


def test_cpus_memory_and_mps_bound_what_auto_packs(
    space: SearchSpace, measured: list[list[str | None]]
) -> None:
    packing, _ = pack(search(space, cpus_per_trial=2), H100)
    assert packing.fit(H100) == 2 * 8  # CPUs
    packing, _ = pack(search(space, cpus_per_trial=4), H100)
    assert packing.fit(H100) == 2 * 4
    packing, _ = pack(search(space, trials=99), {**H100, "CPU": 200})
    assert packing.fit({**H100, "CPU": 200}) == 2 * 16  # the GPU's memory


def test_what_was_not_recorded_is_measured(
    space: SearchSpace, measured: list[list[str | None]]
) -> None:
    _, content = pack(search(space), T4)
    _, content = pack(search(space), H100, recorded=content)
    pack(search(space), T4, H100, recorded=content)  # a kind that was away has come back
    other = space.model_copy(update={"shared": {**space.shared, "batch_size": 512}})
    pack(search(other), T4, recorded=content)
    assert measured == [["T4"], ["H100"], ["T4"]]


@pytest.mark.parametrize(("now", "times"), [("NVIDIA H100", 1), ("NVIDIA H200", 2)])
def test_on_this_machine_the_drivers_name_of_the_gpu_counts(
    space: SearchSpace,
    measured: list[list[str | None]],
    monkeypatch: pytest.MonkeyPatch,
    now: str,
    times: int,
) -> None:
    this_machine_has(monkeypatch, Gpu("GPU-1", now, 81_559, 80_990))
    content: Any = {}
    for _ in range(2):
        here = cluster(UNNAMED, is_ours=True)
        _, content = make_packing(search(space), here, DATASET, recorded=[content], wait=no_wait())
    assert measured == [[None]] * times


def test_a_confirmations_own_figures_are_found_beside_the_searchs(
    space: SearchSpace, measured: list[list[str | None]]
) -> None:
    _, of_search = pack(search(space), T4)
    other = search(space, 0.25)
    _, of_confirmation = pack(other, T4)
    recorded = [of_search, of_confirmation]
    make_packing(other, cluster(T4), DATASET, recorded=recorded, wait=no_wait())
    assert measured == [["T4"]] * 2


def test_the_kind_of_a_node_that_came_for_the_measuring_is_recorded(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters whose settings do not name their GPUs, such as GCP's: Ray finds them on the node."""
    nodes: list[dict[str, float]] = []

    def start_node(*_: object, **__: object) -> dict[str | None, GpuFigures]:
        nodes.extend([H100, T4])
        return {"T4": SMALLER}

    ray = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": node} for node in nodes])
    monkeypatch.setattr(gpus, "measure", start_node)
    monkeypatch.setenv("RAY_USAGE_STATS_KUBERAY_IN_USE", "1")
    packing, content = make_packing(
        search(space), cluster(ray=ray), DATASET, recorded=[], wait=no_wait()
    )
    assert list(content["kinds"]) == ["T4"]
    assert packing.fit(T4) > 0


def test_what_is_free_on_this_machine_is_asked_in_every_session(
    space: SearchSpace, measured: list[list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = {**UNNAMED, "CPU": 99.0}
    recorded: list[Any] = []
    fits = []
    for free_mb in (80_990, 30_000):
        gpu = Gpu("GPU-1", FIGURES.gpu, FIGURES.total_mb, free_mb)
        this_machine_has(monkeypatch, gpu)
        here = cluster(node, is_ours=True)
        packing, content = make_packing(
            search(space), here, DATASET, recorded=recorded, wait=no_wait()
        )
        recorded.append(content)
        fits.append(packing.fit(node))
    assert measured == [[None]]
    assert fits[0] > fits[1] > 1
    assert content["kinds"][""]["free_mb"] == FIGURES.free_mb  # as it was measured


def pack_here(config: SearchConfig, node: dict[str, float], recorded: Any = None) -> Any:
    return make_packing(
        config,
        cluster(node, is_ours=True),
        DATASET,
        recorded=[recorded] if recorded else [],
        wait=no_wait(),
    )


@pytest.mark.parametrize("gpus_per_trial", ["auto", 0.1])
def test_the_fullest_gpu_of_this_machine_decides(
    space: SearchSpace,
    measured: list[list[str | None]],
    monkeypatch: pytest.MonkeyPatch,
    gpus_per_trial: object,
) -> None:
    node = {"CPU": 99.0, "GPU": 2.0}
    config = search(space, gpus_per_trial)
    shares = []
    for free_mb in (FIGURES.free_mb, 25_000):
        this_machine_has(
            monkeypatch,
            Gpu("GPU-1", FIGURES.gpu, FIGURES.total_mb, FIGURES.free_mb),
            Gpu("GPU-2", FIGURES.gpu, FIGURES.total_mb + 9, free_mb),
        )
        packing, content = pack_here(config, node)  # measured on the first GPU
        resumed, _ = pack_here(config, node, content)
        assert packing.fit(node) == resumed.fit(node)
        shares.append((packing.fit(node), packing.place().share.limit_mb))
    assert shares[0] > shares[1]
    assert content["kinds"][""]["free_mb"] == FIGURES.free_mb  # as it was measured


@pytest.mark.parametrize("other", [("NVIDIA A100", 81_559), (FIGURES.gpu, 40_960)])
@pytest.mark.parametrize("gpus_per_trial", ["auto", 0.5])
def test_unequal_gpus_of_this_machine_cannot_be_shared_alike(
    space: SearchSpace,
    measured: list[list[str | None]],
    monkeypatch: pytest.MonkeyPatch,
    gpus_per_trial: object,
    other: tuple[str, int],
) -> None:
    node = {"CPU": 16.0, "GPU": 2.0}
    first = Gpu("GPU-1", FIGURES.gpu, FIGURES.total_mb, 80_000)
    this_machine_has(monkeypatch, first, Gpu("GPU-2", *other, 30_000))
    with pytest.raises(ConfigError, match="cannot be shared alike; choose one kind through CUDA_V"):
        pack_here(search(space, gpus_per_trial), node)
    pack_here(search(space, 1), node)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    pack_here(search(space, gpus_per_trial), node)


def test_a_gpu_that_does_not_answer_keeps_nobody_from_sharing_the_others(
    space: SearchSpace, measured: list[list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Gpu("", "a GPU that does not answer", problem="GPU is lost")
    this_machine_has(
        monkeypatch, lost, Gpu("GPU-2", FIGURES.gpu, FIGURES.total_mb, FIGURES.free_mb)
    )
    node = {"CPU": 99.0, "GPU": 2.0}
    packing, content = pack_here(search(space), node)
    assert pack_here(search(space), node, content)[0].fit(node) == packing.fit(node) > 2
    assert measured == [[None]]


@pytest.mark.parametrize(
    ("node", "mps", "now", "times"),
    [
        (UNNAMED, "auto", MPS_RUNS, 1),
        (UNNAMED, "auto", MpsState(False), 1),  # it would be started
        (UNNAMED, "auto", MpsState(False, "nvidia-cuda-mps-control is missing"), 2),
        (T4, "auto", MPS_RUNS, 2),  # measured without
        (T4, "off", MPS_RUNS, 1),
    ],
)
def test_it_is_measured_again_where_mps_has_come_or_gone(
    space: SearchSpace,
    measured: list[list[str | None]],
    monkeypatch: pytest.MonkeyPatch,
    node: dict[str, float],
    mps: str,
    now: MpsState,
    times: int,
) -> None:
    figures = SMALLER if node is T4 else FIGURES
    config = search(space, mps=mps)
    gpu = Gpu("GPU-1", figures.gpu, figures.total_mb, figures.free_mb)
    this_machine_has(monkeypatch, gpu, mps=now)
    _, content = pack_here(config, node)
    pack_here(config, node, content)
    assert len(measured) == times


@pytest.mark.parametrize(
    ("settings", "each"),
    [({"trials": 6}, 2), ({"max_concurrent": 8}, 2), ({}, 8)],  # 30 trials are the default
)
def test_few_trials_are_spread_over_all_gpus(
    space: SearchSpace, measured: list[list[str | None]], settings: dict[str, object], each: int
) -> None:
    node = {**H100, "GPU": 4.0, "CPU": 64.0}
    packing, _ = pack(search(space, **settings), node)
    assert packing.fit(node) == 4 * each
    packing, _ = pack(search(space, **settings), node, T4)  # unequal GPUs take what they can
    assert packing.fit(node) > 4 * each
    packing, _ = pack(search(space, time_budget=60), node)
    assert packing.fit(node) > 4 * 8  # no number of trials is known


def test_a_given_share_is_asked_for_and_measured_with_a_small_model(space: SearchSpace) -> None:
    ray = AnsweringRay(FIGURES, H100)
    config = search(space, 0.25)
    make_packing(config, cluster(ray=ray), DATASET, recorded=[], wait=no_wait())
    assert [each["num_gpus"] for each in ray.asked] == [0.25]
    (small,) = Measuring.of(config, DATASET).configurations
    assert small.lstm_units == 100
    assert Measuring.of(config, DATASET).digest == Measuring.of(search(space, 0.5), DATASET).digest


@pytest.mark.parametrize("gpus_per_trial", [0, 1])
def test_without_parts_of_gpus_nothing_is_measured(
    space: SearchSpace, gpus_per_trial: float
) -> None:
    packing, content = pack(search(space, gpus_per_trial), T4, H100)
    assert packing.fit(T4) == (4 if gpus_per_trial else 16)
    assert content == {}


def test_toy_trials_need_no_memory(space: SearchSpace) -> None:
    packing, content = pack(search(space, trainer="toy"), T4, H100)
    assert (packing.fit(T4), packing.fit(H100)) == (16, 32)
    assert packing.place(nodes=lambda: [T4, H100]).share.limit_mb is None
    assert content == {}


def test_without_a_gpu_auto_is_refused(space: SearchSpace) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^--gpus-per-trial auto: no GPU is seen .*--gpus-per-trial 0 trains on CPUs$",
    ):
        pack(search(space), {"CPU": 4.0})


def test_auto_waits_for_a_gpu_where_unknown_nodes_may_come(
    space: SearchSpace, measured: list[list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_KUBERAY_IN_USE", "1")
    pack(search(space), {"CPU": 0.0})
    assert measured == [[None]]


@pytest.mark.parametrize(
    ("gpus_per_trial", "nodes", "note"),
    [
        (None, [T4, {"CPU": 4.0}, H100], f"({int(T4['GPU'] + H100['GPU'])} GPUs)"),
        (None, [{"CPU": 4.0}], None),
        (0, [T4], None),
        ("auto", [T4], None),
        (1, [T4], None),
    ],
)
def test_gpus_that_no_trial_will_use_are_noted_where_nobody_has_said(
    space: SearchSpace, gpus_per_trial: object, nodes: list[dict[str, float]], note: str | None
) -> None:
    found = note_on_idle_gpus(search(space, gpus_per_trial), cluster(*nodes))
    if note is None:
        assert found is None
    else:
        assert found is not None
        assert note in found
        assert "write --gpus-per-trial auto" in found
    assert note_on_idle_gpus(search(space, None, trainer="toy"), cluster(*nodes)) is None


@pytest.mark.parametrize(
    ("finds", "advice"),
    [(True, "write --gpus-per-trial auto"), (False, "does not find CUDA's libraries here; `tuner")],
)
def test_a_note_on_idle_gpus_of_this_machine_names_what_is_missing(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch, finds: bool, advice: str
) -> None:
    monkeypatch.setattr(gpus, "finds_cuda", lambda: finds)
    found = note_on_idle_gpus(search(space, None), cluster(T4, is_ours=True))
    assert found is not None
    assert advice in found


def test_gpus_of_an_unknown_kind_beside_others_are_refused(space: SearchSpace) -> None:
    with pytest.raises(ConfigError, match="beside T4 there are GPUs whose kind Ray does not know"):
        pack(search(space), T4, UNNAMED)


def test_a_process_takes_memory_of_the_machine_for_its_copy_of_the_data(
    space: SearchSpace, measured: list[list[str | None]]
) -> None:
    longest = max(each.max_length for each in space.largest("lstm"))
    count = 300 * 2**18 // longest  # 300 MB, and as much that no trial copies
    offsets = np.arange(count + 1) * 2 * longest
    large = EncodedSequences(np.zeros(offsets[-1], np.int32), offsets, np.zeros(count, np.int32))
    dataset = Dataset("d", "f", ("no", "yes"), (), {**DATASET.splits, Split.TRAIN: large})
    packing, _ = make_packing(search(space), cluster(H100), dataset, recorded=[], wait=no_wait())
    assert packing.host_mb == pytest.approx(2_500 + 600, abs=1)


def test_the_largest_models_of_every_architecture_are_measured(space: SearchSpace) -> None:
    measuring = Measuring.of(search(space), DATASET)
    assert [each.architecture for each in measuring.configurations] == ["lstm", "cnn_lstm"]
    assert (measuring.n_classes, measuring.longest, measuring.cpus) == (2, 5, 1)


def test_a_time_budget_that_ends_while_gpus_are_measured_ends_the_search_in_order(
    sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure_for_ever(*_: object, **__: object) -> None:
        raise TimeIsUp

    monkeypatch.setattr(runner, "ray_cluster", lambda *_, **__: nullcontext(cluster(T4)))
    monkeypatch.setattr(runner, "make_packing", measure_for_ever)
    config = make(toy_space(), sentences, tmp_path, trials=None, time_budget=60)
    outcome = run_search(config)
    assert outcome.reason is SessionEnd.BUDGET_USED
    assert outcome.run.reader.seconds > 0
    assert outcome.run.leaderboard().empty


def test_a_kind_that_joined_is_measured_on_a_gpu_of_that_kind(space: SearchSpace) -> None:
    alone = cluster(ray=AnsweringRay(FIGURES, T4))
    _, content = make_packing(search(space), alone, DATASET, recorded=[], wait=no_wait())
    for nodes, resources in (([T4, H100], {"accelerator_type:H100": 0.001}), ([H100], {})):
        ray = AnsweringRay(FIGURES, *nodes)
        make_packing(search(space), cluster(ray=ray), DATASET, recorded=[content], wait=no_wait())
        assert [each["resources"] for each in ray.asked] == [resources]
