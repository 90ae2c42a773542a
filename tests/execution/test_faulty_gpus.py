"""A GPU that failed again and again rests."""

import os
import subprocess
import sys
from dataclasses import replace
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


# -- processes that die ---------------------------------------------------------------------------

DIES = """
import os, sys
from pathlib import Path
from tuner.execution.faulty_gpus import FaultyGpu

root, has_mps = sys.argv[1:]
gpu = FaultyGpu(Path(root), "GPU-1", session="now")
def work():
    return gpu.at_work(has_mps=has_mps == "True")
with work(), work(), work():
    os._exit(1)
"""


def three_die_at_work(root: Path, *, has_mps: bool) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(root), str(has_mps)], check=False)


@pytest.mark.parametrize("has_mps", [True, False])
def test_processes_that_die_at_work_are_faults_those_of_mps_at_one_moment_one(
    gpu: FaultyGpu, clock: Clock, tmp_path: Path, has_mps: bool
) -> None:
    mine = replace(gpu, session="now")
    fail(gpu, clock, 1)
    clock.now += 40
    three_die_at_work(tmp_path, has_mps=has_mps)
    mine.count_deaths()
    assert gpu.has_failed_often is not has_mps
    clock.now += 40
    mine.count_deaths()  # they have been counted
    assert gpu.has_failed_often is not has_mps


def test_processes_of_an_ended_search_are_no_faults_and_their_notes_go_when_the_gpu_works(
    gpu: FaultyGpu, tmp_path: Path
) -> None:
    three_die_at_work(tmp_path, has_mps=False)
    replace(gpu, session="later").count_deaths()
    assert not gpu.has_failed_often
    gpu.forget_faults()
    replace(gpu, session="now").count_deaths()
    assert not gpu.has_failed_often


def test_a_process_that_lives_or_has_ended_in_order_is_no_fault(
    gpu: FaultyGpu, tmp_path: Path
) -> None:
    with gpu.at_work(has_mps=False), gpu.at_work(has_mps=False), gpu.at_work(has_mps=False):
        gpu.count_deaths()
        gpu.forget_faults()
        gpu.count_deaths()
    assert not gpu.has_failed_often
    assert list((tmp_path / f"tuner-faulty-gpus-{os.getuid()}").iterdir()) == []
