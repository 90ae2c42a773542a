"""Waiting for the process that measures a GPU, with a real Ray. No GPU is needed: its figures are handed in."""

import itertools
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support.probe_ray import AnsweringRay
from support.watching import Clock

from tuner.errors import ConfigError
from tuner.execution.interrupts import Interrupted, TimeIsUp
from tuner.execution.probe import Measuring, Wait, measure
from tuner.training.gpu_memory import GpuFigures

FIGURES = GpuFigures("NVIDIA H100", 81_559, 80_990, 3_000, 700, 2_500, 120_000, has_mps=True)


class Playing:
    """Ray, which gives a place without a GPU and plays the process that measures."""

    def __init__(self, ray: Any, answer: Callable[[], GpuFigures] | None = None) -> None:
        self._ray = ray
        self._answer = answer
        self.killed = 0

    def remote(self, *, num_gpus: int, resources: dict[str, float], **options: Any) -> Any:
        answer = self._answer
        assert num_gpus == 1

        class Played:  # within a function, so that it travels by value
            def place(self) -> tuple[str, str]:
                return "gpu-3", "node"

            def measure(self, measuring: Measuring) -> GpuFigures:
                return answer()  # type: ignore[misc]

        def made(real: type[object]) -> SimpleNamespace:
            actors = self._ray.remote(**options)(Played if answer else real)
            return SimpleNamespace(remote=lambda: self._placed(actors.remote()))

        return made

    def _placed(self, actor: Any) -> Any:
        """The process once it has its place, which takes seconds and no time on the test's clock."""
        self._ray.get(actor.place.remote())
        return actor

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
    found = measure(playing, ["T4", "H100"], MEASURING, Hour(0.0).wait())
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
        measure(playing, [None], MEASURING, hour.wait(end_at_third))
    assert playing.killed == 1
    (line,) = hour.told
    assert line.startswith("tuner: measuring the GPU memory of the space's largest models ")


@pytest.mark.ray
@pytest.mark.parametrize(
    ("left_s", "error", "problem"),
    [
        (None, ConfigError, "on a T4 of gpu-3 did not end within 15m; `nvidia-smi` there shows"),
        (500.0, TimeIsUp, "^$"),
    ],
)
def test_measuring_has_a_time_limit(
    shared_ray: None, left_s: float | None, error: type[BaseException], problem: str
) -> None:
    import ray

    playing = Playing(ray, lambda: exec(LONG))  # type: ignore[arg-type, return-value]
    with pytest.raises(error, match=problem):
        measure(playing, ["T4"], MEASURING, Hour(60.0).wait(left_s=left_s))
    assert playing.killed == 1


@pytest.mark.ray
def test_a_gpu_that_never_becomes_free_is_named(shared_ray: None) -> None:
    import ray

    hour = Hour(400.0)
    with pytest.raises(
        ConfigError, match=r"no whole T4 became free to measure .* within 15m; `ray status` shows"
    ):
        measure(ray, ["T4", "A10G"], MEASURING, hour.wait(), is_named=True)
    assert hour.told[0].endswith("largest models once a T4 is free, once a A10G is free")


@pytest.mark.ray
def test_a_gpu_of_unknown_memory_is_refused_in_one_line(shared_ray: None) -> None:
    import ray

    with pytest.raises(ConfigError, match="cannot be measured") as refused:
        measure(Playing(ray), [None], MEASURING, Hour(0.0).wait())
    assert str(refused.value) == (
        "--gpus-per-trial: the largest models cannot be measured: NVIDIA's driver does not report the memory of a "
        "GPU here; --gpus-per-trial 1 needs no measuring, 0 no GPU"
    )


def test_a_node_that_dies_under_the_measuring_is_replaced_once() -> None:
    ray = AnsweringRay(FIGURES, deaths=1)
    assert measure(ray, ["T4"], MEASURING, Hour(0.0).wait()) == {"T4": FIGURES}
    assert len(ray.asked) == 2
    with pytest.raises(ConfigError, match="died: The actor died because its node has died"):
        measure(AnsweringRay(FIGURES, deaths=2), ["T4"], MEASURING, Hour(0.0).wait())


def test_the_time_of_a_node_that_died_counts_to_the_budget() -> None:
    clock = Clock(0.0)

    class Busy(AnsweringRay):
        """After 200 s a node dies, and the second probe does not answer."""

        def wait(self, references: list[object], timeout: float) -> Any:
            return (references, []) if self._deaths_left else ([], references)

        def get(self, reference: object) -> object:
            clock.now += 200 if self._deaths_left else 0
            return super().get(reference)

    def pass_a_minute() -> None:
        clock.now += 60

    wait = Wait(pass_a_minute, lambda line: None, left_s=250.0, clock=clock)
    with pytest.raises(TimeIsUp, match=r"^$"):
        measure(Busy(FIGURES, deaths=1), ["T4"], MEASURING, wait)
    assert clock.now == 260


def test_an_unnamed_gpu_has_the_kind_of_the_node_that_it_was_measured_on() -> None:
    """Two nodes may have come for it."""
    h100, t4 = {"GPU": 1.0, "accelerator_type:H100": 1.0}, {"GPU": 1.0, "accelerator_type:T4": 1.0}
    ray = AnsweringRay(FIGURES, h100, t4)
    assert measure(ray, [None], MEASURING, Hour(0.0).wait()) == {"T4": FIGURES}
    unnamed = AnsweringRay(FIGURES, {"GPU": 1.0})
    assert measure(unnamed, [None], MEASURING, Hour(0.0).wait()) == {None: FIGURES}


@pytest.mark.ray
def test_the_death_of_the_process_is_one_line(shared_ray: None) -> None:
    import ray

    playing = Playing(ray, lambda: exec("import os; os._exit(1)"))  # type: ignore[arg-type, return-value]
    with pytest.raises(
        ConfigError, match="the process that measured the largest models died"
    ) as died:
        measure(playing, [None], MEASURING, Hour(0.0).wait())
    assert "\n" not in str(died.value)
