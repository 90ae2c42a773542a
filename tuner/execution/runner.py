"""One sitting of a search, or of the confirmation of its finalists: claim the run folder, start Ray, run the trials."""

import errno
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tuner.data import Dataset
from tuner.errors import ConfigError, JournalTorn, SearchError
from tuner.execution.capacity import Capacity
from tuner.execution.cluster import Cluster, ray_cluster
from tuner.execution.deaths import Inquest
from tuner.execution.gpus import with_measured_share
from tuner.execution.interrupts import Interrupted, InterruptFlag, StopRequested, TimeIsUp
from tuner.execution.mirror import Mirror, mirror_of
from tuner.execution.outcome import EndReason, SearchOutcome
from tuner.execution.ray_internals import waiting_workers_taken
from tuner.execution.run_files import RunFiles
from tuner.faults import KillPoint, kill_point
from tuner.output import output_to
from tuner.run import Run
from tuner.run.events import Event, EventKind, SearchListener, SearchState
from tuner.run.folder import RunFolder
from tuner.run.lock import claimed
from tuner.run.records import StudyReader
from tuner.run.sessions import SessionEnd
from tuner.search.session import SearchSession
from tuner.search.study import SearchStudy
from tuner.settings.config import SearchConfig
from tuner.settings.hyperparameters import is_custom
from tuner.settings.places import absolute
from tuner.storage import Storage
from tuner.text import one_line
from tuner.tracking.background import Feeds
from tuner.tracking.choice import make_sinks
from tuner.training.custom import check_importable, make_current_folder_importable

if TYPE_CHECKING:
    from tuner.execution.trainable import Task


_SINKS_S = 60.0  # for the next trial that they have not got by the end
_HURRIED_SINKS_S = 5.0


class Plan(Protocol):
    """What is to be run in a run folder."""

    @property
    def config(self) -> SearchConfig:
        """Budget and resources."""

    @property
    def folder(self) -> RunFolder:
        """Where it is written down."""

    @property
    def dataset(self) -> Dataset:
        """What is learned from."""

    @property
    def run(self) -> Run:
        """The run that is read from there; there is one as soon as there is a study."""

    def check(self) -> None:
        """Refuses what does not belong to this run folder.

        Raises:
            UsageError: in one line, why.
        """

    def is_done(self) -> bool:
        """Whether nothing is left to do, so that Ray need not start; then the files are brought up to date."""

    def open(self, workers: int) -> SearchStudy:
        """The study, ready to ask; what is asked is written down before."""

    def task(self, config: SearchConfig) -> "Task":
        """What every trial shares; `config` is the plan's, with figures in the place of `auto`."""

    def files(self, study: SearchStudy) -> RunFiles:
        """The files that follow `study`."""


@dataclass(frozen=True)
class _Sitting:
    """What one call of `run_plan` works with."""

    plan: Plan
    mirror: Mirror
    listener: SearchListener
    flag: InterruptFlag


def run_plan(plan: Plan, listener: SearchListener) -> SearchOutcome:
    """Runs the plan's trials until its budget is used up; the same call again goes on where it stopped.

    Raises:
        UsageError: the request cannot be met; nothing was started and no new run folder is left.
        SearchError: every trial failed, Ray does not start, or a file cannot be written.
        Interrupted, StopRequested: it was asked to end before its first trial.
    """
    make_current_folder_importable()
    folder = plan.folder
    plan.check()
    flag = InterruptFlag(folder.stop_request)
    checkpoints_of(plan.config, plan.dataset)  # before Ray starts: can it be reached?
    mirror = mirror_of(plan.config, folder, flag.check)
    try:
        with flag.listening(), claimed(folder), output_to(folder.logs / "driver.log") as say:
            kill_point(KillPoint.FOLDER_CLAIMED)
            _refuse_unknown_architectures(plan.config)
            mirror.take_up()
            plan.check()
            with mirror.holding():
                return _run(_Sitting(plan, mirror, listener, flag), say)
    except BrokenPipeError:  # whoever read the events has gone: no fault of a file's
        raise
    except OSError as cause:  # most often a full disk
        if cause.errno == errno.EIO:  # the terminal that it was shown on has gone
            raise
        raise SearchError(
            f"{folder.path}: the search cannot go on: {one_line(str(cause))}; "
            "finished trials are kept, the same command continues"
        ) from cause


def _refuse_unknown_architectures(config: SearchConfig) -> None:
    for architecture in config.space.architectures:
        if is_custom(architecture):
            check_importable(architecture)


def _run(sitting: _Sitting, say: Callable[[str], None]) -> SearchOutcome:
    plan = sitting.plan
    if plan.is_done():
        if sinks := make_sinks(plan.config, plan.folder):  # asked for, perhaps, after the search
            feeds = Feeds(sinks, plan.run.reader)
            with _feeding(feeds, say, sitting.flag.check):
                pass
        return SearchOutcome(plan.run, EndReason.BUDGET_WAS_USED)
    sitting.flag.check()
    with ray_cluster(plan.config, sitting.flag, last_words=say) as cluster:
        kill_point(KillPoint.RAY_STARTED)
        sitting.flag.check()
        measured = with_measured_share(plan.config, cluster, plan.dataset)
        capacity = cluster.capacity(measured)
        study = plan.open(capacity())
        kill_point(KillPoint.STUDY_OPENED)
        return _run_on(cluster, sitting, measured, study, capacity)


