"""Measuring a configuration's memory, with a real model on this machine's CPU and a GPU's figures handed in."""

import os
import subprocess
import sys

import pytest

from tuner.errors import ConfigError, TrialDiverged, TrialFailed, TrialOutOfMemory
from tuner.nvidia import Gpu, GpuProcess
from tuner.settings.hyperparameters import resolve
from tuner.training import gpu_memory
from tuner.training import trial as training
from tuner.training.gpu_memory import BackendMemory, backend_memory, measure_training

pytestmark = pytest.mark.keras

LARGE = resolve("cnn_bilstm", {"vocabulary_size": 300, "max_length": 40, "batch_size": 8})
SMALL = resolve("lstm", {"vocabulary_size": 300, "max_length": 20, "batch_size": 4})
LIMIT_MB = 13_500  # the smaller of 90 % and all but 1500 MB of what is free


class GpuBefore:
    """A GPU that is asked for before and after."""

    def __init__(self, held_mb: int | None, free_mb: int = 15_000, total_mb: int = 16_000) -> None:
        self.before = Gpu("GPU-1", "NVIDIA T4", total_mb, free_mb)
        processes = () if held_mb is None else (GpuProcess(os.getpid(), held_mb),)
        self.after = Gpu("GPU-1", "NVIDIA T4", total_mb, 900, processes=processes)
        self.asked = 0

    def __call__(self) -> Gpu:
        self.asked += 1
        return self.before if self.asked == 1 else self.after


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The limits that were set; the test's process has its threads already."""
    seen: list[int] = []
    monkeypatch.setattr(
        "tuner.training.devices.configure_device", lambda memory_mb, **_: seen.append(memory_mb)
    )
    return seen


def measure(*configurations, gpu, peak_mb=400, gpus=1.0):
    return measure_training(
        configurations or (LARGE,),
        n_classes=3,
        longest=30,
        cpus=1,
        gpus=gpus,
        gpu=gpu,
        memory_of_backend=lambda limit_mb: BackendMemory(peak_mb, limit_mb),
    )


def test_a_part_of_a_gpu_leaves_the_rest_to_others(
    monkeypatch: pytest.MonkeyPatch, limits: list[int]
) -> None:
    monkeypatch.setattr("tuner.training.gpu_memory._train", lambda *_, **__: None)
    measure(gpu=GpuBefore(held_mb=4_000), gpus=0.2)
    assert limits == [2_700]


def test_trains_every_configuration_at_its_full_size(
    monkeypatch: pytest.MonkeyPatch, limits: list[int]
) -> None:
    seen = []
    original = training.Training.epochs

    def epochs(self):
        seen.append((self.model.get_layer("embedding").input_dim, self.model.output_shape))
        seen.append((set(self._train.lengths), len(self._train)))
        seen.append((set(self._validation.lengths), len(self._validation)))
        yield from original(self)

    monkeypatch.setattr(training.Training, "epochs", epochs)

    figures = measure(LARGE, SMALL, gpu=GpuBefore(held_mb=LIMIT_MB + 700))

    assert seen == [
        *[(300, (None, 3)), ({30}, 16), ({30}, 32_768 // 30)],
        *[(300, (None, 3)), ({20}, 8), ({20}, 32_768 // 20)],
    ]
    assert limits == [LIMIT_MB]
    assert (figures.gpu, figures.total_mb, figures.free_mb) == ("NVIDIA T4", 16_000, 15_000)
    assert (figures.peak_mb, figures.context_mb) == (400, 700)
    assert figures.host_mb > 100
    assert figures.host_free_mb > 100


@pytest.mark.parametrize(
    ("held_mb", "context_mb"),
    [
        (None, 15_000 - 900 - LIMIT_MB),  # a container hides which process holds what
        (300, 15_000 - 900 - LIMIT_MB),  # the rest is held in the name of MPS
        (LIMIT_MB + 450, 450),
    ],
)
def test_the_context_is_what_is_held_beside_the_limit(
    monkeypatch: pytest.MonkeyPatch, held_mb: int | None, context_mb: int
) -> None:
    monkeypatch.setattr(gpu_memory, "_train", lambda *_, **__: None)
    assert measure(gpu=GpuBefore(held_mb)).context_mb == context_mb


def test_a_context_is_never_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_memory, "_train", lambda *_, **__: None)
    gpu = GpuBefore(None)
    gpu.after = gpu.before  # somebody else has freed as much
    assert measure(gpu=gpu).context_mb == 200


def test_a_configuration_that_does_not_fit_counts_as_the_whole_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = []

    def fail(hyperparameters, **more):
        trained.append(hyperparameters)
        if hyperparameters is LARGE:
            raise TrialOutOfMemory("too large")

    monkeypatch.setattr(gpu_memory, "_train", fail)
    assert measure(LARGE, SMALL, gpu=GpuBefore(None)).peak_mb == LIMIT_MB
    assert trained == [LARGE, SMALL]


def fails_with(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> None:
    outcomes = iter(errors)

    def train(*_, **__) -> None:
        error = next(outcomes)
        if error is not None:
            raise error

    monkeypatch.setattr(gpu_memory, "_train", train)


def test_a_configuration_that_cannot_be_trained_does_not_keep_others_from_being_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails_with(monkeypatch, TrialFailed("no such layer"), TrialDiverged("loss became nan"))
    assert measure(LARGE, SMALL, gpu=GpuBefore(None)).peak_mb == 400


def test_where_no_configuration_can_be_trained_the_first_reason_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails_with(monkeypatch, TrialFailed("no such layer"), TrialFailed("nor this"))
    with pytest.raises(TrialFailed, match="no such layer"):
        measure(LARGE, SMALL, gpu=GpuBefore(None))


@pytest.mark.parametrize("gpu", [None, Gpu("GPU-1", "NVIDIA GB10")])
def test_a_gpu_of_unknown_memory_is_refused(gpu: Gpu | None) -> None:
    with pytest.raises(ConfigError, match="NVIDIA's driver does not report the memory of a GPU"):
        measure(gpu=lambda: gpu)


def test_a_backend_without_a_gpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="tensorflow sees no GPU"):
        backend_memory(1000)


def test_the_module_loads_no_backend() -> None:
    program = "import sys, tuner.training.gpu_memory; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
