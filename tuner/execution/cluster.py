"""Starts Ray on this machine, or joins a running cluster, for as long as a search needs it."""

import gc
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from types import ModuleType

from tuner.errors import ConfigError, SearchError
from tuner.execution import ray_internals
from tuner.execution.capacity import Capacity, check_fits, read_growth
from tuner.execution.checkpoints import ask_through_ray, check_nodes
from tuner.execution.faulty_nodes import FaultyNodes, Node
from tuner.execution.fork_server import running_fork_server
from tuner.execution.interrupts import InterruptFlag, receive_signals
from tuner.execution.packing import Packing, Resources
from tuner.execution.scratch import scratch_folder
from tuner.execution.worker_internals import workers_forked
from tuner.files import has_home, substitute_home
from tuner.machine import memory, ray_folder, usable_cpus
from tuner.output import Screen
from tuner.settings.config import SearchConfig
from tuner.storage import Storage
from tuner.text import one_line, short_reason

_CONNECT_TIMEOUT_S = 10.0
_WITHOUT = "--address off takes this machine alone"
# Where a daemon has died, Ray's C++ part may end this process before `_watched` notices.
_SILENT_END = (
    "the search ended unexpectedly, probably because Ray died; finished trials are kept, the same command "
    "continues"
)
_WATCH_S = 0.3
_GRACE_S = (
    3.0  # less than the timeout in ray_internals.ENVIRONMENT, after which Ray ends this process
)


@dataclass(frozen=True)
class Cluster:
    """A running Ray."""

    ray: ModuleType
    scratch: Path  # for the files that Tune always writes
    is_ours: bool  # this machine alone
    left_out: set[str] = field(default_factory=set)  # ids of nodes that no trial is given to

    def check_alive(self) -> None:
        """Checks that the daemons of the Ray that we started live; without them nothing can run.

        Raises:
            SearchError: one has ended.
        """
        dead = ray_internals.dead_daemon() if self.is_ours else None
        if dead is not None:
            raise SearchError(
                f"Ray died (its {dead} ended); finished trials are kept, the same command continues"
            )

    @property
    def nodes(self) -> list[Resources]:
        """The resources of each living node that trials are given to."""
        return self.nodes_beside(())

    def nodes_beside(self, avoided: Collection[str]) -> list[Resources]:
        """Those of the nodes that do not have these ids."""
        off = self.left_out.union(avoided)
        living = [node for node in self.ray.nodes() if node["Alive"]]
        return [node["Resources"] for node in living if node.get("NodeID") not in off]

    @property
    def living(self) -> list[Node]:
        """All living nodes."""
        return [
            Node(
                node["NodeID"],
                node["NodeManagerAddress"],
                node["NodeManagerHostname"],
                node["Resources"],
            )
            for node in self.ray.nodes()
            if node["Alive"]
        ]

    def check(self, config: SearchConfig) -> None:
        """Refuses a search none of whose trials will ever fit.

        Raises:
            ConfigError: as above.
        """
        if self.is_ours:
            check_fits("this machine", config, self.nodes)
            return
        growth = read_growth(ray_internals.cluster_description())
        # Where the resources of future nodes are unknown, those of present ones count.
        known = [node for node in (*self.expected, *self.nodes) if node.get("CPU")]
        if known or not (growth is not None or ray_internals.is_on_kuberay()):
            check_fits("the cluster", config, known)

    @property
    def may_get_unknown_nodes(self) -> bool:
        """Whether nodes may come of whose resources nothing is known here: KubeRay's, or a person's own machines."""
        return not self.is_ours and (ray_internals.is_on_kuberay() or not all(self.expected))

    def capacity(self, config: SearchConfig, packing: Packing) -> Capacity:
        """How many trials may run at once."""
        ray_internals.let_the_searcher_limit_trials()
        if self.is_ours:
            most = max(1, int(memory().available / 2**20 / packing.host_mb))
            return Capacity(packing, lambda: self.nodes, limits=[most, config.max_concurrent])
        growth = read_growth(ray_internals.cluster_description())

        def grown() -> int:
            if ray_internals.is_on_kuberay():
                return config.max_concurrent or 0
            return growth.fit(packing) if growth is not None else 0

        return Capacity(packing, lambda: self.nodes, grown=grown, limits=[config.max_concurrent])

    def check_checkpoints(
        self, storage: Storage | None, check: Callable[[], None], notify: Callable[[str], None]
    ) -> None:
        """See `check_nodes`; asks the nodes that run trials, unless that is this machine alone."""
        if storage is not None and not self.is_ours:
            nodes = [node for node in self.living if node.resources.get("CPU")]
            check_nodes(storage, nodes, ask_through_ray(self.ray, check), notify)

    def faulty_nodes(self, packing: Packing) -> FaultyNodes:
        """The count of nodes' failures in a session."""
        return FaultyNodes(lambda: self.living, lambda node: packing.fit(node) > 0, self.left_out)

    @property
    def expected(self) -> list[Resources]:
        """The resources of each kind of node that an autoscaler may start, where they are known."""
        growth = read_growth(ray_internals.cluster_description()) if not self.is_ours else None
        return [kind.resources for kind in growth.node_types] if growth is not None else []


