"""A worker's share of its machine, each in a process of its own: TensorFlow is configured once."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuner.errors import ConfigError
from tuner.nvidia import Gpu
from tuner.training import devices
from tuner.training.devices import device_name


@pytest.mark.keras
def test_thread_pools_follow_the_cpus_once_per_process() -> None:
    code = """if True:
        import os, tensorflow as tf
        from tuner.errors import ConfigError
        from tuner.training import devices
        devices.configure_device(cpus=0.5, gpus=0)
        tf.constant(1) + 1
        devices.configure_device(cpus=1, gpus=0)
        threading = tf.config.threading
        print(threading.get_intra_op_parallelism_threads())
        print(threading.get_inter_op_parallelism_threads())
        print(os.environ["OMP_NUM_THREADS"])
        print(tf.config.get_visible_devices("GPU"), devices.device_name(cudnn=True))
        for already in (devices._configured, None):
            devices._configured = already
            try:
                devices.configure_device(cpus=3, gpus=0)
            except ConfigError as error:
                print(error)
    """

    ended = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )

    pools_and_refusals = ended.stdout.splitlines()
    assert pools_and_refusals[:4] == ["1", "1", "1", "[] cpu"], ended.stderr
    assert "use a new process" in pools_and_refusals[4]
    assert "TensorFlow runs already" in pools_and_refusals[5]


# -- shares of a GPU, with stand-ins for the backends ---------------------------------------------


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that was not configured yet."""
    variables = {"HOME": str(tmp_path), "PATH": ""}
    monkeypatch.setattr(os, "environ", variables)
    monkeypatch.setattr(devices, "_configured", None)
    return variables


class TensorFlowConfig:
    """Records the calls of `tf.config` on a machine with these GPUs."""

    def __init__(self, gpus: list[str]) -> None:
        self.visible: list[str] | None = None
        self.growing: list[str] = []
        self.get_visible_devices = lambda kind: gpus if self.visible is None else self.visible
        self.limits_mb: dict[str, int] = {}
        self.list_physical_devices = lambda kind: gpus
        self.threading = SimpleNamespace(
            set_intra_op_parallelism_threads=lambda count: None,
            set_inter_op_parallelism_threads=lambda count: None,
        )
        self.experimental = SimpleNamespace(
            set_memory_growth=lambda gpu, grows: self.growing.append(gpu)
        )
        self.LogicalDeviceConfiguration = lambda memory_limit: memory_limit

    def set_visible_devices(self, gpus: list[str], kind: str) -> None:
        self.visible = gpus

    def set_logical_device_configuration(self, gpu: str, limits: list[int]) -> None:
        (self.limits_mb[gpu],) = limits


Configured = Callable[..., TensorFlowConfig]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Configured:
    """TensorFlow's configuration on a machine with two GPUs."""

    def configure(gpus: float, memory_mb: int | None = None) -> TensorFlowConfig:
        config = TensorFlowConfig(["first", "second"])
        monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
        devices.configure_device(cpus=1, gpus=gpus, memory_mb=memory_mb)
        return config

    return configure


def test_without_gpus_none_is_touched(configured: Configured) -> None:
    config = configured(gpus=0)
    assert (config.visible, config.growing, config.limits_mb) == ([], [], {})


def test_a_limit_is_that_of_the_first_gpu(
    configured: Configured, environment: dict[str, str]
) -> None:
    environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    config = configured(gpus=0.25, memory_mb=3000)
    assert config.visible == ["first"]
    assert config.limits_mb == {"first": 3000}
    assert config.growing == []
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in environment


@pytest.mark.parametrize("gpus", [0.25, 1.0])
def test_without_a_limit_memory_of_the_first_gpu_grows(configured: Configured, gpus: float) -> None:
    config = configured(gpus=gpus)
    assert (config.visible, config.growing, config.limits_mb) == (["first"], ["first"], {})


def test_a_process_keeps_its_limit(configured: Configured) -> None:
    configured(gpus=0.25, memory_mb=3000)
    configured(gpus=0.125, memory_mb=3000)
    with pytest.raises(ConfigError, match=r"\(1, True, 3000\), not \(1, True, 6000\).*new process"):
        configured(gpus=0.5, memory_mb=6000)


def test_gpus_are_numbered_by_their_slots_on_every_backend(environment: dict[str, str]) -> None:
    environment["KERAS_BACKEND"] = "jax"
    devices.configure_device(cpus=1, gpus=1)
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


GPU = Gpu("GPU-1", "NVIDIA T4", 16000, 15000)


@pytest.mark.parametrize(
    ("gpus", "memory_mb", "platforms", "fraction"),
    [
        (0.0, None, "cpu", None),
        (0.5, 4000, None, "0.2500"),
        (0.5, 99_000, None, "1.0000"),
        (1.0, None, None, None),
    ],
)
def test_jax_gets_its_limit_by_variables(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    gpus: float,
    memory_mb: int | None,
    platforms: str | None,
    fraction: str | None,
) -> None:
    monkeypatch.setattr(devices, "first_gpu", lambda _: GPU)
    environment["KERAS_BACKEND"] = "jax"
    devices.configure_device(cpus=1, gpus=gpus, memory_mb=memory_mb)
    assert environment.get("JAX_PLATFORMS") == platforms
    assert environment.get("XLA_PYTHON_CLIENT_MEM_FRACTION") == fraction
    assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


