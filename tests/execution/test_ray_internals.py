"""Fails when Ray has changed what `tuner.execution.ray_internals` relies on."""

import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

import tuner
from tuner.doctor import resources
from tuner.errors import ConfigError
from tuner.execution import cluster, ray_errors, ray_internals
from tuner.execution.ray_errors import DeathText, Origin
from tuner.execution.ray_internals import ENVIRONMENT, Disposable

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


def test_tune_does_not_count_its_callbacks() -> None:
    from ray.air._internal import usage
    from ray.tune import tune as module

    theirs = getattr(usage, ray_internals.CALLBACKS_COUNT)
    with ray_internals.callbacks_not_counted():
        assert not usage.tag_callbacks([object()])
    assert getattr(usage, ray_internals.CALLBACKS_COUNT) is theirs
    assert "import MLflowLoggerCallback" in inspect.getsource(usage)  # else it is no longer needed
    assert f"air_usage.{ray_internals.CALLBACKS_COUNT}(callbacks)" in inspect.getsource(module)


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


def test_rays_errors_name_the_process() -> None:
    from ray.exceptions import ActorDiedError, RayTaskError

    assert "(pid={self.pid}, ip={self.ip}" in inspect.getsource(RayTaskError)
    assert ray_errors.origin_of("X (pid=12, ip=10.0.0.1, a=3)") == Origin("10.0.0.1", "12")
    died = inspect.getsource(ActorDiedError)
    assert all(f"\\t{line}" in died for line in ("pid: {cause.pid}", "ip: {cause.node_ip_address}"))
    assert ray_errors.origin_of("\tpid: 7\n\tip: ::1\n") == Origin("::1", "7")
    assert ray_errors.origin_of("it died") == Origin("", "")


def test_our_objects_are_pickled_empty_by_tune() -> None:
    class Ours(Disposable, tune.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.file = open(os.devnull)  # noqa: SIM115 - cannot be pickled

    ours = Ours()
    assert type(cloudpickle.loads(cloudpickle.dumps(ours))) is object
    ours.file.close()


def test_tune_writes_an_error_down_before_it_calls_the_scheduler() -> None:
    from ray.tune.execution import tune_controller

    process = inspect.getsource(tune_controller.TuneController._process_trial_failure)
    assert process.index("trial.handle_error(") < process.index("_scheduler_alg.on_trial_error(")


def test_the_error_of_a_trial_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text("ActorDiedError", encoding="utf-8")
    assert ray_internals.error_text(SimpleNamespace(error_file=f"{tmp_path}/error.txt")) == (
        "ActorDiedError"
    )
    assert ray_internals.error_text(SimpleNamespace(error_file=None)) == ""
    from ray.tune.experiment import Trial

    assert isinstance(inspect.getattr_static(Trial, "error_file"), property)


def test_a_trial_without_a_process_has_none_to_end() -> None:
    from ray.tune.experiment.trial import _TemporaryTrialState

    ray_internals.end_process(SimpleNamespace(temporary_state=_TemporaryTrialState()))


def test_tune_decides_whether_to_keep_a_process_after_it_has_called_the_scheduler() -> None:
    from ray.tune.execution.tune_controller import TuneController

    stop = inspect.getsource(TuneController.stop_trial)
    told = stop.index("self._scheduler_alg.on_trial_complete(")
    assert told < stop.index("self._schedule_graceful_trial_stop(")
    keep = inspect.getsource(TuneController._maybe_cache_trial_actor)
    assert "tracked_actor not in self._started_actors" in keep
    assert "self._trial_to_actor[trial]" in keep


def test_a_retired_process_is_not_known_as_started() -> None:
    controller = SimpleNamespace(_started_actors={"a", "b"}, _trial_to_actor={1: "a"})
    for trial in (1, 2):
        ray_internals.retire(SimpleNamespace(_tune_controller=controller), trial)
    assert controller._started_actors == {"b"}


def test_tune_keeps_its_trials_where_they_are_dropped_from() -> None:
    from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController

    made = inspect.getsource(TuneController.__init__)
    assert "self._trials_to_cache: Set[Trial]" in made
    assert "self._live_trials: Set[Trial]" in made
    assert re.search(r"return self\._trials$", inspect.getsource(TuneController.get_trials), re.M)
    assert "self._tune_controller = tune_controller" in inspect.getsource(TrialRunnerWrapper)


def test_ended_trials_are_dropped_in_place() -> None:
    def trial(*, is_finished: bool) -> SimpleNamespace:
        class Hashable(SimpleNamespace):
            __hash__ = object.__hash__  # type: ignore[assignment]
            __eq__ = object.__eq__  # type: ignore[assignment]

        return Hashable(is_finished=lambda: is_finished)

    ended, running = trial(is_finished=True), trial(is_finished=False)
    trials = [ended, running]
    controller = SimpleNamespace(_trials_to_cache={ended}, _live_trials={ended, running})
    ray_internals.forget_ended_trials(
        SimpleNamespace(get_trials=lambda: trials, _tune_controller=controller)
    )
    assert trials == [running]
    assert (controller._trials_to_cache, controller._live_trials) == (set(), {running})


@pytest.mark.ray
def test_trials_take_the_processes_that_ray_starts_with_itself(shared_ray: None) -> None:
    from ray.tune.execution import class_cache

    class Trainable:
        pass

    original = class_cache._ActorClassCache.get
    assert class_cache._ActorClassCache().get(Trainable)._default_options["runtime_env"]
    with ray_internals.waiting_workers_taken():
        actor = class_cache._ActorClassCache().get(Trainable)
    assert actor._default_options.get("runtime_env") is None  # any other wants processes of its own
    assert class_cache._ActorClassCache.get is original


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
