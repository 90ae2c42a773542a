"""Copies of the golden runs, `tests/run/golden`: run folders of an earlier version."""

import shutil
from pathlib import Path

from tuner.run import Run

GOLDEN = Path(__file__).parents[1] / "run" / "golden"


def golden_run(name: str, folder: Path) -> Run:
    """A copy of the golden run `name` in `folder`."""
    shutil.copytree(GOLDEN / name, folder / name)
    return Run(folder / name)
