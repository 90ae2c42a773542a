"""What trials have of GPUs where nobody has said."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tuner.nvidia import Card, Driver
from tuner.training import default_gpus as module
from tuner.training.default_gpus import default_gpus, has_cudnn

H100 = Card("GPU-1", "NVIDIA H100", 81_920, 80_000)
T4 = Card("GPU-2", "Tesla T4", 15_360, 15_000)
JETSON = Card("GPU-3", "Orin")  # its memory is the machine's, and its driver does not tell it


@pytest.fixture
def libraries(tmp_path: Path) -> dict[str, str]:
    """An environment in which cuDNN is found."""
    (tmp_path / "libcudnn.so.9").touch()
    return {"LD_LIBRARY_PATH": f"/nowhere:{tmp_path}", "KERAS_HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("cards", "expected"),
    [([], 0), ([T4], "auto"), ([T4, T4], "auto"), ([T4, H100], 1), ([JETSON], 1)],
)
def test_gpus_of_this_machine_are_used_unasked(
    libraries: dict[str, str], cards: Sequence[Card], expected: object
) -> None:
    assert default_gpus(libraries, lambda: Driver("580", tuple(cards))) == expected


def test_without_a_driver_trials_run_on_cpus(libraries: dict[str, str]) -> None:
    assert default_gpus(libraries, lambda: None) == 0


@pytest.mark.parametrize(
    "given", [{"CUDA_VISIBLE_DEVICES": "-1"}, {"KERAS_BACKEND": "jax"}, {"LD_LIBRARY_PATH": ""}]
)
def test_gpus_that_tensorflow_cannot_use_are_left_alone(
    libraries: dict[str, str], monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    monkeypatch.setattr(module.ctypes.util, "find_library", lambda _: None)
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    assert default_gpus(libraries, lambda: Driver("580", (T4,))) == "auto"
    assert default_gpus({**libraries, **given}, lambda: Driver("580", (T4,))) == 0


def test_cudnn_is_found_beside_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        origin = str(tmp_path / "tensorflow" / "__init__.py")

    monkeypatch.setattr(module.ctypes.util, "find_library", lambda _: None)
    monkeypatch.setattr(module, "find_spec", lambda _: Found)
    assert not has_cudnn({})
    folder = (
        tmp_path / "nvidia" / "cudnn" / "lib"
    )  # as the packages of `tensorflow[and-cuda]` have it
    folder.mkdir(parents=True)
    (folder / "libcudnn.so.9").touch()
    assert has_cudnn({})
