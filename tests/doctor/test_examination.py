"""All checks of `tuner doctor` on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tuner.doctor import Status
from tuner.doctor.software import PACKAGES


@pytest.mark.slow  # imports TensorFlow
def test_examine_finds_the_packages_of_this_environment(tmp_path: Path) -> None:
    program = (
        "import json, sys; from pathlib import Path; from tuner.doctor import examine;"
        "checks = examine(Path('runs'), Path('cache'));"
        "heavy = {'ray', 'keras', 'tensorflow'} & set(sys.modules);"
        "print(json.dumps([[[c.name, c.status, c.advice] for c in checks], sorted(heavy)]))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stderr
    checks, heavy = json.loads(asked.stdout)
    statuses = {name: status for name, status, _ in checks}
    assert len(statuses) == len(checks)
    assert {statuses[name] for name in ("python", "tuner", *PACKAGES)} == {Status.OK}
    assert all(advice for _, status, advice in checks if status != Status.OK)
    assert heavy == []
    assert list(tmp_path.iterdir()) == []
