"""The resources of this machine: CPUs, memory, shared memory, disk and Keras' backend.

Limits of a container count, not those of its host. Must not import Ray, Keras or TensorFlow, which the caller may be
about to configure.
"""

import json
import os
import resource
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# A process with TensorFlow, a model and its batches in it (measured: 0.9 to 1.2 GB); larger models need more.
MEMORY_PER_TRIAL_GB = 1.5

DEFAULT_BACKEND = "tensorflow"  # Keras' own default

_ROOT = Path("/")
# The limit of memory of a cgroup that has none: "max" in version 2, close to 2**63 in version 1.
_UNLIMITED = 2**60


@dataclass(frozen=True)
class Memory:
    """Bytes of memory that processes here may use, and how many of them are free now."""

    total: int
    available: int


@dataclass(frozen=True)
class Disk:
    """A folder that will be written to, made or not yet, and its file system in bytes."""

    folder: Path
    total: int
    free: int
    is_writable: bool


def installed_cpus() -> int:
    """CPUs of the machine, whether or not this process may use them."""
    return os.cpu_count() or 1


def usable_cpus(root: Path = _ROOT) -> int:
    """CPUs that this process may use: by its affinity and its cgroup's quota, at least 1."""
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else installed_cpus()
    )
    quota = min(_cpu_quotas(root), default=float(affinity))
    return max(1, min(affinity, int(quota)))


def memory(root: Path = _ROOT) -> Memory:
    """Memory of the machine, or of this process' cgroup where that is less."""
    total, available = _system_memory(root)
    for limit, used in _memory_limits(root):
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return Memory(total, available)


def own_memory_mb(root: Path = _ROOT) -> int:
    """Memory in MiB that this process holds for itself: code and data that it shares with others do not count.

    The most that it ever held, shared or not, on systems other than Linux.
    """
    fields = (line.partition(":") for line in (_read(root / "proc/self/status") or "").splitlines())
    kibibytes = {name: rest.split()[0] for name, _, rest in fields if name.startswith("Rss")}
    if "RssAnon" in kibibytes:
        return (int(kibibytes["RssAnon"]) + int(kibibytes.get("RssShmem", 0))) // 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // (2**20 if sys.platform == "darwin" else 1024)


def oom_kills(root: Path = _ROOT) -> int:
    """How many processes the kernel has killed because memory ran out, since it started; 0 where that is unknown."""
    try:
        lines = (root / "proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    counts = dict(line.split(" ", 1) for line in lines if " " in line)
    return int(counts.get("oom_kill", 0))


def shared_memory(folder: Path = Path("/dev/shm")) -> Disk | None:
    """The shared memory in which Ray keeps its objects on Linux; None on systems without it."""
    return disk(folder) if os.path.isdir(folder) else None


def disk(folder: Path) -> Disk:
    """The file system that `folder` lies on, or would lie on once it is made.

    Where one of the folders above it may not be entered, it is that one's.
    """
    folder = folder.absolute()
    # Not `Path.exists`, which raises there in Python 3.11.
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    usage = shutil.disk_usage(there)
    is_writable = os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)
    return Disk(folder, usage.total, usage.free, is_writable)


def ray_folder(environment: Mapping[str, str]) -> Path:
    """The folder below which the Ray of a search keeps its files.

    Not in TMPDIR, which is often too deep: the path of a Unix socket may have 103 bytes.
    """
    return Path(environment.get("RAY_TMPDIR") or "/tmp")


def keras_backend(
    environment: Mapping[str, str] | None = None, home: Path | None = None
) -> tuple[str | None, Path]:
    """The backend that Keras will choose, as Keras does (variable, file, TensorFlow), and the file.

    No backend when the file is no JSON object.
    """
    environment = os.environ if environment is None else environment
    home = home or Path(os.path.expanduser("~"))
    settings = Path(environment.get("KERAS_HOME") or home / ".keras") / "keras.json"
    if environment.get("KERAS_BACKEND"):
        return environment["KERAS_BACKEND"], settings
    try:
        chosen = json.loads(settings.read_text())
    except OSError:
        return DEFAULT_BACKEND, settings
    except ValueError:
        return None, settings
    return (chosen.get("backend", DEFAULT_BACKEND) if isinstance(chosen, dict) else None), settings


def _system_memory(root: Path) -> tuple[int, int]:
    """Total and available bytes of the whole machine."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux: there is no portable figure for what is available
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return total, total
    kibibytes = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    total = kibibytes["MemTotal"] * 1024
    return total, kibibytes.get("MemAvailable", kibibytes["MemFree"]) * 1024


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Every limit in CPUs that a cgroup of this process sets."""
    for group in _cgroups(root, "cpu"):
        text = _read(group / "cpu.max")  # version 2: "200000 100000" or "max 100000"
        if text is None:
            quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
            text = f"{quota} {period}" if quota and period else ""
        quota, _, period = text.partition(" ")
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use in bytes of every cgroup of this process that has a limit."""
    for group in _cgroups(root, "memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes") or "0"
        if limit is not None and limit.isdecimal() and int(limit) < _UNLIMITED:
            yield int(limit), max(0, int(used) - _file_cache(group))


def _file_cache(group: Path) -> int:
    """Bytes that count as used although the kernel gives them up when asked: read files."""
    fields = [line.split() for line in (_read(group / "memory.stat") or "").splitlines()]
    statistics = {name: int(value) for name, value in (x for x in fields if len(x) == 2)}
    return statistics.get("total_inactive_file", statistics.get("inactive_file", 0))


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """This process' cgroup folders for `controller` and the ones around them, innermost first.

    Within a container /proc/self/cgroup may name the host's path, which is not there: then only the
    outermost folder is found, which is the container's own.
    """
    mount = root / "sys/fs/cgroup"
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 2 has no controller names; beside version 1 it may be mounted in "unified".
        for base in [mount / controller] if controllers else [mount, mount / "unified"]:
            inner = base / path.lstrip("/")
            for folder in (inner, *inner.parents):
                if os.path.isdir(folder):
                    yield folder
                if folder == base:
                    break


def _read(file: Path) -> str | None:
    """The file's text without its line end, or None when it is not there."""
    try:
        return file.read_text().strip()
    except OSError:
        return None
