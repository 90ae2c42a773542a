"""The wheel and the sdist hold everything that an installed tuner needs, and nothing else."""

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
SPACES = {path.name for path in (CHECKOUT / "search_spaces").glob("*.yaml")}


def build(target: str, checkout: Path, folder: Path) -> Path:
    """The one file that hatchling makes of `checkout`."""
    ended = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", CHECKOUT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", CHECKOUT, tmp_path_factory.mktemp("sdist"))


def test_wheel_holds_the_package_its_spaces_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packaged = {name for name in names if ".dist-info/" not in name}
    sources = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "tuner").rglob("*.py")}
    spaces = {f"tuner/_builtin/search_spaces/{name}" for name in SPACES}
    assert {"seed.yaml", "imdb.yaml", "quickstart.yaml"} <= SPACES
    assert sources | spaces | {"tuner/py.typed"} <= packaged
    assert {name.partition("/")[0] for name in packaged} == {"tuner"}
    assert not [name for name in names if "__pycache__" in name or "tests" in name]


def test_installed_wheel_finds_its_spaces_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    program = (
        "import tuner, tuner.settings.builtin as s; print(tuner.__file__, *s.builtin_space_names())"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    imported, *spaces = ended.stdout.split()
    assert imported == str(site / "tuner" / "__init__.py")
    assert {f"{name}.yaml" for name in spaces} == SPACES


def test_wheel_offers_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "tuner = tuner.cli:main" in archive.read(name).decode()


def test_wheel_publishes_no_extra_that_only_developers_need(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert set(metadata.get_all("Provides-Extra", [])) == {
        *("dashboard", "tensorboard", "mlflow", "cluster", "aws", "gcp", "onnx", "images", "gpu")
    }
    assert not [line for line in metadata.get_all("Requires-Dist", []) if "pytest" in line]


@pytest.mark.slow
def test_sdist_makes_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert (unpacked / "Makefile").is_file()
    assert (unpacked / "docs" / "architecture.md").is_file()
    assert (unpacked / "tests" / "test_packaging.py").is_file()
    again = build("wheel", unpacked, tmp_path / "again")
    assert contents(again) == contents(wheel)


def contents(wheel: Path) -> dict[str, int]:
    """Checksums of all files in `wheel`."""
    return {info.filename: info.CRC for info in zipfile.ZipFile(wheel).infolist()}
