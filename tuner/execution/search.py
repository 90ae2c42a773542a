"""A search: its plan, and the call that runs it."""

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from tuner.data import Dataset, Split, cluster_count, load_dataset
from tuner.data.rotation import parts_of
from tuner.data.vectors import digest_of
from tuner.errors import ConfigError
from tuner.execution.checkpoints import checkpoints_of
from tuner.execution.checks import refuse_noise_in_space
from tuner.execution.default_gpus import with_default_gpus, without_default_gpus
from tuner.execution.fork_server import fork_server
from tuner.execution.plan import BackgroundTraining, NoBackgroundTraining, SearchOutcome
from tuner.execution.run_files import LeaderboardFiles
from tuner.execution.runner import run_plan
from tuner.execution.task import Rotation, Task
from tuner.run import Run
from tuner.run.copies import with_record
from tuner.run.events import SearchListener, SilentListener
from tuner.run.folder import RunFolder
from tuner.run.records import StudyReader
from tuner.run.reference_record import reference_in
from tuner.run.run_file import (
    check_same_search,
    read_run_file,
    remember_place,
    with_recorded_splits,
    write_run_file,
)
from tuner.run.score_errors import ValidationRows
from tuner.run.train_on import learned_by_reference
from tuner.search.ensemble import TrialEnsemble
from tuner.search.kept_models import common_labels
from tuner.search.kept_reference import (
    measure_reference,
    read_reference,
    trained_reference,
    withdraw_comparisons,
)
from tuner.search.opening import create_or_open_study
from tuner.search.reference_training import ReferenceTraining
from tuner.search.starters import in_narrower_space, with_starters
from tuner.search.study import SearchStudy
from tuner.settings.config import SearchConfig, TrainerName
from tuner.settings.embeddings import starting_from_vectors
from tuner.settings.quantities import GpusPerTrial
from tuner.settings.widening import widened
from tuner.text import joined
from tuner.tracking.selection import check_exporters
from tuner.training.own_code import code_of
from tuner.training.own_modules import folders_for, name_modules_of

_TRIALS_PER_PROCESS_ON_A_GPU = (
    50  # backends leak GPU memory: keras-team/keras-tuner#873, tensorflow#43627
)


def run_search(config: SearchConfig, listener: SearchListener | None = None) -> SearchOutcome:
    """Runs trials until the budget is used up; the same call again continues where it stopped.

    The modules of the space's own architectures count as named by the person, whose space it is.

    Raises:
        UsageError: the request cannot be met; nothing was started and no new run folder is left.
        SearchError: every trial failed, Ray does not start, or a file cannot be written.
        Interrupted, StopRequested: it was asked to end before its first trial.
    """
    name_modules_of(config.space.architectures)
    check_exporters(config)
    refuse_noise_in_space(config)
    folder = RunFolder(config.folder)
    with with_record(folder, config) as recorded:
        asked = with_starters(recorded, with_recorded_splits(recorded, config))
    config = with_default_gpus(asked)
    with fork_server(config):
        dataset = load_dataset(config.data)
        if dataset.vectors is not None:
            space = starting_from_vectors(config.space, dataset.vectors.size)
            config = in_narrower_space(config, space)
        plan = SearchPlan(config, folder, dataset, asked_gpus=asked.gpus_per_trial)
        return run_plan(plan, listener or SilentListener())


