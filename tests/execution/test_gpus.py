"""Measuring the cards of a cluster. No GPU is needed: its figures are handed in."""

import itertools
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tuner.data import Dataset, EncodedSequences, Split
from tuner.errors import ConfigError
from tuner.execution import gpus
from tuner.execution.cluster import Cluster
from tuner.execution.gpus import Measuring, Wait, make_packing, measure, note_on_idle_gpus
from tuner.execution.interrupts import Interrupted
from tuner.nvidia import Card
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace
from tuner.training.gpu_memory import CardFigures

SEQUENCES = EncodedSequences(
    np.full(7, 3, np.int32), np.array([0, 2, 7]), np.array([0, 1], np.int32)
)
DATASET = Dataset("d", "f", ("no", "yes"), (), dict.fromkeys(Split, SEQUENCES))
T4 = {"CPU": 16.0, "GPU": 4.0, "accelerator_type:T4": 1.0}
H100 = {"CPU": 32.0, "GPU": 2.0, "accelerator_type:H100": 1.0}
UNNAMED = {"CPU": 8.0, "GPU": 1.0}
FIGURES = CardFigures("NVIDIA H100", 81_559, 80_990, 3_000, 700, 2_500, 120_000, has_mps=True)
SMALLER = CardFigures("Tesla T4", 15_360, 14_930, 3_000, 700, 2_500, 120_000)


def cluster(*nodes: dict[str, float], ray: Any = None, is_ours: bool = False) -> Cluster:
    known = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": node} for node in nodes])
    return Cluster(ray or known, Path(), is_ours)


def search(space: SearchSpace, gpus_per_trial: object = "auto", **settings: object) -> SearchConfig:
    return SearchConfig.model_validate(
        {"space": space, "gpus_per_trial": gpus_per_trial, **settings}
    )


def no_wait() -> Wait:
    return Wait(lambda: None, lambda line: None)


def pack(config: SearchConfig, *nodes: dict[str, float], recorded: Any = None) -> Any:
    return make_packing(config, cluster(*nodes), DATASET, recorded=recorded or {}, wait=no_wait())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[str | None]]:
    """The kinds of cards that were measured."""
    asked: list[list[str | None]] = []

    def play(kinds: Sequence[str | None], *_: object) -> dict[str | None, CardFigures]:
        asked.append(list(kinds))
        return {kind: SMALLER if kind == "T4" else FIGURES for kind in kinds}

    monkeypatch.setattr(gpus, "measure", play)
    return asked


# -- the packing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gpus_per_trial", ["auto", 0.25])
def test_each_kind_of_card_is_measured_once_per_study(
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
    packing, _ = pack(search(space), {**H100, "CPU": 200})
    assert packing.fit({**H100, "CPU": 200}) == 2 * 16  # the card's memory


def test_what_was_not_recorded_is_measured(
    space: SearchSpace, measured: list[list[str | None]]
) -> None:
    _, content = pack(search(space), T4)
    pack(search(space), T4, H100, recorded=content)
    other = space.model_copy(update={"shared": {**space.shared, "batch_size": 512}})
    pack(search(other), T4, recorded=content)
    assert measured == [["T4"], ["H100"], ["T4"]]


@pytest.mark.parametrize(("now", "times"), [("NVIDIA H100", 1), ("NVIDIA H200", 2)])
def test_on_this_machine_the_drivers_name_of_the_card_counts(
    space: SearchSpace,
    measured: list[list[str | None]],
    monkeypatch: pytest.MonkeyPatch,
    now: str,
    times: int,
) -> None:
    monkeypatch.setattr(gpus, "first_card", lambda _: Card("GPU-1", now, 1, 1))
    content: Any = {}
    for _ in range(2):
        here = cluster(UNNAMED, is_ours=True)
        _, content = make_packing(search(space), here, DATASET, recorded=content, wait=no_wait())
    assert measured == [[None]] * times


@pytest.mark.parametrize("gpus_per_trial", [0, 1])
def test_without_parts_of_cards_nothing_is_measured(
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
    with pytest.raises(ConfigError, match=r"^--gpus-per-trial auto: no GPU is seen; leave it out"):
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
        (0, [T4, {"CPU": 4.0}, H100], f"({int(T4['GPU'] + H100['GPU'])} GPUs)"),
        (0, [{"CPU": 4.0}], None),
        ("auto", [T4], None),
        (1, [T4], None),
    ],
)
def test_gpus_that_no_trial_will_use_are_noted(
    space: SearchSpace, gpus_per_trial: object, nodes: list[dict[str, float]], note: str | None
) -> None:
    found = note_on_idle_gpus(search(space, gpus_per_trial), cluster(*nodes))
    if note is None:
        assert found is None
    else:
        assert found is not None
        assert note in found
        assert "write --gpus-per-trial auto" in found
    assert note_on_idle_gpus(search(space, 0, trainer="toy"), cluster(*nodes)) is None


