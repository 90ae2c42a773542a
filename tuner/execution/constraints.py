"""The versions that are installed here, as pip's constraints: `make wheel` writes them beside the wheel for clusters.

Nodes of a cluster install the wheel when they join, some of them weeks later. With these constraints all have the
packages of the machine that the cluster was started from, and figures on one leaderboard are of one version.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tuner.files import write_atomically

_PACKAGE = "sequence-tuner"


def installed_constraints() -> list[str]:
    """`name==version` of every installed package that this one needs, also for its extras, sorted.

    Packages that were installed from a folder or an address are left out: a version does not name them.
    """
    root = Distribution.from_name(_PACKAGE)
    seen: set[tuple[str, str]] = set()
    found: dict[str, Distribution] = {}
    waiting = [(_PACKAGE, extra) for extra in ("", *root.metadata.get_all("Provides-Extra", []))]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = Distribution.from_name(name)
        except PackageNotFoundError:  # of an extra that is not installed, or for another system
            continue
        waiting += _needed_by(found[name], extra)
    return sorted(
        f"{name}=={Version(package.version).public}"
        for name, package in found.items()
        if name != _PACKAGE and package.read_text("direct_url.json") is None
    )


def _needed_by(package: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """The packages that an extra of this one needs, "" for itself, each with the extras that are wanted of it."""
    for needed in map(Requirement, package.requires or []):
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            name = canonicalize_name(needed.name)
            yield from ((name, wanted) for wanted in ("", *needed.extras))


if __name__ == "__main__":
    write_atomically(Path(sys.argv[1]), "".join(f"{line}\n" for line in installed_constraints()))
