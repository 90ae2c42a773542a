"""What `tuner doctor` finds of GPUs."""

from tuner.doctor import Check, Status
from tuner.doctor import gpus as doctor
from tuner.doctor.backend import TensorFlowGPUs, TensorFlowState
from tuner.nvidia import Card, Driver


def gpus(*names: str) -> TensorFlowGPUs:
    return TensorFlowGPUs(TensorFlowState.WORKS, names)


def driver(*names: str) -> Driver:
    return Driver("580", tuple(Card(f"GPU-{name}", name) for name in names))


def test_gpus_that_tensorflow_misses_are_a_warning_with_the_package() -> None:
    found = doctor.check_gpus(gpus(), driver("NVIDIA H200"), {})
    assert found.status is Status.WARNING
    assert "TensorFlow sees 0 of 1" in found.found
    assert "pip install 'sequence-tuner[gpu]'" in found.advice


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
