"""What Ray Tune calls between two of its steps: signals, the clock, files, nodes that are missing."""

import time
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from tuner.errors import SearchError
from tuner.execution.cluster import Cluster
from tuner.execution.diagnosis import Diagnostician
from tuner.execution.faulty_nodes import FaultyNodes
from tuner.execution.interrupts import InterruptFlag, TimeIsUp, signals_in_main_thread_only
from tuner.execution.messages import avoided_by, requested_by
from tuner.execution.mirror import Mirror
from tuner.execution.plan import BackgroundTraining
from tuner.execution.run_files import RunFiles
from tuner.execution.tune_internals import Disposable
from tuner.run.troubles import Troubles
from tuner.search.session import SearchSession
from tuner.text import format_duration, joined

_LOOK_S = 30.0
_LONGEST_IDLE_S = 60.0
_LONGEST_STUCK_S = 600.0  # an autoscaler may bring a node meanwhile


class Heartbeat(Disposable, tune.Callback):  # type: ignore[misc]
    """Acts on signals and keeps the files up to date between two of Tune's steps, which last at most 0.1 s each."""

    def __init__(
        self,
        session: SearchSession,
        cluster: Cluster,
        diagnostician: Diagnostician,
        flag: InterruptFlag,
        files: RunFiles,
        mirror: Mirror,
        faulty: FaultyNodes,
        troubles: Troubles,
        background: BackgroundTraining,
    ) -> None:
        self._session = session
        self._troubles = troubles
        self._background = background
        self._diagnostician = diagnostician
        self._cluster = cluster
        self._flag = flag
        self._files = files
        self._mirror = mirror
        self._faulty = faulty
        self._look_at = self._stuck_since = self._idle_since = time.monotonic()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Notes that the trial has its process now."""
        self._session.begin_trial(trial.config["number"])
        self._idle_since = time.monotonic()
        with signals_in_main_thread_only():
            self._background.start()

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Raises Interrupted if a signal came, SearchError if Ray died."""
        self._flag.check()
        self._cluster.check_alive()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Raises exceptions that Tune swallowed, acts on signals and the clock, and writes files that are due."""
        if self._session.callback_error is not None:
            raise self._session.callback_error
        self._flag.check()
        self._diagnostician.watch()
        if self._session.is_out_of_time:
            raise TimeIsUp
        self._session.pass_time()
        self._check_nodes(trials)
        if self._background.collect():
            self._session.follow_study()
        self._files.write_if_due()
        self._mirror.copy_if_due(self._troubles)

    def _check_nodes(self, trials: list[Trial]) -> None:
        """Tells where nothing runs for want of room, and ends a search that waits in vain.

        It does where a trial waits for another node than it failed on, and none comes.

        Raises:
            SearchError: as above.
        """
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        configs = [each.config for each in trials if each.status == Trial.PENDING]
        waiting = [(requested_by(each), avoided_by(each)) for each in configs]
        runs = any(each.status == Trial.RUNNING for each in trials)
        if runs or not waiting:
            self._idle_since = now
        elif now - self._idle_since > _LONGEST_IDLE_S and not self._session.starts_process:
            self._session.note(_no_room(configs[0]))
        if not waiting or not self._faulty.any_in_vain(waiting, runs=runs):
            self._stuck_since = now
        elif now - self._stuck_since > _LONGEST_STUCK_S:
            raise SearchError(
                "a trial waits for a node that is not there: it failed on those that are left, or they have other "
                "GPUs; add a node, or repair one; finished trials are kept, the same command continues"
            )


def _no_room(config: dict[str, Any]) -> str:
    """A line for the person about a trial that waits for room, by its config."""
    asks = joined([f"{amount:g} {name}" for name, amount in requested_by(config).items()])
    return (
        f"no trial has run for {format_duration(_LONGEST_IDLE_S)}: no node has {asks} free, which a trial asks for; it "
        "starts as soon as one has, but the time budget goes on"
    )
