"""Every use of Ray's private parts, each with its reason: the module to look at when Ray changes.

Private are names with an underscore, modules that Ray does not document, and variables that only its source names.
Those of Ray Tune are in `tuner.execution.tune_internals`, of the start of workers in
`tuner.execution.worker_internals`, the words of Ray's errors in `tuner.execution.ray_errors`.
`tests/execution/test_ray_internals.py` fails when Ray changes one of them, and `tests/test_private_parts.py` when
another module uses one. Written for Ray 2.60, which `pyproject.toml` pins.

Must not import Ray at module level: some of this is set before Ray is first imported.
"""

import os
import random
import secrets
import signal
import site
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

# -- variables that Ray reads from the environment --------------------------------------------------

# Set while a search runs; some are read once, when Ray is first imported.
ENVIRONMENT = {
    # Nothing about this machine is sent to Ray's makers (ray/_common/usage/usage_constants.py).
    "RAY_USAGE_STATS_ENABLED": "0",
    # Tune warns of Ray Train's new version, which we do not use (https://github.com/ray-project/ray/issues/49454).
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # Tune draws no tables: the live table is ours (ray/tune/experimental/output.py).
    "RAY_AIR_NEW_OUTPUT": "0",
    # A GCS of this machine that has ended stays so: 10 s instead of a minute until Ray ends this process, and time
    # enough to report it first on a machine that is busy (https://github.com/ray-project/ray/pull/20900).
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    # As long may the agent for runtime environments take to listen, instead of 30 s, before its raylet aborts.
    "RAY_agent_register_timeout_ms": "120000",
    # A user's relative paths and modules are found where the command was typed (ray/tune/trainable/trainable.py).
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Tune writes no CSV, JSON or TensorBoard files of its own: the study is the record. Its loggers would also keep
    # every trial in memory (https://github.com/ray-project/ray/issues/64231).
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune's handler of Ctrl-C waits for the epoch's end, ours stops at once (ray/tune/tune.py).
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune does not write down its own state: the study is the memory (ray/tune/execution/tune_controller.py).
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    # A process that cannot end, as with a GPU that hangs, is killed after half a minute, not ten: it holds its share
    # (ray/tune/execution/tune_controller.py).
    "TUNE_FORCE_TRIAL_CLEANUP_S": "30",
    # Failed trials are rows of the leaderboard, not tables on the screen (ray/tune/execution/tune_controller.py).
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # No warning that the state which we do not want is written slowly (ray/tune/execution/experiment_state.py).
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1e9",
}

_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
PENDING_TRIALS = "TUNE_MAX_PENDING_TRIALS_PG"  # see `let_the_searcher_limit_trials`
_NO_LIMIT = 1_000_000
# Methods of a node of Ray's that start a daemon each (ray/_private/node.py).
NEEDLESS_DAEMONS = ("start_monitor", "start_log_monitor", "start_api_server")
DASHBOARD_CHECK = "get_dashboard_dependency_error"  # of ray._private.utils
START_PROCESSES = "start_ray_processes"  # another method: it starts the raylet
_RAYLET_START_S = 90.0
_UNUSED = -1  # of an agent without the dashboard (ray/dashboard/agent.py)
_LEAST_PORT, _LARGEST_PORT = 20_000, 32_000  # below those that systems give to whoever asks for any


def let_the_searcher_limit_trials() -> None:
    """Makes Tune queue as many trials as the searcher gives it.

    With a searcher of one's own Tune keeps a single trial waiting, so that a cluster grows node by node
    (https://github.com/ray-project/ray/pull/14835); the session decides how many run at once.
    """
    os.environ[PENDING_TRIALS] = str(_NO_LIMIT)


