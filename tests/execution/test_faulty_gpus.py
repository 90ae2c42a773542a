"""A GPU that failed again and again rests."""

import os
from pathlib import Path

import pytest
from support.watching import Clock

from tuner.execution.faulty_gpus import FaultyGpu


@pytest.fixture
def clock() -> Clock:
    return Clock(1e9)


@pytest.fixture
def gpu(tmp_path: Path, clock: Clock) -> FaultyGpu:
    return FaultyGpu(tmp_path, "GPU-1", clock)


def fail(gpu: FaultyGpu, clock: Clock, times: int) -> None:
    for _ in range(times):
        clock.now += 40
        for _ in range(14):  # share it
            gpu.count_fault(has_mps=True)


@pytest.mark.parametrize(("times", "rest_s"), [(2, 0), (3, 60), (4, 120), (5, 240), (9, 300)])
def test_after_three_faults_in_a_row_it_rests_longer_and_longer(
    gpu: FaultyGpu, clock: Clock, times: int, rest_s: float
) -> None:
    fail(gpu, clock, times)
    assert gpu.has_failed_often == (times >= 3)
    assert gpu.rest_s() == rest_s
    clock.now += 50
    assert gpu.rest_s() == max(0, rest_s - 50)


def test_without_mps_each_fault_counts(gpu: FaultyGpu, clock: Clock) -> None:
    for _ in range(3):
        clock.now += 10  # a new process takes no longer
        gpu.count_fault(has_mps=False)
    assert gpu.has_failed_often


def test_after_an_hour_its_faults_are_forgotten(gpu: FaultyGpu, clock: Clock) -> None:
    fail(gpu, clock, 5)
    clock.now += 3601
    assert not gpu.has_failed_often
    fail(gpu, clock, 2)
    assert not gpu.has_failed_often


def test_an_epoch_that_worked_ends_it(gpu: FaultyGpu, clock: Clock) -> None:
    fail(gpu, clock, 5)
    gpu.forget_faults()
    fail(gpu, clock, 2)
    assert gpu.rest_s() == 0


def test_another_gpu_does_not_rest(gpu: FaultyGpu, clock: Clock, tmp_path: Path) -> None:
    fail(gpu, clock, 5)
    assert FaultyGpu(tmp_path, "GPU-2", clock).rest_s() == 0


def test_nothing_rests_where_the_count_cannot_be_read(
    gpu: FaultyGpu, clock: Clock, tmp_path: Path
) -> None:
    fail(gpu, clock, 5)
    folder = tmp_path / f"tuner-faulty-gpus-{os.getuid()}"
    (folder / "GPU-1").write_text("", encoding="ascii")
    assert gpu.rest_s() == 0
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")  # another user's trick
    gpu.count_fault(has_mps=False)
    assert (tmp_path / "elsewhere" / "GPU-1").read_text(encoding="ascii") == ""
