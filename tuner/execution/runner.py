"""One session of a plan: claims the run folder, starts Ray, runs the trials, leaves everything in order.

The same for a search and for the confirmation of its finalists, which differ in their plans only.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from optuna import Study

from tuner.errors import ConfigError, SearchError, UsageError
from tuner.execution.capacity import Capacity
from tuner.execution.checkpoints import check_writable, checkpoints_of, remove_checkpoints
from tuner.execution.checks import refuse_unknown_architectures
from tuner.execution.cluster import Cluster, ray_cluster
from tuner.execution.diagnosis import Diagnostician
from tuner.execution.ending import exporting, left_whole
from tuner.execution.gpus import make_packing, note_on_idle_gpus
from tuner.execution.interrupts import Interrupted, InterruptFlag, StopRequested, TimeIsUp
from tuner.execution.mirror import Mirror, mirror_of
from tuner.execution.packing import Packing, Places, kind_of
from tuner.execution.plan import BackgroundTraining, Plan, SearchOutcome
from tuner.execution.probe import Wait
from tuner.execution.run_files import EpochPartsFile, RunFiles
from tuner.kill_points import KillPoint, kill_point
from tuner.output import Screen, is_of_lost_terminal, output_to
from tuner.run.events import Event, EventKind, SearchListener, SearchState
from tuner.run.lock import Claim, claimed
from tuner.run.records import StudyReader, is_to_continue
from tuner.run.sessions import SessionEnd
from tuner.run.troubles import Troubles
from tuner.search.session import SearchSession
from tuner.search.shares import measured_memory, record_memory, times_to_lower
from tuner.search.study import SearchStudy
from tuner.text import one_line
from tuner.tracking.background import Tracking
from tuner.tracking.selection import make_exporters

_one_at_a_time = threading.Lock()  # Ray, standard streams and signals are the process's


def run_plan(plan: Plan, listener: SearchListener) -> SearchOutcome:
    """Runs the plan's trials until its budget is used up; the same call again continues where it stopped.

    Raises:
        UsageError: the request cannot be met; nothing was started and no new run folder is left.
        SearchError: every trial failed, Ray does not start, or a file cannot be written.
        Interrupted, StopRequested: it was asked to end before its first trial.
    """
    if not _one_at_a_time.acquire(blocking=False):
        raise UsageError(
            f"{plan.folder.path}: another search or confirmation runs in this process, and Ray serves one; wait for "
            "it, or start this one in a process of its own"
        )
    try:
        return _run_alone(plan, listener)
    finally:
        _one_at_a_time.release()


def _run_alone(plan: Plan, listener: SearchListener) -> SearchOutcome:
    folder = plan.folder
    plan.check()
    flag = InterruptFlag(folder.stop_request)
    # Storage that cannot be reached is refused before Ray starts.
    checkpoints_of(plan.config, plan.dataset)
    mirror = mirror_of(plan.config, folder, flag.check)
    try:
        log = folder.logs / "driver.log"
        with flag.catching(), claimed(folder, flag.check) as claim, output_to(log) as notify:
            flag.also(claim.check)
            kill_point(KillPoint.FOLDER_CLAIMED)
            refuse_unknown_architectures(plan.config)
            mirror.take_up()
            with mirror.holding():
                plan.check()
                return _Session(plan, mirror, listener, flag, claim, notify).run()
    except BrokenPipeError:  # the reader of the events has gone: no file is at fault
        raise
    except OSError as cause:  # most often a full disk
        if is_of_lost_terminal(cause):
            raise
        raise SearchError(
            f"{folder.path}: the search cannot continue: {one_line(str(cause))}; "
            "finished trials are kept, the same command continues"
        ) from cause


@dataclass(frozen=True)
class _Session:
    """One session, from the claimed run folder to its outcome."""

    plan: Plan
    mirror: Mirror
    listener: SearchListener
    flag: InterruptFlag
    claim: Claim
    notify: Screen  # prints a line for the person

    def run(self) -> SearchOutcome:
        """Starts Ray and runs the trials, unless there is nothing left to do."""
        plan = self.plan
        if plan.finish_if_done():
            self._remove_left_checkpoints()
            self._export_after_the_end()
            for note in plan.notes:
                self.notify(f"tuner: {note}")
            return self._outcome(SessionEnd.BUDGET_WAS_USED)
        self.flag.check()
        storage = checkpoints_of(plan.config, plan.dataset)
        check_writable(storage)
        with ray_cluster(plan.config, self.flag, notify=self.notify) as cluster:
            kill_point(KillPoint.RAY_STARTED)
            self.flag.check()
            self.claim.confirm()  # or this host's view of it may be some seconds old
            cluster.check_checkpoints(storage, self.flag.check, self.notify)
            return self._pack_and_run(cluster)

    def _pack_and_run(self, cluster: Cluster, *, in_vain_s: float = 0.0) -> SearchOutcome:
        """Finds out how many trials there is room for, and runs them.

        Args:
            in_vain_s: seconds in which GPUs were measured that trials do without.
        """
        plan, earlier = self.plan, self._earlier_studies()
        began = time.monotonic() - in_vain_s
        try:
            packing, memory = self._pack(cluster, earlier)
        except TimeIsUp:  # while GPUs were measured
            self.notify("tuner: the time budget ended while the memory of GPUs was measured")
            study = plan.open(workers=1)
            study.record_seconds(study.seconds + time.monotonic() - began)
            plan.files(study).write()
            return self._outcome(SessionEnd.BUDGET_USED)
        except ConfigError as refused:
            if (on_cpus := plan.on_cpus()) is None:
                raise
            self.notify(f"tuner: trials train on the CPUs; {refused}")
            return replace(self, plan=on_cpus)._pack_and_run(
                cluster, in_vain_s=time.monotonic() - began
            )
        measured_s = time.monotonic() - began
        capacity = cluster.capacity(plan.config, packing)
        study = plan.open(capacity())
        kill_point(KillPoint.STUDY_OPENED)
        if memory:
            record_memory(study.study, memory)
        if memory or in_vain_s:
            study.record_seconds(study.seconds + measured_s)
        coming = {kind_of(node) for node in cluster.expected}
        places = Places(packing, cluster.nodes_beside, coming)
        return self._run_session(cluster, places, study, capacity)

    def _earlier_studies(self) -> list[Study]:
        """The studies of this run that know how trials shared GPUs: the search's, and that of its confirmation."""
        if self.plan.config.asked_gpus in (0, 1) or not self.plan.folder.journal.is_file():
            return []
        run = self.plan.run
        return [study for study in (run.study, run.confirmation) if study is not None]

    def _pack(
        self, cluster: Cluster, earlier: Sequence[Study]
    ) -> tuple[Packing, Mapping[str, Any]]:
        """How trials share GPUs, and what was measured for it, here or in an earlier session."""
        config = self.plan.config
        left_s = config.time_budget
        if left_s is not None and earlier:
            left_s -= StudyReader(earlier[0]).seconds
        packing, memory = make_packing(
            config,
            cluster,
            self.plan.dataset,
            recorded=[measured_memory(study) for study in earlier],
            wait=Wait(self.flag.check, self.notify, left_s),
        )
        for _ in range(times_to_lower(earlier, config.asked_gpus)):
            packing.lower()
        return packing, memory

    def _run_session(
        self, cluster: Cluster, places: Places, study: SearchStudy, capacity: Capacity
    ) -> SearchOutcome:
        """Runs trials until the session ends, and leaves the run whole."""
        config = self.plan.config
        files = self.plan.files(study)
        tracking = Tracking(make_exporters(config, self.plan.folder), StudyReader(study.study))
        parts = EpochPartsFile(self.plan.folder, study.study.study_name, time.monotonic)
        listener = _Listener(self.listener, files, parts, tracking)
        session = SearchSession(
            study,
            config,
            workers=lambda: max(1, capacity() - places.extra),
            listener=listener,
            code=self.plan.code,
            clock=time.monotonic,
        )
        background = self.plan.background_training(study)
        try:
            with (
                closing(parts),
                exporting(
                    tracking, lambda note: listener.note(note, session.state), self.flag.check
                ),
                left_whole(session, files),
            ):
                for note in (*self.plan.notes, note_on_idle_gpus(config, cluster)):
                    if note:
                        session.note(note)
                self._run_through_tune(cluster, places, session, files, background)
            # Those of an interrupted search stay, so that its trials continue from them.
            remove_checkpoints(config, self.plan.dataset)
        except Interrupted as interrupted:
            return self._outcome(SessionEnd.INTERRUPTED, interrupted.signal_number)
        except StopRequested:
            return self._outcome(SessionEnd.STOPPED)
        except TimeIsUp:
            background.wait()
            self.plan.conclude(study)
            return self._outcome(SessionEnd.BUDGET_USED)
        folder = self.plan.folder.path
        if session.repeated_failure is not None:
            since = "" if session.last_failure is not None else " since it was continued"
            raise SearchError(
                f"{folder}: every trial{since} failed in the same way, so the search stopped: "
                f"{session.repeated_failure}"
            )
        if session.last_failure is not None:
            raise SearchError(
                f"{folder}: every trial failed; the last error: {session.last_failure}"
            )
        background.wait()
        self.plan.conclude(study)
        return self._outcome(SessionEnd.BUDGET_USED)

    def _run_through_tune(
        self,
        cluster: Cluster,
        places: Places,
        session: SearchSession,
        files: RunFiles,
        background: BackgroundTraining,
    ) -> None:
        """Runs the session's trials through Ray Tune."""
        from tuner.execution import tune_run
        from tuner.execution.heartbeat import Heartbeat
        from tuner.execution.ray_tune import StudyScheduler, StudySearcher

        n_gpus = sum(node.get("GPU", 0.0) for node in (*cluster.nodes, *cluster.expected))
        task = replace(self.plan.task(), rests_gpus=n_gpus > 1)
        faulty = cluster.faulty_nodes(places.packing)
        diagnostician = Diagnostician(
            is_cluster=not cluster.is_ours,
            logs=self.plan.folder.logs if self.plan.config.gpus else None,
            host_at=faulty.host_at,
        )
        troubles = Troubles(self.plan.folder, session.note)
        heartbeat = Heartbeat(
            session,
            cluster,
            diagnostician,
            self.flag,
            files,
            self.mirror,
            faulty,
            troubles,
            background,
        )
        searcher = StudySearcher(session, places, faulty, troubles)
        scheduler = StudyScheduler(session, places, faulty, troubles, diagnostician)
        tune_run.run_trials(session, task, searcher, scheduler, heartbeat, cluster)

    def _remove_left_checkpoints(self) -> None:
        """Removes the checkpoints that a session has left which was killed after its last trial.

        Not where a trial is to run again, which continues from its own.
        """
        if self.plan.config.storage_path is None:
            return
        run = self.plan.run
        trials = (
            trial
            for study in (run.study, run.confirmation)
            if study is not None
            for trial in study.get_trials(deepcopy=False)
        )
        if not any(map(is_to_continue, trials)):
            remove_checkpoints(self.plan.config, self.plan.dataset)

    def _export_after_the_end(self) -> None:
        """Brings exporters up to date, which may have been requested after the search."""
        if exporters := make_exporters(self.plan.config, self.plan.folder):
            tracking = Tracking(exporters, self.plan.run.reader)
            with exporting(tracking, self.notify, self.flag.check):
                pass

    def _outcome(self, reason: SessionEnd, signal_number: int | None = None) -> SearchOutcome:
        return SearchOutcome(self.plan.run, reason, signal_number)


class _Listener:
    """Passes events on to the listener, and lets files and exporters know that the study has changed."""

    def __init__(
        self,
        listener: SearchListener,
        files: RunFiles,
        parts: EpochPartsFile,
        tracking: Tracking,
    ) -> None:
        self._listener = listener
        self._files = files
        self._parts = parts
        self._tracking = tracking

    def on_event(self, event: Event, state: SearchState) -> None:
        if event.kind is EventKind.EPOCH_CONTINUES:  # the study has not changed
            self._parts.note(state.running)
        else:
            self._files.mark_stale()
            self._tracking.wake()
        self._listener.on_event(event, state)
        for note in self._tracking.notes():
            self.note(note, state)

    def note(self, note: str, state: SearchState) -> None:
        """Passes on a note for the person."""
        self._listener.on_event(Event(EventKind.NOTE, error=note), state)
