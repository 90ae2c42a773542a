"""A worker's share of its machine, each in a process of its own: TensorFlow is configured once."""

import os
import subprocess
import sys

import pytest

from tuner.trial.devices import device_name

pytest.importorskip("tensorflow")


def test_thread_pools_follow_the_cpus_once_a_process() -> None:
    code = """if True:
        import os, tensorflow as tf
        from tuner.errors import ConfigError
        from tuner.trial import devices
        devices.configure_device(cpus=0.5, gpu_memory_mb=None)
        tf.constant(1) + 1
        devices.configure_device(cpus=1, gpu_memory_mb=None)
        threading = tf.config.threading
        print(threading.get_intra_op_parallelism_threads())
        print(threading.get_inter_op_parallelism_threads())
        print(os.environ["OMP_NUM_THREADS"])
        for already in (devices._configured, None):
            devices._configured = already
            try:
                devices.configure_device(cpus=3, gpu_memory_mb=None)
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
    assert pools_and_refusals[:3] == ["1", "1", "1"], ended.stderr
    assert "use a new process" in pools_and_refusals[3]
    assert "TensorFlow runs already" in pools_and_refusals[4]


@pytest.mark.parametrize(
    ("gpu", "cudnn", "name"),
    [
        (None, True, "cpu"),
        (None, False, "cpu"),
        ("NVIDIA H200", True, "NVIDIA H200"),
        ("NVIDIA H200", False, "NVIDIA H200 (no cuDNN)"),
    ],
)
def test_device_says_when_a_gpu_goes_without_cudnn(
    gpu: str | None, cudnn: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    monkeypatch.setattr("tuner.trial.devices._tensorflow_gpu", lambda: gpu)

    assert device_name(cudnn=cudnn) == name