def test_cards_of_an_unknown_kind_beside_others_are_refused(space: SearchSpace) -> None:
    with pytest.raises(ConfigError, match="beside T4 there are cards whose kind Ray does not know"):
        pack(search(space), T4, UNNAMED)


def test_a_process_takes_memory_of_the_machine_for_its_copy_of_the_data(
    space: SearchSpace, measured: list[list[str | None]]
) -> None:
    tokens = np.zeros(300 * 2**18, np.int32)  # 300 MB
    large = EncodedSequences(tokens, np.array([0, len(tokens)]), np.zeros(1, np.int32))
    dataset = Dataset("d", "f", ("no", "yes"), (), {**DATASET.splits, Split.TRAIN: large})
    packing, _ = make_packing(search(space), cluster(H100), dataset, recorded={}, wait=no_wait())
    assert packing.host_mb == pytest.approx(2_500 + 600, abs=1)


def test_the_largest_models_of_every_architecture_are_measured(space: SearchSpace) -> None:
    measuring = Measuring.of(search(space), DATASET)
    assert [each.architecture for each in measuring.configurations] == ["lstm", "cnn_lstm"]
    assert (measuring.n_classes, measuring.longest, measuring.cpus) == (2, 5, 1)


class AnsweringAtOnce:
    """A cluster whose probes answer at once; keeps what they asked Ray for."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self._nodes = nodes
        self.asked: list[dict[str, Any]] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": node} for node in self._nodes]

    def remote(self, **options: Any) -> Any:
        self.asked.append(options)
        method = SimpleNamespace(remote=lambda *_: object())

        class Actor:
            host = measure = method

        return lambda probe: SimpleNamespace(remote=Actor)

    def wait(self, references: list[object], timeout: float) -> tuple[list[object], list[object]]:
        return references, []

    def get(self, reference: object) -> object:
        return FIGURES


def test_a_kind_that_joined_is_measured_on_a_card_of_that_kind() -> None:
    ray = AnsweringAtOnce(T4, H100)
    measure(["H100"], Measuring([], 2, 5, cpus=1), cluster(ray=ray), no_wait())
    assert [each["resources"] for each in ray.asked] == [{"accelerator_type:H100": 0.001}]
    ray = AnsweringAtOnce(H100)
    measure(["H100"], Measuring([], 2, 5, cpus=1), cluster(ray=ray), no_wait())
    assert [each["resources"] for each in ray.asked] == [{}]


# -- waiting for it, with a real Ray --------------------------------------------------------------


class Playing:
    """Ray, which gives a place without a GPU and plays the process that measures."""

    def __init__(self, ray: Any, answer: Callable[[], CardFigures] | None = None) -> None:
        self._ray = ray
        self._answer = answer
        self.killed = 0

    def remote(self, *, num_gpus: int, resources: dict[str, float], **options: Any) -> Any:
        answer = self._answer
        assert num_gpus == 1

        class Played:  # within a function, so that it travels by value
            def host(self) -> str:
                return "gpu-3"

            def measure(self, measuring: Measuring) -> CardFigures:
                return answer()  # type: ignore[misc]

        return lambda real: self._ray.remote(**options)(Played if answer else real)

    def kill(self, actor: Any) -> None:
        self.killed += 1
        self._ray.kill(actor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ray, name)


class Hour:
    """A clock on which every look takes so many seconds, and what a person is told."""

    def __init__(self, seconds: float) -> None:
        self._times = itertools.count(0.0, seconds)
        self.told: list[str] = []

    def wait(self, check: Callable[[], None] = lambda: None, left_s: float | None = None) -> Wait:
        return Wait(check, self.told.append, left_s, clock=lambda: next(self._times))


MEASURING = Measuring([], 2, 5, cpus=0.1)
LONG = "import time; time.sleep(600)"


@pytest.mark.ray
def test_the_figures_of_every_kind_come_back(shared_ray: None) -> None:
    import ray

    playing = Playing(ray, lambda: FIGURES)
    found = measure(["T4", "H100"], MEASURING, cluster(ray=playing), Hour(0.0).wait())
    assert found == {"T4": FIGURES, "H100": FIGURES}
    assert playing.killed == 0  # it ends by itself: MPS does not like clients that are killed


@pytest.mark.ray
def test_measuring_ends_when_the_search_is_asked_to(shared_ray: None) -> None:
    import ray

    def end_at_third() -> None:
        if next(looks) == 2:
            raise Interrupted(signal.SIGINT)

    looks = itertools.count()
    playing, hour = Playing(ray, lambda: exec(LONG)), Hour(2.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(Interrupted, match="SIGINT"):
        measure([None], MEASURING, cluster(ray=playing), hour.wait(end_at_third))
    assert playing.killed == 1
    (line,) = hour.told
    assert line.startswith("tuner: measuring the GPU memory of the space's largest models ")


@pytest.mark.ray
@pytest.mark.parametrize(
    ("left_s", "problem"),
    [
        (None, "on a T4 of gpu-3 did not end within 15m; `nvidia-smi` there shows"),
        (500.0, "did not end within the time budget of .*m"),
    ],
)
def test_measuring_has_a_time_limit(shared_ray: None, left_s: float | None, problem: str) -> None:
    import ray

    playing = Playing(ray, lambda: exec(LONG))  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigError, match=problem):
        measure(["T4"], MEASURING, cluster(ray=playing), Hour(60.0).wait(left_s=left_s))
    assert playing.killed == 1


@pytest.mark.ray
def test_a_card_that_never_becomes_free_is_named(shared_ray: None) -> None:
    import ray

    hour = Hour(400.0)
    with pytest.raises(
        ConfigError, match=r"no whole T4 became free to measure .* within 15m; `ray status` shows"
    ):
        measure(["T4", "A10G"], MEASURING, cluster(ray=ray), hour.wait())
    assert hour.told[0].endswith("largest models once a T4 is free, once a A10G is free")


@pytest.mark.ray
def test_a_card_of_unknown_memory_is_refused_in_one_line(shared_ray: None) -> None:
    import ray

    with pytest.raises(ConfigError, match="cannot be measured") as refused:
        measure([None], MEASURING, cluster(ray=Playing(ray)), Hour(0.0).wait())
    assert str(refused.value) == (
        "--gpus-per-trial: the largest models cannot be measured: NVIDIA's driver does not report the memory of a "
        "GPU here; --gpus-per-trial 1 needs no measuring"
    )


@pytest.mark.ray
def test_the_death_of_the_process_is_one_line(shared_ray: None) -> None:
    import ray

    playing = Playing(ray, lambda: exec("import os; os._exit(1)"))  # type: ignore[arg-type, return-value]
    with pytest.raises(
        ConfigError, match="the process that measured the largest models died"
    ) as died:
        measure([None], MEASURING, cluster(ray=playing), Hour(0.0).wait())
    assert "\n" not in str(died.value)
