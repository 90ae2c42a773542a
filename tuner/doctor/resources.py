"""Whether CPUs, memory, shared memory and disks suffice for a search."""

import shlex

from tuner.doctor.check import Check, Status, gigabytes
from tuner.machine import MEMORY_PER_TRIAL_GB, Disk, Memory
from tuner.text import count_text

# Ray sizes its object store as this share of the available memory. Above so many GB it shrinks the store to the size
# of shared memory, below it uses a disk instead (ray/_private/utils.py, `resolve_object_store_memory`).
OBJECT_STORE_SHARE = 0.3
LARGEST_STORE_ON_DISK_GB = 10
LEAST_FREE_DISK_GB = 1.0
# Ray stops writing objects to a file system that is fuller than this.
RAY_FULLEST_DISK = 0.95
_GB = 1e9


def check_cpus(usable: int, installed: int) -> Check:
    """How many CPUs trials may use; a container often gives fewer than the machine has."""
    if usable >= installed:
        return Check("cpus", Status.OK, str(usable))
    return Check("cpus", Status.OK, f"{usable} of {installed}, by this process' limits")


def check_memory(memory: Memory, cpus: int) -> Check:
    """How many trials fit into memory at once."""
    fit = int(memory.available / (MEMORY_PER_TRIAL_GB * _GB))
    free = f"{gigabytes(memory.available)} of {gigabytes(memory.total)} free"
    found = f"{free}: enough for {count_text(fit, 'trial')} at once"
    if fit == 0:
        found = f"{free}, less than a trial may need"
        advice = f"close other programs until {MEMORY_PER_TRIAL_GB} GB are free"
        return Check("memory", Status.PROBLEM, found, advice)
    if fit < cpus:
        advice = f"tuner search SPACE --max-concurrent {fit}"
        return Check("memory", Status.WARNING, f"{found}, fewer than {cpus} CPUs", advice)
    return Check("memory", Status.OK, found)


def check_shared_memory(shared: Disk | None, memory: Memory) -> Check:
    """Whether Ray's object store fits into shared memory; on disk it is slow."""
    name = "shared memory"
    if shared is None:
        return Check(name, Status.OK, "not used on this system")
    wanted = int(min(memory.available * OBJECT_STORE_SHARE, LARGEST_STORE_ON_DISK_GB * _GB))
    found = f"{gigabytes(shared.free)} free in {shared.folder}"
    if shared.is_writable and shared.free >= wanted:
        return Check(name, Status.OK, found)
    size_gb = -(-wanted // int(_GB))
    advice = (
        f"in a container: docker run --shm-size={size_gb}g; "
        f"else: mount -o remount,size={size_gb}G {shared.folder}"
    )
    found = f"{found}, Ray asks for {gigabytes(wanted)} and will use a slower disk"
    return Check(name, Status.WARNING, found, advice)


def check_disk(name: str, disk: Disk) -> Check:
    """Whether there is a place that can be written to, with room in it."""
    found = f"{gigabytes(disk.free)} free for {disk.folder}"
    if not disk.is_writable:
        found = f"{disk.folder} cannot be written to"
        advice = f"choose a folder of yours, or: sudo chown $USER {shlex.quote(str(disk.folder))}"
        return Check(name, Status.PROBLEM, found, advice)
    if disk.free < LEAST_FREE_DISK_GB * _GB:
        advice = f"free {LEAST_FREE_DISK_GB:.0f} GB there; df -h shows what is full"
        return Check(name, Status.WARNING, found, advice)
    return Check(name, Status.OK, found)


def check_temporary_disk(disk: Disk) -> Check:
    """Whether Ray can keep its session files; it refuses a file system that is nearly full."""
    check = check_disk("disk for Ray's sessions", disk)
    share = 1 - disk.free / disk.total
    if check.status is not Status.OK or share <= RAY_FULLEST_DISK:
        return check
    found = f"{disk.folder} lies on a disk that is {share:.0%} full, Ray works up to 95 %"
    advice = "free space there, or: export RAY_TMPDIR=/a/folder/on/another/disk"
    return Check(check.name, Status.WARNING, found, advice)
