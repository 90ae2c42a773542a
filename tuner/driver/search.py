"""A search from beginning to end: check, open or continue the study, run trials until the budget is used up."""

import errno
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tuner.config import SearchConfig, TrainerName, absolute
from tuner.data import Dataset, Split, load_dataset
from tuner.driver.capacity import Capacity
from tuner.driver.cluster import Cluster, make_current_folder_importable, ray_cluster
from tuner.driver.deaths import Inquest
from tuner.driver.files import LeaderboardFiles
from tuner.driver.gpu_share import with_measured_share
from tuner.driver.interrupts import Interrupted, InterruptFlag, StopRequested, TimeIsUp
from tuner.driver.mirror import Mirror, mirror_of
from tuner.driver.output import output_to
from tuner.driver.progress import Event, SearchListener, SearchState, SilentListener
from tuner.driver.session import SearchSession
from tuner.errors import ConfigError, JournalTorn, SearchError
from tuner.hyperparameters import is_custom
from tuner.kill_points import KillPoint, kill_point
from tuner.model.custom import check_importable
from tuner.records import StudyReader
from tuner.run import Run
from tuner.run_folder import RunFolder
from tuner.storage import Storage
from tuner.study import SearchStudy, create_or_open_study
from tuner.validation import one_line

if TYPE_CHECKING:
    from tuner.driver.trainable import Task


class EndReason(StrEnum):
    """Why a search ended."""

    BUDGET_USED = "budget used"
    BUDGET_WAS_USED = "budget was used before"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"


@dataclass(frozen=True)
class SearchOutcome:
    """What a search came to."""

    run: Run
    reason: EndReason
    signal_number: int | None = None  # of an interrupted one


@dataclass(frozen=True)
class _Sitting:
    """What one call of `run_search` works with."""

    config: SearchConfig
    dataset: Dataset
    folder: RunFolder
    mirror: Mirror
    listener: SearchListener
    flag: InterruptFlag


def run_search(config: SearchConfig, listener: SearchListener | None = None) -> SearchOutcome:
    """Runs trials until the budget is used up; the same call again goes on where it stopped.

    Raises:
        UsageError: the request cannot be met; nothing was started and no new run folder is left.
        SearchError: every trial failed, Ray does not start, or a file cannot be written.
        Interrupted, StopRequested: it was asked to end before its first trial.
    """
    make_current_folder_importable()
    dataset = load_dataset(config.data, seed=config.seed)
    folder = RunFolder(config.folder)
    folder.check_same_search(config, dataset.fingerprint)
    flag = InterruptFlag(folder.stop_request)
    _checkpoints(config, dataset)  # before Ray starts: can it be reached?
    mirror = mirror_of(config, folder, flag.check)
    sitting = _Sitting(config, dataset, folder, mirror, listener or SilentListener(), flag)
    try:
        with flag.listening(), folder.claimed(), output_to(folder.logs / "driver.log") as say:
            kill_point(KillPoint.FOLDER_CLAIMED)
            _refuse_unknown_architectures(config)
            mirror.take_up()
            folder.check_same_search(config, dataset.fingerprint)
            with mirror.holding():
                return _search(sitting, say)
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


def _search(sitting: _Sitting, say: Callable[[str], None]) -> SearchOutcome:
    config, folder = sitting.config, sitting.folder
    if _is_budget_used(folder, config):
        if not folder.run_file.is_file():
            folder.write_run_file(config, sitting.dataset.fingerprint)
        return SearchOutcome(Run(folder.path), EndReason.BUDGET_WAS_USED)
    sitting.flag.check()
    with ray_cluster(config, sitting.flag, last_words=say) as cluster:
        kill_point(KillPoint.RAY_STARTED)
        sitting.flag.check()
        measured = with_measured_share(config, cluster, sitting.dataset)
        capacity = cluster.capacity(measured)
        folder.write_run_file(config, sitting.dataset.fingerprint)
        study = _open(folder, config, capacity())
        kill_point(KillPoint.STUDY_OPENED)
        return _search_on(cluster, sitting, measured, study, capacity)