def _run_on(
    cluster: Cluster,
    sitting: _Sitting,
    config: SearchConfig,
    study: SearchStudy,
    capacity: Capacity,
) -> SearchOutcome:
    """Runs the trials; `config` is the plan's, with figures in the place of `auto`."""
    folder = sitting.plan.folder
    files = sitting.plan.files(study)
    feeds = Feeds(make_sinks(config, folder), StudyReader(study.study))
    audience = _Audience(sitting.listener, files, feeds)
    session = SearchSession(
        study, config, workers=capacity, listener=audience, clock=time.monotonic
    )
    try:
        with (
            _feeding(feeds, lambda note: audience.note(note, session.state), sitting.flag.check),
            _closing(session, files),
        ):
            _fit(cluster, sitting, config, session, files)
        # Of an interrupted search they stay, to go on from.
        _remove_checkpoints(config, sitting.plan.dataset)
    except Interrupted as interrupted:
        return SearchOutcome(sitting.plan.run, EndReason.INTERRUPTED, interrupted.signal_number)
    except StopRequested:
        return SearchOutcome(sitting.plan.run, EndReason.STOPPED)
    except TimeIsUp:
        return SearchOutcome(sitting.plan.run, EndReason.BUDGET_USED)
    if session.repeated_failure is not None:
        raise SearchError(
            f"{folder.path}: every trial failed in the same way, so the search stopped: {session.repeated_failure}"
        )
    if session.last_failure is not None:
        raise SearchError(
            f"{folder.path}: every trial failed, the last one so: {session.last_failure}"
        )
    return SearchOutcome(sitting.plan.run, EndReason.BUDGET_USED)


def checkpoints_of(config: SearchConfig, dataset: Dataset) -> Storage | None:
    """Where this run's checkpoints lie, a folder that is nothing else's; None where there are none.

    Raises:
        ConfigError: it cannot be reached.
    """
    if config.storage_path is None:
        return None
    run = f"{absolute(config.out)}/{config.run_name}/{dataset.fingerprint}"
    digest = hashlib.sha256(run.encode()).hexdigest()[:12]
    place = absolute(config.storage_path).rstrip("/")
    return Storage(f"{place}/tuner-checkpoints/{config.run_name}-{digest}")


def _remove_checkpoints(config: SearchConfig, dataset: Dataset) -> None:
    with suppress(OSError, ConfigError):
        storage = checkpoints_of(config, dataset)
        if storage is not None:
            storage.remove_all()


def _fit(
    cluster: Cluster,
    sitting: _Sitting,
    config: SearchConfig,
    session: SearchSession,
    files: RunFiles,
) -> None:
    """Has Ray Tune run the session's trials."""
    from ray import tune

    from tuner.execution.ray_tune import Heartbeat, StudyScheduler, StudySearcher
    from tuner.execution.trainable import TrialActor

    inquest = Inquest(is_cluster=not cluster.is_ours)
    task = sitting.plan.task(config)
    heartbeat = Heartbeat(session, cluster, inquest, sitting.flag, files, sitting.mirror)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(TrialActor, task=task),
            {"cpu": config.cpus_per_trial, "gpu": config.gpus},
        ),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(session),
            scheduler=StudyScheduler(session, inquest),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: f"trial-{trial.config.get('number', trial.trial_id)}",
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(cluster.scratch / "tune"),
            verbose=0,
            callbacks=[heartbeat],
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
        ),
    )
    with waiting_workers_taken() if cluster.is_ours else nullcontext():
        tuner.fit()


@contextmanager
def _closing(session: SearchSession, files: RunFiles) -> Iterator[None]:
    """Leaves study and files whole, however the search ends.

    But for a torn journal: the next search cuts half a line off its end, which it could not if another line followed.
    """
    try:
        yield
    except JournalTorn:
        raise
    except BaseException as cause:
        _close(session, files, _session_end(cause))
        raise
    has_failed = session.last_failure is not None
    _close(session, files, SessionEnd.FAILED if has_failed else SessionEnd.BUDGET_USED)


def _session_end(cause: BaseException) -> SessionEnd:
    if isinstance(cause, TimeIsUp):
        return SessionEnd.BUDGET_USED
    if isinstance(cause, StopRequested):
        return SessionEnd.STOPPED
    return SessionEnd.INTERRUPTED if isinstance(cause, Interrupted) else SessionEnd.FAILED


def _close(session: SearchSession, files: RunFiles, reason: SessionEnd) -> None:
    kill_point(KillPoint.CLOSING)
    session.close(reason)
    kill_point(KillPoint.CLOSED)
    files.write()


@contextmanager
def _feeding(feeds: Feeds, say: Callable[[str], None], check: Callable[[], None]) -> Iterator[None]:
    """Keeps the sinks up to date, and waits for them in the end; a search that was asked to end waits little.

    Args:
        say: is told what a person should know.
        check: raises where the search was asked to end.
    """
    feeds.start()
    try:
        try:
            yield
        except TimeIsUp:
            feeds.finish(_SINKS_S, check)
            raise
        except BaseException:
            feeds.finish(_HURRIED_SINKS_S)
            raise
        feeds.finish(_SINKS_S, check)
    finally:
        for note in feeds.notes():
            say(note)


class _Audience:
    """Tells the listener, and the files and sinks that there is news; and the listener what these have to say."""

    def __init__(self, listener: SearchListener, files: RunFiles, feeds: Feeds) -> None:
        self._listener = listener
        self._files = files
        self._feeds = feeds

    def on_event(self, event: Event, state: SearchState) -> None:
        self._files.mark_stale()
        self._feeds.wake()
        self._listener.on_event(event, state)
        for note in self._feeds.notes():
            self.note(note, state)

    def note(self, note: str, state: SearchState) -> None:
        """Something a person should know."""
        self._listener.on_event(Event(EventKind.NOTE, error=note), state)