@contextmanager
def ray_cluster(config: SearchConfig, flag: InterruptFlag, *, notify: Screen) -> Iterator[Cluster]:
    """Ray for as long as the search needs it; one that the caller has started is used and left running.

    Args:
        config: which Ray, and the resources of a trial.
        flag: holds signals back while Ray starts.
        notify: prints a line for the person when Ray is about to end this process.

    Raises:
        ConfigError: the cluster cannot be reached, or this machine has too few CPUs for one trial.
        SearchError: Ray does not start on this machine.
    """
    was_running = ray_internals.runs_already()
    is_ours = config.address is None and not was_running
    if was_running and config.address is not None:
        raise ConfigError(
            f"--address {config.address}: Ray runs in this process already; write 'off', which uses it, "
            "or call ray.shutdown() before"
        )
    if is_ours:
        check_fits("this machine", config, [{"CPU": float(usable_cpus())}], gpus_known=False)
    elif config.address is not None:
        _check_answers(config.address, notify)
    before = dict(os.environ)
    environment = {
        **ray_internals.ENVIRONMENT,
        **(
            {} if has_home() else {"HOME": str(substitute_home())}
        ),  # without one Tune's import fails
        **(_visible_devices(os.environ) if is_ours else {}),
    }
    os.environ.update(environment)
    try:
        locked = ray_internals.local_ray_locked() if is_ours else nullcontext()
        with (
            scratch_folder(ray_folder(os.environ)) as scratch,
            locked,
            notify.at_death(f"tuner: {_SILENT_END}") as take_back,
        ):
            import ray  # not before: see `local_ray_locked`

            try:
                with flag.held():
                    if is_ours:
                        _start(scratch)
                    elif config.address is not None:
                        _join(ray, config.address)
                cluster = Cluster(ray, scratch, is_ours)
                with _watched(cluster, notify, take_back):
                    yield cluster
            finally:
                if not was_running and ray.is_initialized():
                    ray.shutdown()
                # An interrupted search's actors end with their last handle where Ray goes on.
                gc.collect()
    finally:
        for name in (*environment, ray_internals.PENDING_TRIALS):
            _restore(name, before.get(name))


@contextmanager
def _watched(
    cluster: Cluster, notify: Callable[[str], None], take_back: Callable[[], None]
) -> Iterator[None]:
    """Ends this process with a message where its main thread waits for a Ray that has died.

    `Heartbeat` checks as well, and ends the search in good order. But without its GCS, calls of Ray do not return, and
    after some seconds Ray ends this process without a message.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_WATCH_S):
            try:
                cluster.check_alive()
            except SearchError as error:
                if not is_over.wait(_GRACE_S):
                    take_back()
                    notify(f"tuner: {error}")
                    os._exit(1)

    if cluster.is_ours:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _visible_devices(environment: Mapping[str, str]) -> dict[str, str]:
    """CUDA_VISIBLE_DEVICES, where it is set, as CUDA reads it: up to the first negative number.

    Ray counts that as a GPU, too (ray/_private/resource_and_label_spec.py).
    """
    name = "CUDA_VISIBLE_DEVICES"
    listed = environment.get(name, "").split(",")
    named = takewhile(lambda each: not each.strip().startswith("-"), listed)
    return {name: ",".join(named)} if name in environment else {}


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _start(scratch: Path) -> None:
    server = running_fork_server()
    try:
        forked = workers_forked(server.listen(scratch)) if server is not None else nullcontext()
        with forked, ray_internals.daemons_shielded_from_signals(receive_signals):
            ray_internals.start(
                scratch / "r",  # Ray opens its folder to everybody, ours above it is not
                address="local",
                num_cpus=usable_cpus(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
    except Exception as cause:  # a plain one where the machine is too busy
        raise SearchError(
            f"Ray does not start on this machine: {one_line(str(cause))}; the same command tries again"
        ) from cause


def _join(ray: ModuleType, address: str) -> None:
    try:
        ray.init(
            address=address,
            job_config=ray_internals.job_without_folders(),
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, ValueError, RuntimeError) as cause:
        reason = short_reason(cause)
        raise _no_cluster(address, reason) from cause


def _check_answers(address: str, notify: Callable[[str], None]) -> None:
    """Checks the address first, because Ray itself tries for a minute before it fails.

    Args:
        notify: prints a line for the person: which Ray `auto` has found, of several on a machine.
    """
    if address.startswith("ray://"):
        raise ConfigError(
            f"--address {address}: a search cannot run through Ray Client; run it on a node of the cluster "
            "with --address auto, or write the head's host:6379"
        )
    found = address
    if address == "auto":
        try:
            found = ray_internals.address_that_auto_finds()
        except (ConnectionError, ValueError) as cause:
            reason = short_reason(cause)
            raise ConfigError(
                f"--address auto: no Ray runs on this machine: {reason}; {_WITHOUT}"
            ) from cause
        notify(f"tuner: --address auto is the Ray cluster at {found}")
    host, _, port = found.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as cause:
        where = address if found == address else f"{address} ({found})"
        raise _no_cluster(where, str(cause)) from cause


def _no_cluster(where: str, reason: str) -> ConfigError:
    return ConfigError(f"--address {where}: no Ray cluster answers there: {reason}; {_WITHOUT}")