def _search_on(
    cluster: Cluster,
    sitting: _Sitting,
    config: SearchConfig,
    study: SearchStudy,
    capacity: Capacity,
) -> SearchOutcome:
    """Runs the trials; `config` is the sitting's, with figures in the place of `auto`."""
    folder = sitting.folder
    files = LeaderboardFiles(folder, StudyReader(study.study), time.monotonic)
    session = SearchSession(
        study,
        config,
        workers=capacity,
        listener=_Both(sitting.listener, files),
        clock=time.monotonic,
    )
    try:
        with _closing(session, files):
            _fit(cluster, sitting, config, session, files)
        _remove_checkpoints(
            config, sitting.dataset
        )  # of an interrupted search they stay, to go on from
    except Interrupted as interrupted:
        return SearchOutcome(Run(folder.path), EndReason.INTERRUPTED, interrupted.signal_number)
    except StopRequested:
        return SearchOutcome(Run(folder.path), EndReason.STOPPED)
    except TimeIsUp:
        return SearchOutcome(Run(folder.path), EndReason.BUDGET_USED)
    if session.doomed is not None:
        raise SearchError(
            f"{folder.path}: every trial failed in the same way, so the search stopped: {session.doomed}"
        )
    if session.only_failure is not None:
        raise SearchError(
            f"{folder.path}: every trial failed, the last one so: {session.only_failure}"
        )
    return SearchOutcome(Run(folder.path), EndReason.BUDGET_USED)


def _task(config: SearchConfig, folder: RunFolder, dataset: Dataset) -> "Task":
    from tuner.driver.trainable import Task

    checkpoints = _checkpoints(config, dataset)
    task = Task(
        train=dataset.splits[Split.TRAIN],
        validation=dataset.splits[Split.VALIDATION],
        n_classes=len(dataset.class_names),
        trainer=config.trainer,
        cpus=config.cpus_per_trial,
        gpus=config.gpus,
        logs=str(folder.logs.resolve()),
        checkpoints=checkpoints.place if checkpoints is not None else None,
        fingerprint=dataset.fingerprint,
    )
    return task.without_data() if config.trainer is TrainerName.TOY else task


def _checkpoints(config: SearchConfig, dataset: Dataset) -> Storage | None:
    """Where this run's checkpoints lie, a folder that is nothing else's.

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
        storage = _checkpoints(config, dataset)
        if storage is not None:
            storage.remove_all()


def _fit(
    cluster: Cluster,
    sitting: _Sitting,
    config: SearchConfig,
    session: SearchSession,
    files: LeaderboardFiles,
) -> None:
    """Has Ray Tune run the session's trials."""
    from ray import tune

    from tuner.driver.ray_tune import Heartbeat, StudyScheduler, StudySearcher, workers_at_hand
    from tuner.driver.trainable import TrialActor

    inquest = Inquest(is_cluster=not cluster.is_ours)
    task = _task(config, sitting.folder, sitting.dataset)
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
    with workers_at_hand() if cluster.is_ours else nullcontext():
        tuner.fit()


@contextmanager
def _closing(session: SearchSession, files: LeaderboardFiles) -> Iterator[None]:
    """Leaves study and files whole, however the search ends.

    But for a torn journal: the next search cuts half a line off its end, which it could not if another line followed.
    """
    try:
        yield
    except JournalTorn:
        raise
    except BaseException:
        _close(session, files)
        raise
    _close(session, files)


def _close(session: SearchSession, files: LeaderboardFiles) -> None:
    kill_point(KillPoint.CLOSING)
    session.close()
    kill_point(KillPoint.CLOSED)
    files.write()


def _open(folder: RunFolder, config: SearchConfig, workers: int) -> SearchStudy:
    return create_or_open_study(
        folder.journal,
        config.space,
        seed=config.seed,
        sampler=config.sampler,
        pruner=config.pruner,
        max_epochs=config.epochs,
        workers=workers,
    )


def _is_budget_used(folder: RunFolder, config: SearchConfig) -> bool:
    """Whether an earlier sitting used the budget up, so that Ray need not start; its files are brought up to date."""
    if not folder.journal.is_file():
        return False
    study = _open(folder, config, workers=1)
    finished = len(study.finished_trials())
    if not config.is_budget_used(trials=finished, seconds=study.seconds_before):
        return False
    study.requeue_cut_off_trials()
    LeaderboardFiles(folder, StudyReader(study.study), time.monotonic).write()
    return True


class _Both:
    """Tells the listener, and the files that there is news."""

    def __init__(self, listener: SearchListener, files: LeaderboardFiles) -> None:
        self._listener = listener
        self._files = files

    def on_event(self, event: Event, state: SearchState) -> None:
        self._files.mark_stale()
        self._listener.on_event(event, state)
