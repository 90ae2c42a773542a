"""What trials have of GPUs where nobody has said."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from tuner.nvidia import Driver, Gpu
from tuner.training import gpus_of_machine as module
from tuner.training.gpus_of_machine import default_gpus, finds_cuda

H100 = Gpu("GPU-1", "NVIDIA H100", 81_920, 80_000)
T4 = Gpu("GPU-2", "Tesla T4", 15_360, 15_000)
FULL = Gpu("GPU-3", "Tesla T4", 15_360, 3_000)
JETSON = Gpu("GPU-4", "Orin")  # its memory is the machine's, and its driver does not tell it
BROKEN = Gpu("", "a GPU that does not answer", problem="GPU is lost")
BUILD_INFO = (
    "build_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('cudnn_version', '9')])"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a TensorFlow that was built for CUDA 12 and cuDNN 9, and a machine without both."""
    package = tmp_path / "site" / "tensorflow"
    (package / "python/platform").mkdir(parents=True)
    (package / "python/platform/build_info.py").write_text(BUILD_INFO)
    spec = SimpleNamespace(origin=str(package / "__init__.py"))
    monkeypatch.setattr(module, "find_spec", lambda name: spec)
    monkeypatch.setattr(module.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(module.sys, "prefix", str(tmp_path / "prefix"))
    return package.parent


def with_libraries(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.fixture
def environment(site: Path) -> dict[str, str]:
    """One in which TensorFlow finds all that it needs."""
    with_libraries(site / "nvidia/cudnn/lib", "libcudnn.so.9")
    with_libraries(site / "nvidia/cublas/lib", "libcublas.so.12")
    return {"KERAS_HOME": str(site)}


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([], 0),
        ([T4], "auto"),
        ([T4, T4], "auto"),
        ([T4, H100], 0),
        ([FULL], 0),
        ([T4, FULL], 0),
        ([JETSON], 0),
        ([T4, BROKEN], 0),
    ],
)
def test_gpus_are_used_unasked_where_nothing_speaks_against_them(
    environment: dict[str, str], gpus: Sequence[Gpu], expected: object
) -> None:
    assert default_gpus(environment, lambda: Driver("580", tuple(gpus))) == expected


def test_without_a_driver_trials_run_on_cpus(environment: dict[str, str]) -> None:
    assert default_gpus(environment, lambda: None) == 0


@pytest.mark.parametrize("given", [{"CUDA_VISIBLE_DEVICES": "-1"}, {"KERAS_BACKEND": "jax"}])
def test_hidden_gpus_and_those_of_other_backends_are_left_alone(
    environment: dict[str, str], given: dict[str, str]
) -> None:
    assert default_gpus({**environment, **given}, lambda: Driver("580", (T4,))) == 0


@pytest.mark.parametrize(
    "names", [["libcudnn.so.9"], ["libcublas.so.12"], ["libcudnn.so.8", "libcublas.so.12"]]
)
def test_both_libraries_are_needed_in_tensorflows_versions(site: Path, names: list[str]) -> None:
    folder = with_libraries(site.parent / "libraries", *names)
    assert not finds_cuda({"LD_LIBRARY_PATH": str(folder)})


def test_libraries_are_found_where_a_person_says_or_conda_brings_them(site: Path) -> None:
    needed = "libcudnn.so.9", "libcublas.so.12"
    assert not finds_cuda({})
    folder = with_libraries(site.parent / "libraries", *needed)
    assert finds_cuda({"LD_LIBRARY_PATH": f"/nowhere:{folder}"})
    with_libraries(site.parent / "prefix" / "lib", *needed)
    assert finds_cuda({})


def test_libraries_of_the_system_count_in_their_versions(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cudnn, is_found in (("9", True), ("8", False)):
        there = {"cudnn": f"libcudnn.so.{cudnn}", "cublas": "libcublas.so.12"}
        monkeypatch.setattr(module.ctypes.util, "find_library", there.get)
        assert finds_cuda({}) == is_found


def test_a_tensorflow_for_cpus_uses_no_gpu(site: Path, environment: dict[str, str]) -> None:
    assert finds_cuda(environment)
    (site / "tensorflow/python/platform/build_info.py").write_text("build_info = {}")
    assert not finds_cuda(environment)


def test_what_is_read_of_tensorflow_is_there() -> None:
    found = module.find_spec("tensorflow")
    assert found is not None
    assert found.origin is not None
    text = (Path(found.origin).parent / "python/platform/build_info.py").read_text()
    assert "is_cuda_build" in text  # or TensorFlow has changed how it tells