@pytest.mark.parametrize("gpu", [None, Gpu("GPU-1", "NVIDIA GB10")])
def test_a_limit_of_a_gpu_of_unknown_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], gpu: Gpu | None
) -> None:
    monkeypatch.setattr(devices, "first_gpu", lambda _: gpu)
    environment["KERAS_BACKEND"] = "jax"
    with pytest.raises(ConfigError, match="4000 MB cannot be set: NVIDIA's driver does not report"):
        devices.configure_device(cpus=1, gpus=0.5, memory_mb=4000)


@pytest.mark.parametrize(
    ("gpus", "memory_mb", "visible", "device", "fractions"),
    [
        (0.0, None, "", "cpu", []),
        (0.5, 4000, None, None, [0.25]),
        (1.0, None, None, None, []),
    ],
)
def test_torch_gets_its_limit_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    gpus: float,
    memory_mb: int | None,
    visible: str | None,
    device: str | None,
    fractions: list[float],
) -> None:
    shares: list[Any] = []
    cuda = SimpleNamespace(
        is_available=lambda: True,
        set_per_process_memory_fraction=lambda share: shares.append(share),
    )
    torch = SimpleNamespace(set_num_threads=lambda count: None, cuda=cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(devices, "first_gpu", lambda _: GPU)
    environment["KERAS_BACKEND"] = "torch"
    devices.configure_device(cpus=1, gpus=gpus, memory_mb=memory_mb)
    assert shares == fractions
    assert environment.get("CUDA_VISIBLE_DEVICES") == visible
    assert environment.get("KERAS_TORCH_DEVICE") == device


def test_the_backend_in_keras_settings_counts(environment: dict[str, str]) -> None:
    settings = Path(environment["HOME"]) / ".keras" / "keras.json"
    settings.parent.mkdir()
    settings.write_text('{"backend": "jax"}')
    devices.configure_device(cpus=1, gpus=0)
    assert environment["JAX_PLATFORMS"] == "cpu"


@pytest.mark.parametrize("text", ["{", "[]"])
def test_settings_of_keras_that_cannot_be_read_mean_tensorflow(
    configured: Configured, environment: dict[str, str], text: str
) -> None:
    settings = Path(environment["HOME"]) / ".keras" / "keras.json"
    settings.parent.mkdir()
    settings.write_text(text)
    assert configured(gpus=0).visible == []


# -- processes that were not configured, such as those of predict, export and test ----------------


@pytest.fixture
def recorded(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], tmp_path: Path
) -> TensorFlowConfig:
    """The configuration of a TensorFlow that is not imported yet, on a machine with two GPUs."""
    config = TensorFlowConfig(["first", "second"])
    (tmp_path / "tensorflow.py").write_text("from recorded_config import config")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "recorded_config", SimpleNamespace(config=config))
    monkeypatch.setitem(sys.modules, "tuner.training.steps", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    del sys.modules["tensorflow"]
    return config


def test_keras_takes_memory_of_one_gpu_as_it_needs_it(recorded: TensorFlowConfig) -> None:
    devices.import_keras_quietly()
    assert (recorded.visible, recorded.growing, recorded.limits_mb) == (["first"], ["first"], {})


def test_gpus_that_a_persons_program_may_use_stay_visible(
    recorded: TensorFlowConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = SimpleNamespace(config=recorded)
    monkeypatch.setitem(sys.modules, "tensorflow", imported)
    devices.import_keras_quietly()
    assert (recorded.visible, recorded.growing) == (None, ["first", "second"])


@pytest.mark.parametrize(
    "refusal", [RuntimeError("it runs already"), ValueError("it has virtual devices")]
)
def test_gpus_that_a_persons_program_has_configured_stay_so(
    recorded: TensorFlowConfig, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    def refuse(gpu: str, grows: bool) -> None:
        raise refusal

    recorded.experimental.set_memory_growth = refuse
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=recorded))
    devices.import_keras_quietly()
    assert recorded.visible is None


def test_a_worker_keeps_its_share(recorded: TensorFlowConfig) -> None:
    devices.configure_device(cpus=1, gpus=0)
    devices.import_keras_quietly()
    assert (recorded.visible, recorded.growing) == ([], [])


def test_jax_allocates_nothing_in_advance(
    recorded: TensorFlowConfig, environment: dict[str, str]
) -> None:
    environment["KERAS_BACKEND"] = "jax"
    devices.import_keras_quietly()
    assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert "tensorflow" not in sys.modules


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpu", "cudnn", "name"),
    [
        (None, True, "cpu"),
        (None, False, "cpu"),
        ("NVIDIA H200", True, "NVIDIA H200"),
        ("NVIDIA H200", False, "NVIDIA H200 (no cuDNN)"),
    ],
)
def test_the_device_name_shows_a_gpu_without_cudnn(
    gpu: str | None, cudnn: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    backend = SimpleNamespace(backend=lambda: "tensorflow")
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(backend=backend))
    monkeypatch.setattr("tuner.training.devices._tensorflow_gpu", lambda: gpu)

    assert device_name(cudnn=cudnn) == name
