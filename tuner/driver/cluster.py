"""Starts Ray on this machine, or joins a running cluster, and says how many trials fit at once.

The settings that Ray and Tune read from the environment are made here, before Ray is first imported.
"""

import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.config import SearchConfig
from tuner.errors import ConfigError
from tuner.machine import memory, usable_cpus

# A process with TensorFlow, a model and its batches in it (measured: 0.9 to 1.2 GB).
MEMORY_PER_TRIAL = 1.5e9
_CONNECT_TIMEOUT_S = 10.0

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's relative paths and modules stay where they are
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the study is the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours stops at once, Tune's waits for the epoch's end
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's own state is disposable
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1e9",
}


@dataclass(frozen=True)
class Capacity:
    """What the cluster can run."""

    workers: int  # trials at once
    cpus: float
    gpus: float
    scratch: Path  # for what Tune insists on writing


@contextmanager
def ray_cluster(config: SearchConfig) -> Iterator[Capacity]:
    """Ray for as long as the search needs it; a Ray that the caller started already is used and left running.

    Raises:
        ConfigError: the cluster cannot be reached, or not even one trial fits into it.
    """
    if config.address is None:
        _check_fits("this machine", config, cpus=usable_cpus(), gpus=None)
    os.environ.update(_SETTINGS)
    if config.address is None:
        _lock_local_ray()
    else:
        _check_answers(config.address)
    import ray

    was_running = ray.is_initialized()
    scratch = Path(tempfile.mkdtemp(prefix="tuner-"))  # short: Unix sockets live below it
    python_path = os.environ.get("PYTHONPATH")
    try:
        if not was_running:
            if config.address is None:
                _start(ray, scratch)
            else:
                _join(ray, config.address)
        yield _capacity(ray, config, scratch)
    finally:
        if not was_running and ray.is_initialized():
            ray.shutdown()
        _restore("PYTHONPATH", python_path)
        shutil.rmtree(scratch, ignore_errors=True)


def _lock_local_ray() -> None:
    """Has the Ray that we start listen on loopback only, and only to those who know its token.

    Ray reads this when it is imported; whoever imported it before has settled it already.
    """
    if "ray" in sys.modules:
        return
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = (
        "0"  # the one setting by which it takes 127.0.0.1
    )
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _start(ray: object, scratch: Path) -> None:
    os.environ["PYTHONPATH"] = _python_path()
    with _daemons_in_their_own_process_group():
        ray.init(  # type: ignore[attr-defined]
            address="local",
            num_cpus=usable_cpus(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=str(scratch / "ray"),
        )


@contextmanager
def _daemons_in_their_own_process_group() -> Iterator[None]:
    """Keeps a SIGTERM for the whole process group (as `timeout` sends it) away from Ray's daemons.

    Ray shields them from SIGINT only; ended before the driver, they make `ray.shutdown` wait for a minute (measured).
    """
    from ray._private import services

    original = services.ConsolePopen

    class OwnGroup(original):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **{"process_group": 0, **options})

    services.ConsolePopen = OwnGroup
    try:
        yield
    finally:
        services.ConsolePopen = original


def _join(ray: object, address: str) -> None:
    try:
        ray.init(  # type: ignore[attr-defined]
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": _python_path()}},
        )
    except (ConnectionError, ValueError, RuntimeError) as cause:
        reason = " ".join(str(cause).split())[:200]
        raise ConfigError(f"--address {address}: no Ray cluster answers there: {reason}") from cause


def _check_answers(address: str) -> None:
    """Ray itself tries for a minute before it says that nobody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # "auto" and the like: Ray's to resolve
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as cause:
        raise ConfigError(f"--address {address}: no Ray cluster answers there: {cause}") from cause


def _python_path() -> str:
    """Where workers look for modules: the current folder first, as `python -m` does."""
    inherited = os.environ.get("PYTHONPATH", "")
    parts = [os.getcwd(), *(path for path in inherited.split(os.pathsep) if path)]
    return os.pathsep.join(dict.fromkeys(parts))


def _capacity(ray: object, config: SearchConfig, scratch: Path) -> Capacity:
    resources = ray.cluster_resources()  # type: ignore[attr-defined]
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    where = "this machine" if config.address is None else f"the cluster at {config.address}"
    _check_fits(where, config, cpus=cpus, gpus=gpus)
    limits = [int(cpus / config.cpus_per_trial + 1e-9)]
    if config.gpus_per_trial:
        limits.append(int(gpus / config.gpus_per_trial + 1e-9))
    if config.address is None:
        limits.append(max(1, int(memory().available / MEMORY_PER_TRIAL)))
    if config.max_concurrent is not None:
        limits.append(config.max_concurrent)
    return Capacity(workers=max(1, min(limits)), cpus=cpus, gpus=gpus, scratch=scratch)


def _check_fits(where: str, config: SearchConfig, *, cpus: float, gpus: float | None) -> None:
    if config.cpus_per_trial > cpus:
        raise ConfigError(
            f"--cpus-per-trial: {where} has {cpus:g} CPUs, got {config.cpus_per_trial:g}; ask for fewer"
        )
    if gpus is not None and config.gpus_per_trial > gpus:
        raise ConfigError(
            f"--gpus-per-trial: {where} has {gpus:g} GPUs, got {config.gpus_per_trial:g}; "
            "ask for fewer (`tuner doctor` shows what is seen)"
        )


def make_current_folder_importable() -> None:
    """Lets the driver find a user's own architecture beside the space, as `python -m` would."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
