"""The versions that a cluster's nodes install beside the wheel."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tuner.execution.constraints import installed_constraints


def test_every_package_that_trains_or_records_has_the_version_of_this_machine() -> None:
    constraints = dict(line.split("==") for line in installed_constraints())
    for name in ("ray", "tensorflow", "keras", "optuna", "numpy", "h5py", "sqlalchemy"):
        assert constraints[name] == version(name).partition("+")[0]
    assert "sequence-tuner" not in constraints


@pytest.mark.slow
def test_the_file_holds_names_and_versions_alone(tmp_path: Path) -> None:
    file = tmp_path / "dist" / "constraints.txt"
    subprocess.run([sys.executable, "-m", "tuner.execution.constraints", file], check=True)
    lines = file.read_text().splitlines()
    assert lines == installed_constraints()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
