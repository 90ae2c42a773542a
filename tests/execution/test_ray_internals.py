"""Fails when Ray has changed what `tuner.execution.ray_internals` relies on."""

import inspect
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

import tuner
from tuner.doctor import resources
from tuner.errors import ConfigError
from tuner.execution import cluster, ray_errors, ray_internals
from tuner.execution.ray_errors import DeathText, Origin
from tuner.execution.ray_internals import ENVIRONMENT

RAY = Path(ray.__file__).parent
BINARIES = ("_raylet.so", "core/src/ray/gcs/gcs_server", "core/src/ray/raylet/raylet")


def source_names(name: str, *folders: str) -> bool:
    """Whether a Python file of Ray below these folders has the name in it."""
    files = (file for folder in folders for file in (RAY / folder).rglob("*.py"))
    return any(name in file.read_text(encoding="utf-8") for file in files)


def binaries_name(text: str) -> bool:
    """Whether a program of Ray's or its library has the text in it."""
    return any(text.encode() in (RAY / binary).read_bytes() for binary in BINARIES)


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_ray_still_reads_the_variables(variable: str) -> None:
    inner = variable.removeprefix("RAY_")
    if inner == inner.lower():  # RAY_name: a setting of Ray's C++ part
        assert binaries_name(inner)
    else:
        assert source_names(variable, "tune", "train", "air", "_common")


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("TUNE_MAX_PENDING_TRIALS_PG", "tune/execution"),
        ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "_private"),
        ("RAY_AUTH_MODE", "_private/authentication"),
        ("RAY_USAGE_STATS_KUBERAY_IN_USE", "_common/usage"),
        ("~/ray_bootstrap_config.yaml", "tune/execution"),
    ],
)
def test_ray_still_has_these_names(variable: str, folder: str) -> None:
    assert source_names(variable, folder)


def test_the_token_is_still_read_from_the_environment() -> None:
    assert binaries_name("RAY_AUTH_TOKEN")


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "import ray"], ids=["fresh", "ray was imported before"])
def test_a_local_ray_has_the_loopback_address_and_a_token_and_leaves_nothing_behind(
    before: str,
) -> None:
    """Ray would also replace `_node_ip_address="127.0.0.1"` by the machine's real address."""
    program = (
        f"{before}\n"
        "import os\n"
        "from tuner.execution import ray_internals\n"
        "def show():\n"
        "    from ray._private import ray_constants, services\n"
        "    from ray._raylet import AuthenticationTokenLoader as tokens, get_authentication_mode\n"
        "    is_loopback = services.get_node_ip_address() == '127.0.0.1'\n"
        "    has_token = tokens.instance().has_token(ignore_auth_mode=True)\n"
        "    print(ray_constants.ENABLE_RAY_CLUSTER, is_loopback, get_authentication_mode(), has_token)\n"
        "names = [*ray_internals.ENVIRONMENT, 'RAY_AUTH_MODE', 'RAY_AUTH_TOKEN', ray_internals._CLUSTERS]\n"
        "variables = [os.environ.get(name) for name in names]\n"
        "with ray_internals.local_ray_locked():\n"
        "    show()\n"
        "assert [os.environ.get(name) for name in names] == variables\n"
        "show()\n"
    )
    environment = {name: value for name, value in os.environ.items() if "RAY" not in name}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**environment, "HOME": "/nowhere"},
    )
    assert ended.returncode == 0, ended.stderr
    locked, unlocked = ended.stdout.splitlines()
    assert locked.split() == ["False", "True", "1", "True"]  # a mode of 1 requires the token
    assert unlocked.split()[::2] == ["True", "0"]
    assert unlocked.split()[3] == "False"


