"""Starts Ray on this machine, or joins a running cluster.

The settings that Ray and Tune read from the environment are made here, before Ray is first imported.
"""

import gc
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tuner.errors import ConfigError, SearchError
from tuner.execution.capacity import Capacity, Resources, check_fits, read_growth
from tuner.execution.interrupts import InterruptFlag, receive_signals
from tuner.execution.scratch import scratch_folder
from tuner.machine import MEMORY_PER_TRIAL_GB, memory, ray_folder, usable_cpus
from tuner.settings.config import SearchConfig
from tuner.text import one_line

_CONNECT_TIMEOUT_S = 10.0
_LOOKS_EVERY_S = 0.3
_GRACE_S = 3.0  # less than Ray's, see the settings
# What `ray up` calls the cluster's description on its head.
_BOOTSTRAP = "ray_bootstrap_config.yaml"
_KUBERAY = "RAY_USAGE_STATS_KUBERAY_IN_USE"  # set to 1 in the containers of its clusters
_NO_LIMIT = 1_000_000

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # not a minute: on this machine a GCS that is gone stays so
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's relative paths and modules stay where they are
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the study is the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours stops at once, Tune's waits for the epoch's end
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's own state is disposable
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1e9",
}


@dataclass(frozen=True)
class Cluster:
    """A running Ray."""

    ray: ModuleType
    scratch: Path  # for what Tune insists on writing
    is_ours: bool  # this machine alone

    def check_alive(self) -> None:
        """Looks whether the daemons of the Ray that we started live; without them nothing can run.

        Ray itself notices after 10 to 20 s, in which trials seem to die, and then ends this process without a word.

        Raises:
            SearchError: one has ended.
        """
        node = self.ray._private.worker._global_node if self.is_ours else None
        if node is None:
            return
        for kind in ("raylet", "gcs_server"):
            if any(each.process.poll() is not None for each in node.all_processes.get(kind, ())):
                raise SearchError(
                    f"Ray died (its {kind} ended); finished trials are kept, the same command continues"
                )

    @property
    def nodes(self) -> list[Resources]:
        """What each living node has."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def capacity(self, config: SearchConfig) -> Capacity:
        """How many trials may run at once.

        Raises:
            ConfigError: not even one fits, nor ever will.
        """
        # With a searcher of one's own, Tune keeps one trial waiting unless told otherwise; the session's limit counts.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_NO_LIMIT)
        if self.is_ours:
            check_fits("this machine", config, self.nodes)
            most = max(1, int(memory().available / 1e9 / MEMORY_PER_TRIAL_GB))
            return Capacity(config, lambda: self.nodes, most=most)
        growth = read_growth(Path.home() / _BOOTSTRAP)
        on_kuberay = os.environ.get(_KUBERAY) == "1"
        # Of machines that will come, some say nothing: then what is there speaks for them.
        known = [node for node in (*self.expected, *self.nodes) if node.get("CPU")]
        if known or not (growth is not None or on_kuberay):
            check_fits("the cluster", config, known)
        grown = growth.fit(config) if growth is not None else 0
        if on_kuberay:
            grown = config.max_concurrent or 0
        return Capacity(config, lambda: self.nodes, grown=grown)

    @property
    def expected(self) -> list[Resources]:
        """What each kind of node has that an autoscaler may start, where that is known."""
        growth = read_growth(Path.home() / _BOOTSTRAP) if not self.is_ours else None
        return [kind.resources for kind in growth.node_types] if growth is not None else []


@contextmanager
def ray_cluster(
    config: SearchConfig, flag: InterruptFlag, *, last_words: Callable[[str], None]
) -> Iterator[Cluster]:
    """Ray for as long as the search needs it; a Ray that the caller started already is used and left running.

    Args:
        config: which Ray, and what its processes are for.
        flag: what signals are kept for while Ray starts.
        last_words: says a line to the person when Ray is about to end this process.

    Raises:
        ConfigError: the cluster cannot be reached, or this machine has too few CPUs for one trial.
        SearchError: Ray does not start on this machine.
    """
    was_running = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    is_ours = config.address is None and not was_running
    if was_running and config.address is not None:
        raise ConfigError(
            f"--address {config.address}: Ray runs in this process already; leave the address out, "
            "or call ray.shutdown() before"
        )
    if is_ours:
        check_fits("this machine", config, [{"CPU": float(usable_cpus())}], gpus_known=False)
        _lock_local_ray()
    elif config.address is not None:
        _check_answers(config.address)
    before = dict(os.environ)
    os.environ.update(_SETTINGS)
    import ray

    try:
        with scratch_folder(ray_folder(os.environ)) as scratch:
            try:
                with flag.held():
                    if is_ours:
                        _start(ray, scratch)
                    elif config.address is not None:
                        _join(ray, config.address)
                cluster = Cluster(ray, scratch, is_ours)
                with _watched(cluster, last_words):
                    yield cluster
            finally:
                if not was_running and ray.is_initialized():
                    ray.shutdown()
                # An interrupted search's actors end with their last handle where Ray goes on.
                gc.collect()
    finally:
        for name in _SETTINGS:
            _restore(name, before.get(name))


@contextmanager
def _watched(cluster: Cluster, last_words: Callable[[str], None]) -> Iterator[None]:
    """Ends this process with a word where Ray's death has left its main thread waiting for Ray.

    `Heartbeat` looks as well, and ends the search in good order. But without its GCS, calls of Ray's do not return,
    and after some seconds Ray ends this process.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_LOOKS_EVERY_S):
            try:
                cluster.check_alive()
            except SearchError as error:
                if not is_over.wait(_GRACE_S):
                    last_words(f"tuner: {error}")
                    os._exit(1)

    if cluster.is_ours:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _lock_local_ray() -> None:
    """Has the Ray that we start listen on loopback only, and only to those who know its token.

    Ray reads this when it is imported; whoever imported it before has settled it already.
    """
    if "ray" in sys.modules:
        return
    # The one setting by which it takes 127.0.0.1.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _start(ray: ModuleType, scratch: Path) -> None:
    try:
        with _daemons_shielded_from_signals():
            ray.init(
                address="local",
                num_cpus=usable_cpus(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                # Ray opens its folder to everybody, ours above it is not.
                _temp_dir=str(scratch / "r"),
            )
    except (OSError, RuntimeError, ValueError) as cause:
        raise SearchError(f"Ray does not start on this machine: {one_line(str(cause))}") from cause


@contextmanager
def _daemons_shielded_from_signals() -> Iterator[None]:
    """Keeps a SIGTERM for the whole process group (as `timeout` sends it) away from Ray's daemons.

    Ray shields them from SIGINT only; ended before the driver, they make `ray.shutdown` wait for a minute (measured).
    A SIGTERM to one of them alone still ends it.
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
    utils.set_sigterm_handler = lambda handler: None  # Ray's exits with 15; we have our own
    try:
        yield
    finally:
        services.ConsolePopen, utils.set_sigterm_handler = original, original_setter


def _join(ray: ModuleType, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as cause:
        reason = one_line(str(cause))[:200]
        raise ConfigError(f"--address {address}: no Ray cluster answers there: {reason}") from cause


def _check_answers(address: str) -> None:
    """Ray itself tries for a minute before it says that nobody is there."""
    if address.startswith("ray://"):
        raise ConfigError(
            f"--address {address}: a search cannot run through Ray Client; run it on a node of the cluster "
            "with --address auto, or write the head's host:6379"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return  # "auto" and the like: Ray's to resolve
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as cause:
        raise ConfigError(f"--address {address}: no Ray cluster answers there: {cause}") from cause
