"""All checks of `tuner doctor` on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tuner.doctor import Status, examination
from tuner.doctor.backend import TensorFlowAnswer, TensorFlowState
from tuner.doctor.software import PACKAGES
from tuner.execution.mps import MpsState
from tuner.nvidia import Driver, Gpu


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


def test_gpus_add_their_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu("GPU-1", "NVIDIA H100", 81559, 80000, capability=(9, 0))
    answer = TensorFlowAnswer(
        TensorFlowState.WORKS, ("NVIDIA H100",), cuda="12.5.1", kernels=("sm_90",), step_s=(4, 1)
    )
    monkeypatch.setattr(examination, "ask_driver", lambda: Driver("580", (gpu,), (13, 0)))
    monkeypatch.setattr(examination, "ask_tensorflow", lambda: answer)
    monkeypatch.setattr(examination, "mps_state", lambda: MpsState(True))
    checks = [check for check in examination.examine() if check.name.startswith("gpu")]
    names = ["gpus", "gpu 0", "gpu driver", "gpu kernels", "gpu sharing", "gpu training"]
    assert [check.name for check in checks] == names
    assert {check.status for check in checks} == {Status.OK}