@dataclass(frozen=True)
class SearchPlan:
    """The trials of a search; see `Plan`."""

    config: SearchConfig
    folder: RunFolder
    dataset: Dataset
    notes: list[str] = field(default_factory=list)
    # Of `--gpus-per-trial`. What follows where it is None depends on the machine, and is not recorded.
    asked_gpus: GpusPerTrial | None = None

    def on_cpus(self) -> "SearchPlan | None":
        """See `Plan`."""
        config = without_default_gpus(self._asked, self.config)
        return None if config is None else replace(self, config=config)

    @property
    def _asked(self) -> SearchConfig:
        return self.config.model_copy(update={"gpus_per_trial": self.asked_gpus})

    @property
    def run(self) -> Run:
        """See `Plan`."""
        return Run(self.folder.path)

    @cached_property
    def code(self) -> dict[str, str]:
        """Digests of the code of the person's own architectures."""
        return code_of(self.config.space.architectures)

    def check(self) -> None:
        """Refuses to continue another search under this name, and a metric that these classes do not have."""
        self.config.space.metric.name.check_classes(len(self.dataset.class_names))
        check_same_search(
            self.folder, self.config, self.dataset.fingerprint, self.code, parts=self._parts
        )
        if self._rotation is not None and self._rotation.count == 1:
            raise ConfigError(
                f"--rotate-validation: no further part of the rows of {self.dataset.name} can be made: the texts and "
                "groups of its training split that are not in its validation split and have at most "
                f"{self._scored_on.count:,} rows each need rows of every class of that split, and half as many rows "
                "in all as it has; leave the option out"
            )

    def finish_if_done(self) -> bool:
        """See `Plan`: whether an earlier session used the budget up.

        Then the run keeps its space and its ensemble, and the notes tell of others that were asked for.
        """
        if not self.folder.journal.is_file():
            return False
        if not self.folder.run_file.is_file():
            self._write_run_file()
        recorded = read_run_file(self.folder).config
        as_searched = replace(self, config=self._as_searched(recorded))
        study = as_searched._open(workers=1)
        finished = len(study.finished_trials())
        if not self.config.is_budget_used(trials=finished, seconds=study.seconds):
            return False
        study.requeue_interrupted_trials()
        reference = reference_in(study.study.user_attrs)
        if reference is None or reference.is_outdated:  # that session was killed before, or older
            as_searched.conclude(study)
        if recorded.no_reference and not self.config.no_reference:
            write_run_file(
                self.folder, as_searched.config, self.dataset.fingerprint, self.code, self._parts
            )
        as_searched.files(study).write()
        remember_place(self.folder, self.config.data)
        self.notes.extend(self._not_done(recorded))
        return True

    def _as_searched(self, recorded: SearchConfig) -> SearchConfig:
        """The recorded settings; a reference that is asked for now can still be trained after the last trial."""
        no_reference = recorded.no_reference and self.config.no_reference
        data = self.config.data
        return recorded.model_copy(update={"no_reference": no_reference, "data": data})

    def _not_done(self, recorded: SearchConfig) -> Iterator[str]:
        """What was asked for, but needs further trials, in words."""
        later = "a larger budget continues the search with it"
        if more := widened(recorded.space, self.config.space):
            yield f"the budget was used up before, so the space does not become wider ({joined(more)}); {later}"
        if recorded.ensemble != self.config.ensemble:
            size = self.config.ensemble or "off"
            where = shlex.quote(str(self.folder.path))
            now = f"tuner export {where} --members trials --ensemble {size}"
            yield (
                f"the budget was used up before, so --ensemble {size} changes nothing; {later}"
                + (
                    f", and {now} averages so many of the kept trials"
                    if self.config.ensemble
                    else ""
                )
            )
        if self.config.no_reference and not recorded.no_reference:
            yield f"the budget was used up before, so --no-reference changes nothing; {later}"

    def open(self, workers: int) -> SearchStudy:
        """The study in the run folder, made with its baselines if it is new."""
        self._write_run_file()
        study = self._open(workers)
        withdraw_comparisons(study.study)
        if (parts := self._scored_on.parts) is not None:
            self.notes.append(
                f"validation rotates over {parts} parts of about {self._scored_on.count:,} rows: a trial is scored on "
                "one and learns from the others, so two scores are mostly of different rows"
            )
        return study

    def _write_run_file(self) -> None:
        write_run_file(
            self.folder, self._asked, self.dataset.fingerprint, self.code, parts=self._parts
        )

    def _open(self, workers: int) -> SearchStudy:
        study = create_or_open_study(
            self.folder.journal,
            self.config.space,
            seed=self.config.seed,
            sampler=self.config.sampler,
            pruner=self.config.pruner,
            max_epochs=self.config.epochs,
            workers=workers,
            objectives=self.config.compared_by,
            starters=self.config.starters.found if self.config.starters is not None else (),
        )
        if study.widened:
            more = joined(study.widened)
            self.notes.append(f"the search goes on in a wider space, with {more}")
        self._scored_on.record(study.study)
        if self.config.ensemble:
            study.ensemble = TrialEnsemble(
                study.study,
                self.folder,
                size=self.config.ensemble,
                labels=self.dataset.splits[Split.CONFIRMATION].labels,
                clusters=self.dataset.clusters_of(Split.CONFIRMATION),
                validation_labels=common_labels(self.config, self.dataset),
                reference=None
                if self.config.no_reference
                else read_reference(self.folder, self.dataset),
            )
        return study

    @cached_property
    def _rotation(self) -> Rotation | None:
        """None where one validation split scores all trials, or trials read no rows."""
        if not self.config.rotate_validation or self.config.trainer is TrainerName.TOY:
            return None
        return Rotation(parts_of(self.dataset), self.dataset.clusters_of(Split.TRAIN))

    @property
    def _scored_on(self) -> ValidationRows:
        return ValidationRows(
            len(self.dataset.splits[Split.VALIDATION]),
            cluster_count(self.dataset.clusters_of(Split.VALIDATION)),
            None if self._rotation is None else self._rotation.count,
        )

    @property
    def _parts(self) -> str | None:
        return None if self._rotation is None else self._rotation.digest

    def task(self) -> Task:
        """Trials learn from the training split and are ranked on the validation split, or from both by turns.

        The models of the ensemble are measured on the confirmation split, which chooses none of them.
        """
        task = make_task(self.config, self.folder, self.dataset)
        if self._rotation is not None:
            task = replace(
                task,
                rotation=self._rotation,
                clusters=self.dataset.clusters_of(Split.VALIDATION),
                fingerprint=f"{task.fingerprint} {self._rotation.digest}",
            )
        if not self.config.ensemble:
            return task
        return replace(
            task,
            held_out=self.dataset.splits[Split.CONFIRMATION],
            metric=self.config.space.metric,
            is_model_required=False,
        )

    @property
    def _has_reference(self) -> bool:
        """Whether the person wants a reference, and trials learn from the data."""
        return not self.config.no_reference and self.config.trainer is not TrainerName.TOY

    def background_training(self, study: SearchStudy) -> BackgroundTraining:
        """Trains the reference."""
        if not self._has_reference:
            return NoBackgroundTraining()
        metric = self.config.space.metric
        learned = learned_by_reference(self.config)
        return ReferenceTraining(
            study.study, study.ensemble, self.folder, self.dataset, metric, learned
        )

    def conclude(self, study: SearchStudy) -> None:
        """Compares the best models with the reference."""
        if not self._has_reference:
            return
        learned = learned_by_reference(self.config)
        reference = trained_reference(study.study, self.folder, self.dataset, learned)
        study.ensemble.take_reference(reference.model)
        metric, models = self.config.space.metric, study.ensemble.probabilities
        measure_reference(study.study, reference, self.dataset, metric, models)
        self.files(study).write()

    def files(self, study: SearchStudy) -> LeaderboardFiles:
        """Leaderboard and curves."""
        return LeaderboardFiles(self.folder, StudyReader(study.study), time.monotonic)


def make_task(config: SearchConfig, folder: RunFolder, dataset: Dataset) -> Task:
    """The task of trials that learn from the training split and are measured on the validation split."""
    checkpoints = checkpoints_of(config, dataset)
    clusters = dataset.clusters_of(Split.VALIDATION)
    task = Task(
        train=dataset.splits[Split.TRAIN],
        validation=dataset.splits[Split.VALIDATION],
        n_classes=len(dataset.class_names),
        trainer=config.trainer,
        cpus=config.cpus_per_trial,
        mps=config.mps,
        logs=str(folder.logs.resolve()),
        checkpoints=checkpoints.place if checkpoints is not None else None,
        vectors=dataset.vectors,
        clusters=None if cluster_count(clusters) is None else clusters,
        fingerprint=dataset.fingerprint
        if config.data.vectors is None
        else f"{dataset.fingerprint} {digest_of(config.data.vectors)}",
        folders=folders_for(config.space.architectures),
        trials_per_process=_TRIALS_PER_PROCESS_ON_A_GPU if config.gpus else None,
    )
    return task.without_data() if config.trainer is TrainerName.TOY else task