def test_pending_trials_are_limited_by_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune.execution import tune_controller

    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")
    ray_internals.let_the_searcher_limit_trials()
    assert tune_controller._get_max_pending_trials(SimpleNamespace()) == 1_000_000


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ("-1", []),
        ("0, -1,1", ["0"]),
        ("1,0", ["1", "0"]),
        ("", []),
        ("GPU-1a-2,MIG-3", ["GPU-1a-2", "MIG-3"]),
        (None, None),
    ],
)
def test_ray_counts_the_gpus_that_cuda_shows(
    monkeypatch: pytest.MonkeyPatch, given: str | None, counted: list[str] | None
) -> None:
    from ray._private.accelerators import NvidiaGPUAcceleratorManager

    name = "CUDA_VISIBLE_DEVICES"
    environment = {} if given is None else {name: given}
    monkeypatch.delenv(name, raising=False)
    for variable, value in cluster._visible_devices(environment).items():
        monkeypatch.setenv(variable, value)
    assert NvidiaGPUAcceleratorManager.get_current_process_visible_accelerator_ids() == counted


def test_ray_keeps_its_files_in_the_given_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **options: given.update(options))
    ray_internals.start(tmp_path, num_cpus=1)
    assert isinstance(given.pop("job_config"), ray.job_config.JobConfig)
    assert given == {"_temp_dir": str(tmp_path), "num_cpus": 1}
    monkeypatch.undo()
    assert '"_temp_dir"' in inspect.getsource(inspect.unwrap(ray.init))


@pytest.mark.ray
def test_ray_starts_only_the_daemons_that_a_search_needs(shared_ray: None) -> None:
    from ray._private import services, utils, worker
    from ray._private.node import Node

    assert worker._global_node is not None
    processes = set(worker._global_node.all_processes)
    assert processes - {"reaper"} == {
        "gcs_server",
        "raylet",
    }  # no reaper where the kernel ends them
    for name in ray_internals.NEEDLESS_DAEMONS:  # a cluster's head, which others start, has them
        assert getattr(Node, name).__qualname__ == f"Node.{name}"
    assert getattr(utils, ray_internals.DASHBOARD_CHECK).__module__ == utils.__name__
    check = f"_private.utils.{ray_internals.DASHBOARD_CHECK}() is not None"
    assert f"{check}:" in inspect.getsource(services.start_raylet)


@pytest.mark.ray
def test_a_raylet_waits_for_no_ports_of_its_agents(shared_ray: None) -> None:
    """It would abort after 15 s, which they need on a busy machine to import what they import."""
    from ray._private import worker
    from ray._private.node import Node

    assert worker._global_node is not None
    raylet = worker._global_node.all_processes["raylet"][0].process
    options = Path(f"/proc/{raylet.pid}/cmdline").read_text().split("\0")
    ports = dict(option.split("=", 1) for option in options if "port=" in option[:40])
    assert ports["--metrics-agent-port"] == "-1"
    for name in ("--runtime_env_agent_port", "--metrics_export_port"):
        assert 20_000 <= int(ports[name]) < 32_000
    name = ray_internals.START_PROCESSES  # of a cluster's head, which others start, it is Ray's
    assert getattr(Node, name).__qualname__ == f"Node.{name}"


