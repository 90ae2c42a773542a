"""What `tuner doctor` finds of GPUs."""

import pytest

from tuner.doctor import Check, Status
from tuner.doctor import gpus as doctor
from tuner.doctor.backend import TensorFlowAnswer, TensorFlowState
from tuner.execution.mps import MpsState
from tuner.nvidia import Driver, Gpu, GpuProcess

BUILT = ("sm_60", "sm_70", "sm_80", "sm_89", "compute_90")
H100 = Gpu("GPU-1", "NVIDIA H100", 81559, 80000, capability=(9, 0))


def gpus(*names: str) -> TensorFlowAnswer:
    return TensorFlowAnswer(TensorFlowState.WORKS, names)


def driver(*names: str) -> Driver:
    return Driver("580", tuple(Gpu(f"GPU-{name}", name) for name in names))


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


def test_one_slice_is_all_that_cuda_shows_of_divided_gpus() -> None:
    slices = (Gpu("MIG-1", "A100 MIG 3g.20gb"), Gpu("MIG-2", "A100 MIG 3g.20gb"))
    divided = Driver(
        "580", (Gpu("GPU-1", "A100", slices=slices), Gpu("GPU-2", "A100", slices=slices))
    )
    assert doctor.check_gpus(gpus("A100 MIG 3g.20gb"), divided, {}).status is Status.OK
    missing = doctor.check_gpus(gpus(), divided, {})
    assert missing.found == "TensorFlow sees 0 of 1: the machine has A100, A100"


def test_a_lost_gpu_is_named_and_not_missed_by_tensorflow() -> None:
    lost = Gpu("", "a GPU that does not answer", problem="GPU is lost")
    with_lost = Driver("580", (lost, H100))
    assert doctor.check_gpus(gpus("NVIDIA H100"), with_lost, {}).status is Status.OK
    first, second = doctor.check_each_gpu(with_lost)
    assert (first.status, first.found) == (Status.WARNING, "does not answer: GPU is lost")
    assert "CUDA_VISIBLE_DEVICES" in first.advice
    assert second.status is Status.OK


def test_tensorflow_that_does_not_start_is_reported() -> None:
    broken = TensorFlowAnswer(TensorFlowState.BROKEN, message="no AVX")
    slow = TensorFlowAnswer(TensorFlowState.SLOW, message="no answer in 180 s")
    assert doctor.check_gpus(broken, None, {}).status is Status.PROBLEM
    assert "no AVX" in doctor.check_gpus(broken, None, {}).found
    assert doctor.check_gpus(slow, None, {}).status is Status.WARNING


# -- GPUs ----------------------------------------------------------------------------------------


def test_a_free_gpu_shows_how_many_trials_fit() -> None:
    (check,) = doctor.check_each_gpu(Driver("580", (H100,)))
    assert check == Check(
        "gpu 0",
        Status.OK,
        "NVIDIA H100, 83.9 GB of 85.5 GB free: room for 40 trials at 2.1 GB per trial; "
        "--gpus-per-trial auto measures your space's",
    )


def test_a_full_gpu_names_who_holds_it_the_largest_first() -> None:
    holders = (GpuProcess(7, 600, "python3"), GpuProcess(8, 14000), GpuProcess(9))
    full = Gpu("GPU-1", "Tesla T4", 15360, 760, processes=holders)
    (check,) = doctor.check_each_gpu(Driver("580", (full,)))
    assert check.status is Status.WARNING
    assert "held by process 8 (14.7 GB), python3 7 (0.6 GB), process 9: no room" in check.found
    assert "CUDA_VISIBLE_DEVICES" in check.advice


def test_many_holders_are_counted() -> None:
    busy = Gpu("G", "T4", 15360, 9000, processes=tuple(GpuProcess(n, 100) for n in range(14)))
    (check,) = doctor.check_each_gpu(Driver("580", (busy,)))
    assert "process 4 (0.1 GB) and 9 more: room for 4 trials" in check.found


def test_each_slice_of_a_gpu_is_shown_in_its_place() -> None:
    slices = (Gpu("MIG-1", "A100 MIG 3g.20gb", 20096, 20000), Gpu("MIG-2", "A100 MIG 3g.20gb"))
    checks = list(doctor.check_each_gpu(Driver("580", (Gpu("GPU-1", "A100", slices=slices),))))
    assert [check.name for check in checks] == ["gpu 0, slice 0", "gpu 0, slice 1"]
    assert "memory is unknown" in checks[1].found
    assert "--gpus-per-trial 1" in checks[1].advice


