"""Measuring a configuration's memory, with a real model on this machine's CPU and a GPU's figures handed in."""

import subprocess
import sys

import pytest

from tuner.errors import TrialOutOfMemory
from tuner.settings.hyperparameters import resolve
from tuner.training import gpu_memory
from tuner.training import trial as training
from tuner.training.gpu_memory import measure_training, peak_memory_mb

pytestmark = pytest.mark.keras

LARGE = resolve("cnn_bilstm", {"vocabulary_size": 300, "max_length": 40, "batch_size": 8})


@pytest.fixture(autouse=True)
def _device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's process has its threads already."""
    monkeypatch.setattr("tuner.training.devices.configure_device", lambda **share: None)


def measure(**more):
    return measure_training(LARGE, n_classes=3, longest=30, cpus=1, total=lambda: 1000.0, **more)


def test_trains_the_model_at_its_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = training.Training.epochs

    def epochs(self):
        seen.append(self)
        yield from original(self)

    monkeypatch.setattr(training.Training, "epochs", epochs)

    assert measure(peak=lambda: 400.0) == (400.0, 1000.0)
    (trained,) = seen
    assert trained.model.get_layer("embedding").input_dim == 300
    assert trained.model.output_shape == (None, 3)
    assert set(trained._train.lengths) == {30}
    assert len(trained._train) == 16


def test_a_configuration_that_does_not_fit_counts_as_the_whole_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments, **more):
        raise TrialOutOfMemory("too large")

    monkeypatch.setattr(gpu_memory, "_train", fail)
    assert measure(peak=lambda: 400.0) == (1000.0, 1000.0)


def test_without_a_gpu_nothing_is_measured() -> None:
    assert peak_memory_mb() is None
    assert measure() is None


def test_the_module_loads_no_backend() -> None:
    program = "import sys, tuner.training.gpu_memory; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