@pytest.mark.ray
def test_workers_look_for_modules_in_no_folder_of_the_driver(
    shared_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    import ray

    found = ray.get(ray.remote(lambda: sys.path).remote())
    folders = {os.path.realpath(folder) for folder in found}
    assert not {os.path.dirname(os.path.realpath(sys.argv[0])), str(tmp_path)} & folders


def test_a_package_that_is_not_installed_is_found_by_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = str(Path(tuner.__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", "")
    assert ray_internals.job_without_folders()._py_driver_sys_path == [package]
    monkeypatch.setenv("PYTHONPATH", f"elsewhere{os.pathsep}{package}")
    assert ray_internals.job_without_folders()._py_driver_sys_path == []


def test_a_client_presents_the_token_by_this_function() -> None:
    from ray._private.authentication import authentication_token_setup

    present = authentication_token_setup.maybe_enable_token_auth_if_token_available
    assert list(inspect.signature(present).parameters) == ["warn_if_disabled"]


@pytest.mark.ray
def test_the_command_ray_runs_without_a_path_to_it() -> None:
    ended = subprocess.run(
        ray_internals.command("--version"), capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip().endswith(f"version {ray.__version__}")


@pytest.mark.ray
def test_a_daemon_that_ended_is_named(shared_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import worker

    assert {"raylet", "gcs_server"} <= set(worker._global_node.all_processes)
    assert ray_internals.dead_daemon() is None
    (raylet,) = worker._global_node.all_processes["raylet"]
    monkeypatch.setattr(raylet.process, "poll", lambda: 1)
    assert ray_internals.dead_daemon() == "raylet"


def test_without_a_ray_of_this_process_no_daemon_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import worker

    monkeypatch.setattr(worker, "_global_node", None)
    assert ray_internals.dead_daemon() is None


def test_daemons_get_a_process_group_of_their_own_and_their_signals() -> None:
    from ray._private import services, utils

    popen, setter = services.ConsolePopen, utils.set_sigterm_handler
    assert "ConsolePopen(" in inspect.getsource(services.start_ray_process)
    assert "preexec_fn=" in inspect.getsource(services.start_ray_process)
    assert source_names("utils.set_sigterm_handler(", "_private")
    with ray_internals.daemons_shielded_from_signals(lambda: None):
        handler = signal.getsignal(signal.SIGTERM)
        utils.set_sigterm_handler(lambda *_: None)
        assert signal.getsignal(signal.SIGTERM) is handler
        with services.ConsolePopen(["sleep", "30"], preexec_fn=None) as process:
            assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
            process.kill()
    assert (services.ConsolePopen, utils.set_sigterm_handler) == (popen, setter)


@pytest.mark.parametrize("text", [DeathText.NODE_DIED, DeathText.UNREACHABLE, DeathText.LOW_MEMORY])
def test_rays_daemons_still_use_these_words(text: DeathText) -> None:
    assert binaries_name(text)


@pytest.mark.parametrize("name", [DeathText.OUT_OF_MEMORY_ERROR, DeathText.ACTOR_DIED_ERROR])
def test_rays_errors_still_have_these_names(name: DeathText) -> None:
    assert issubclass(getattr(ray.exceptions, name), ray.exceptions.RayError)
    assert DeathText.DIED in str(ray.exceptions.ActorDiedError())


def test_an_actor_that_cannot_be_set_up_is_told_by_these_words() -> None:
    failed = ray.exceptions.RayTaskError("f", "ValueError: x", ValueError("x"), "f", 1, "::1")
    assert DeathText.SET_UP_FAILED in str(ray.exceptions.ActorDiedError(failed))


def test_rays_errors_name_the_process() -> None:
    from ray.exceptions import ActorDiedError, RayTaskError

    assert "(pid={self.pid}, ip={self.ip}" in inspect.getsource(RayTaskError)
    assert ray_errors.origin_of("X (pid=12, ip=10.0.0.1, a=3)") == Origin("10.0.0.1", "12")
    died = inspect.getsource(ActorDiedError)
    assert all(f"\\t{line}" in died for line in ("pid: {cause.pid}", "ip: {cause.node_ip_address}"))
    assert ray_errors.origin_of("\tpid: 7\n\tip: ::1\n") == Origin("::1", "7")
    assert ray_errors.origin_of("it died") == Origin("", "")


def test_a_node_has_the_name_that_its_processes_give_their_logs(shared_ray: None) -> None:
    (node,) = ray.nodes()
    assert node["NodeManagerHostname"] == socket.gethostname()


def test_the_doctor_knows_how_ray_sizes_its_object_store() -> None:
    from ray._private import ray_constants

    assert ray_constants.DEFAULT_OBJECT_STORE_MEMORY_PROPORTION == resources.OBJECT_STORE_SHARE
    assert ray_constants.REQUIRE_SHM_SIZE_THRESHOLD == resources.LARGEST_STORE_ON_DISK_GB * 10**9


def test_the_address_that_auto_finds_is_the_one_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.7:6379")
    assert ray_internals.address_that_auto_finds() == "192.0.2.7:6379"


def test_auto_names_the_cluster_that_it_found_and_does_not_wait_for_a_dead_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(ray_internals, "address_that_auto_finds", lambda: "127.0.0.1:9")
    with pytest.raises(
        ConfigError, match=r"--address auto \(127\.0\.0\.1:9\): no Ray cluster answers"
    ):
        cluster._check_answers("auto", told.append)
    assert told == ["tuner: --address auto is the Ray cluster at 127.0.0.1:9"]
