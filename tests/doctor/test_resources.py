"""What `tuner doctor` finds of CPUs, memory and disks."""

from pathlib import Path

import pytest

from tuner.doctor import Status, resources
from tuner.machine import Disk, Memory

GB = 10**9


def disk(free: int, *, total: int = 100 * GB, is_writable: bool = True) -> Disk:
    return Disk(Path("/somewhere"), total, free, is_writable)


def test_cpus_name_the_limit() -> None:
    assert resources.check_cpus(2, 64).found == "2 of 64, by this process' limits"
    assert resources.check_cpus(4, 4).found == "4"


@pytest.mark.parametrize(
    ("available_gb", "status", "found", "advice"),
    [
        (16, Status.OK, "enough for 10 trials", ""),
        (3, Status.WARNING, "enough for 2 trials", "--max-concurrent 2"),
        (1, Status.PROBLEM, "less than a trial", "close other programs"),
    ],
)
def test_memory_shows_how_many_trials_fit(
    available_gb: int, status: Status, found: str, advice: str
) -> None:
    check = resources.check_memory(Memory(32 * GB, available_gb * GB), cpus=4)
    assert check.status is status
    assert found in check.found
    assert advice in check.advice


def test_shared_memory_of_a_bare_container_is_a_warning() -> None:
    found = resources.check_shared_memory(disk(64 * 10**6), Memory(16 * GB, 10 * GB))
    assert found.status is Status.WARNING
    assert "--shm-size=3g" in found.advice


def test_shared_memory_of_a_large_machine_need_not_hold_its_share() -> None:
    found = resources.check_shared_memory(disk(11 * GB), Memory(512 * GB, 500 * GB))
    assert found.status is Status.OK


def test_shared_memory_is_not_missed_where_there_is_none() -> None:
    assert resources.check_shared_memory(None, Memory(GB, GB)).status is Status.OK


def test_disk_that_is_full_or_closed_is_reported() -> None:
    assert resources.check_disk("disk", disk(50 * GB)).status is Status.OK
    assert resources.check_disk("disk", disk(GB // 2)).status is Status.WARNING
    assert resources.check_disk("disk", disk(50 * GB, is_writable=False)).status is Status.PROBLEM


def test_disk_of_ray_must_not_be_nearly_full() -> None:
    found = resources.check_temporary_disk(disk(3 * GB))
    assert found.status is Status.WARNING
    assert "97% full" in found.found
    assert "RAY_TMPDIR" in found.advice
    assert resources.check_temporary_disk(disk(6 * GB)).status is Status.OK