# -- driver and kernels ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "built", "capability", "status", "found"),
    [
        (
            (13, 0),
            "12.5.1",
            (9, 0),
            Status.OK,
            "580, for CUDA 13.0 and older; TensorFlow was built",
        ),
        ((12, 5), "12.5.1", (9, 0), Status.OK, "for CUDA 12.5.1"),
        ((12, 2), "12.5.1", (8, 0), Status.OK, "CUDA 12.2"),  # native kernels need no compiler
        ((12, 2), "12.5.1", (9, 0), Status.PROBLEM, "cannot compile that for NVIDIA H100"),
        ((11, 8), "12.5.1", (8, 0), Status.PROBLEM, "CUDA 11.8"),
        (None, "12.5.1", (8, 0), Status.OK, "an unknown CUDA"),
        ((13, 0), None, (8, 0), Status.OK, "580, for CUDA 13.0 and older"),
    ],
)
def test_the_driver_must_be_new_enough_for_tensorflow(
    runs: tuple[int, int] | None,
    built: str | None,
    capability: tuple[int, int],
    status: Status,
    found: str,
) -> None:
    answer = TensorFlowAnswer(TensorFlowState.WORKS, ("A",), cuda=built, kernels=BUILT)
    gpu = Gpu("GPU-1", "NVIDIA H100", capability=capability)
    check = doctor.check_driver(Driver("580", (gpu,), runs), answer)
    assert check.status is status
    assert found in check.found
    assert ("newer driver" in check.advice) is (status is Status.PROBLEM)


@pytest.mark.parametrize(
    ("capability", "kernels", "found"),
    [
        ((8, 9), BUILT, "native"),
        ((8, 6), BUILT, "native"),  # by machine code for 8.0
        ((7, 5), BUILT, "native"),
        ((9, 0), BUILT, "compiled by the driver on first use"),
        ((12, 0), BUILT, "compiled"),
        ((10, 3), ("sm_103", "compute_120"), "native"),
        ((9, 0), ("sm_90a",), "native"),
        ((9, 1), ("sm_90a", "compute_90"), "compiled"),
        ((5, 2), BUILT, "TensorFlow has none for NVIDIA H100 (5.2)"),
        ((8, 9), ("compute_90",), "TensorFlow has none"),
        ((9, 1), ("compute_90a",), "TensorFlow has none"),
    ],
)
def test_kernels_are_native_or_compiled_on_first_use_or_missing(
    capability: tuple[int, int], kernels: tuple[str, ...], found: str
) -> None:
    gpu = Gpu("GPU-1", "NVIDIA H100", capability=capability)
    answer = TensorFlowAnswer(TensorFlowState.WORKS, ("A",), kernels=kernels)
    check = doctor.check_kernels(Driver("580", (gpu,)), answer)
    assert check is not None
    assert found in check.found
    assert check.status is (Status.PROBLEM if "none" in found else Status.OK)


def test_gpus_alike_are_named_once_and_nothing_is_claimed_of_unknown_ones() -> None:
    answer = TensorFlowAnswer(TensorFlowState.WORKS, ("A",), kernels=BUILT)
    check = doctor.check_kernels(
        Driver("580", (H100, Gpu("GPU-2", "NVIDIA H100", capability=(9, 0)))), answer
    )
    assert check is not None
    assert check.found.count("NVIDIA H100") == 1
    assert doctor.check_kernels(driver("A"), answer) is None
    assert doctor.check_kernels(Driver("580", (H100,)), gpus("A")) is None


# -- sharing and training -------------------------------------------------------------------------


def test_sharing_without_mps_is_a_warning_with_the_reason() -> None:
    assert doctor.check_mps(MpsState(True)).found == "NVIDIA MPS runs"
    assert doctor.check_mps(MpsState(False)).status is Status.OK
    check = doctor.check_mps(MpsState(False, "nvidia-cuda-mps-control is missing"))
    assert check.status is Status.WARNING
    assert "nvidia-cuda-mps-control is missing" in check.found
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in check.advice


def test_a_step_on_the_first_gpu_is_timed_or_its_failure_quoted() -> None:
    works = TensorFlowAnswer(TensorFlowState.WORKS, ("A", "B"), step_s=(4.53, 0.0213))
    assert doctor.check_step(works) == Check(
        "gpu training", Status.OK, "an LSTM's first step on A took 4.5 s, the next 0.021 s"
    )
    fails = TensorFlowAnswer(TensorFlowState.WORKS, ("A",), step_error="no answer in 180 s")
    check = doctor.check_step(fails)
    assert check is not None
    assert check.status is Status.PROBLEM
    assert "an LSTM's step on A failed: no answer in 180 s" in check.found
    assert doctor.check_step(gpus()) is None