@contextmanager
def local_ray_locked() -> Iterator[None]:
    """Makes the Ray that this process starts meanwhile listen on loopback only, and require a token of its own.

    Ray takes 127.0.0.1 only where it thinks that there are no clusters, as on macOS and Windows
    (https://github.com/ray-project/ray/issues/18730); it replaces `_node_ip_address="127.0.0.1"`
    (ray/_private/services.py, `resolve_ip_for_localhost`). The token: https://github.com/ray-project/ray/pull/57835.
    Afterwards all is as it was: a notebook may join a cluster with that cluster's token.
    """
    asked = {_CLUSTERS: "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex()}
    before = {name: os.environ[name] for name in asked if name in os.environ}
    os.environ.update(asked)
    _have_ray_read_again()
    try:
        yield
    finally:
        for name in asked:
            del os.environ[name]
        os.environ.update(before)
        _have_ray_read_again()


def _have_ray_read_again() -> None:
    """Has Ray read what it reads once, when it is imported: as its own `ray.init` does when it sets the mode."""
    if "ray" not in sys.modules:
        return
    from ray import _raylet
    from ray._private import ray_constants

    core: Any = _raylet
    ray_constants.ENABLE_RAY_CLUSTER = os.environ.get(_CLUSTERS, "1") == "1"
    core.Config.initialize("")
    core.AuthenticationTokenLoader.instance().reset_cache()


def address_that_auto_finds() -> str:
    """The address of the cluster that `ray.init(address="auto")` would join, such as 10.0.0.7:6379.

    Raises:
        ConnectionError, ValueError: there is none (ray/_private/services.py).
    """
    from ray._private import services

    found: str = services.canonicalize_bootstrap_address_or_die("auto")
    return found


def is_on_kuberay() -> bool:
    """Whether this is a container of a KubeRay cluster, whose operator starts nodes on demand.

    The operator sets the variable in its containers for Ray's statistics of use (ray/_common/usage/usage_constants.py,
    `KUBERAY_ENV`).
    """
    return os.environ.get("RAY_USAGE_STATS_KUBERAY_IN_USE") == "1"


def cluster_description() -> Path:
    """Where `ray up` leaves the description of its cluster on the head, for the autoscaler.

    Tune asks for the same file (ray/tune/execution/cluster_info.py).
    """
    return Path(os.path.expanduser("~/ray_bootstrap_config.yaml"))


# -- starting, joining, watching --------------------------------------------------------------------


def runs_already() -> bool:
    """Whether this process has a running Ray, which its program has started or joined."""
    return "ray" in sys.modules and sys.modules["ray"].is_initialized()


def start(folder: Path, **options: Any) -> None:
    """`ray.init` with Ray's files in `folder`, without the daemons that serve nothing on a machine alone.

    A path of more than about 45 characters is too long for its sockets
    (https://github.com/ray-project/ray/issues/7724). The variable RAY_TMPDIR would do the same, but is read once, when
    Ray is imported.
    """
    import ray

    with few_daemons():
        ray.init(_temp_dir=str(folder), job_config=job_without_folders(), **options)


def job_without_folders() -> Any:
    """A job whose workers find modules as any Python does, but for this package where it is not installed.

    Ray lets its workers look first in the folders of the driver's script and of the terminal (ray/_private/worker.py,
    `connect`; ray/_raylet.pyx): a `tuner.py` or `keras.py` beside the data took the place of the real one.
    """
    from ray.job_config import JobConfig

    class OwnFolders(JobConfig):  # type: ignore[misc]
        def _runtime_env_has_working_dir(self) -> bool:
            return True  # the one condition under which Ray adds none

    package = Path(__file__).resolve().parents[2]
    known = {*site.getsitepackages(), site.getusersitepackages()}
    known.update(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    folders = [] if str(package) in known else [str(package)]
    return OwnFolders(_py_driver_sys_path=folders)


@contextmanager
def few_daemons() -> Iterator[None]:
    """Has every node of Ray's that is started meanwhile run what trials need alone, and gives it time to start."""
    with _fewer_daemons(), _time_to_start():
        yield


@contextmanager
def _fewer_daemons() -> Iterator[None]:
    """Keeps `ray.init` from starting the autoscaler's monitor, the log monitor and the dashboard's server.

    There are no nodes to start, logs are not brought to the driver, and nobody asks for the dashboard. With
    `include_dashboard=False` its server runs all the same, without its pages
    (https://github.com/ray-project/ray/pull/26042). They take 3 of 7.5 s of CPU time and 1.3 s of the end. The
    dashboard's agent stays, without what the dashboard needs: else this process, too, imports aiohttp to see whether
    it is there, 0.3 s (ray/_private/services.py, `start_raylet`).
    """
    from ray._private import utils
    from ray._private.node import Node

    without: Any = lambda *_, **__: None  # noqa: E731
    with ExitStack() as stack:
        for name in NEEDLESS_DAEMONS:
            stack.enter_context(replaced(Node, name, without))
        no_dashboard = ImportError("no dashboard is wanted")
        stack.enter_context(replaced(utils, DASHBOARD_CHECK, lambda: no_dashboard))
        yield


@contextmanager
def _time_to_start() -> Iterator[None]:
    """Lets Ray's daemons start on a machine that is busy.

    A raylet waits 15 s for the ports of its two agents, which have much to import, and aborts
    (https://github.com/ray-project/ray/issues/65983). So it gets them before they start. Then Ray waits 30 s for the
    raylet, whether it lives or not (ray/_private/node.py).
    """
    from ray import _raylet
    from ray._private import services
    from ray._private.node import Node

    core: Any = _raylet
    original: Any = getattr(Node, START_PROCESSES)

    def start_and_wait(node: Any) -> None:
        node._ray_params.update(
            metrics_agent_port=_UNUSED,
            metrics_export_port=_free_port(node.node_ip_address),
            runtime_env_agent_port=_free_port(node.node_ip_address),
        )
        listens_at = core.DASHBOARD_AGENT_LISTEN_PORT_NAME  # no option of a raylet: a file
        core.persist_port(node.get_session_dir_path(), node.node_id, listens_at, _UNUSED)
        original(node)
        until = time.monotonic() + _RAYLET_START_S
        while time.monotonic() < until and not signal.sigpending():
            if (dead := _dead_daemon_of(node)) is not None:
                raise RuntimeError(f"its {dead} ended")
            with suppress(RuntimeError):  # not registered yet
                services.get_node(node.gcs_address, node.node_id)
                break
            time.sleep(0.05)

    with replaced(Node, START_PROCESSES, start_and_wait):
        yield


def _free_port(address: str) -> int:
    while True:
        port = random.SystemRandom().randrange(_LEAST_PORT, _LARGEST_PORT)
        with suppress(OSError), socket.create_server((address, port)):
            return port


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Has `owner` another attribute `name` meanwhile."""
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def present_token_if_there_is_one() -> None:
    """Makes a client of the job server present the cluster's token, as `ray.init` does where it joins a cluster.

    `JobSubmissionClient` does so only where RAY_AUTH_MODE is `token`
    (https://github.com/ray-project/ray/pull/64755, ray/_private/authentication/authentication_token_setup.py).
    """
    from ray._private.authentication import authentication_token_setup

    authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def command(*words: str) -> list[str]:
    """The command `ray WORDS` of this very environment, whose folder of programs need not be in PATH.

    The program `ray` runs this module (Ray's entry points); it has no `__main__` of its own.
    """
    return [sys.executable, "-m", "ray.scripts.scripts", *words]


def dead_daemon() -> str | None:
    """The name of a daemon that has ended, of those that this process started; None while all live.

    Ray itself notices after 10 to 20 s, in which trials seem to die, and then ends this process without a message
    (https://github.com/ray-project/ray/pull/21153: a lost GCS is fatal).
    """
    from ray._private import worker

    node = worker._global_node
    return _dead_daemon_of(node) if node is not None else None


def _dead_daemon_of(node: Any) -> str | None:
    for kind in ("raylet", "gcs_server"):
        if any(each.process.poll() is not None for each in node.all_processes.get(kind, ())):
            return kind
    return None


@contextmanager
def daemons_shielded_from_signals(receive_signals: Callable[[], None]) -> Iterator[None]:
    """Keeps a SIGTERM for the whole process group (as `timeout` sends it) away from the daemons started inside.

    Ray shields them from SIGINT only (https://github.com/ray-project/ray/pull/6008,
    https://github.com/ray-project/ray/issues/3797). Ended before the driver, they make `ray.shutdown` wait for a
    minute (measured). A SIGTERM to one of them alone still ends it.

    Ray's own handler of SIGTERM, which `ray.init` puts in place of ours, is left out
    (https://github.com/ray-project/ray/pull/39482).

    Args:
        receive_signals: unblocks signals in a daemon, which inherits this thread's mask.
    """
    from ray._private import services, utils

    original, original_setter = services.ConsolePopen, utils.set_sigterm_handler

    class OwnGroup(original):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: object, **options: Any) -> None:
            prepare = options.pop("preexec_fn", None)

            def prepare_and_receive() -> None:
                receive_signals()
                if prepare is not None:
                    prepare()

            super().__init__(
                *arguments, **{"process_group": 0, "preexec_fn": prepare_and_receive, **options}
            )

    services.ConsolePopen = OwnGroup
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        services.ConsolePopen, utils.set_sigterm_handler = original, original_setter
