"""Trains the best trials again with fresh seeds and measures them on the split that the search never saw.

A confirmation is a second study in the run's journal, whose trials are all enqueued beforehand. So retries, interrupted
trials and the same command again work as in a search. The models are kept in `finalists/`.
"""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna

from tuner.data import Dataset, Split, load_dataset
from tuner.errors import RunFolderError, UsageError
from tuner.execution.checks import refuse_noise
from tuner.execution.default_gpus import with_default_gpus, without_default_gpus
from tuner.execution.fork_server import fork_server
from tuner.execution.plan import BackgroundTraining, NoBackgroundTraining, SearchOutcome
from tuner.execution.run_files import RunFiles
from tuner.execution.runner import run_plan
from tuner.execution.search import make_task
from tuner.execution.task import Task
from tuner.files import write_bytes_atomically
from tuner.finalists.epochs import best_epochs_on_train, fixed_epochs
from tuner.finalists.ranking import FinalistFiles
from tuner.finalists.reference_of_splits import ReferenceOfBoth
from tuner.finalists.request import Request
from tuner.finalists.trainings import (
    best_distinct,
    configuration_of,
    retire_others,
    settled,
    still_open,
)
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.events import SearchListener
from tuner.run.folder import RunFolder
from tuner.run.journal import CONFIRMATION, mend_end, name_in_space, number_of_space
from tuner.run.records import StudyReader, TrialRecord, contenders, counts_as_finished
from tuner.run.requested_trainings import (
    RequestedTraining,
    record_margin,
    record_request,
    requests,
    with_budget,
)
from tuner.run.run_file import check_same_search, remember_place
from tuner.run.train_on import TrainOn, learned_by_reference, rows_of
from tuner.search.pruner import make_pruner
from tuner.search.study import SearchStudy
from tuner.settings.config import PrunerName, SamplerName, SearchConfig, TrainerName
from tuner.settings.hyperparameters import module_options
from tuner.settings.space import ARCHITECTURE
from tuner.training.own_code import code_of
from tuner.training.spec import derive_seed
from tuner.training.trained_model_file import from_bytes


@dataclass(frozen=True)
class Wanted:
    """A requested training, with its parameters as the search's study names them."""

    training: RequestedTraining
    parameters: Mapping[str, Any]


def run_confirmation(
    run: Run, request: Request, config: SearchConfig, listener: SearchListener
) -> SearchOutcome:
    """Trains the finalists of a run; the same call again continues where it stopped.

    Args:
        config: as `confirmation_config` makes it.

    Raises:
        UsageError: there is nothing to confirm, or its data is not here.
        SearchError: as for a search.
    """
    with fork_server(config):
        return _run(run, request, config, listener)


def _run(
    run: Run, request: Request, config: SearchConfig, listener: SearchListener
) -> SearchOutcome:
    dataset = load_dataset(config.data)
    plan = ConfirmationPlan(with_default_gpus(config), config, run, dataset, request)
    return run_plan(plan, listener)


def wanted_trials(
    reader: StudyReader,
    config: SearchConfig,
    request: Request,
    confirmation: optuna.Study | None = None,
) -> list[Wanted]:
    """The confirmation's trials, the first seed of every finalist before the second of any.

    Args:
        confirmation: the study of earlier ones, whose fresh seeds tell how long finalists train.

    Raises:
        UsageError: no trial of the search has a score.
    """
    records = reader.records()
    finalists = best_distinct(contenders(records, reader.objectives), reader.space, request.top)
    if not finalists:
        raise UsageError("no trial of this run has a score yet; search first")
    finalists = _as_confirmed_before(finalists, records, confirmation)
    trials = reader.study.get_trials(deepcopy=False)
    epochs: dict[int, int | None] = {each.number: None for each in finalists}
    if request.train_on is TrainOn.BOTH:
        for each in finalists:
            fresh = best_epochs_on_train(confirmation, each.number)
            epochs[each.number] = fixed_epochs(each, records, fresh, config.epochs)
    return [
        Wanted(
            RequestedTraining(
                trial=finalist.number,
                seed=_seed(
                    config.seed, request.train_on, epochs[finalist.number], finalist.number, number
                ),
                stop_after=epochs[finalist.number],
                train_on=request.train_on,
            ),
            trials[finalist.number].params,
        )
        for number in range(request.seeds)
        for finalist in finalists
    ]


def _as_confirmed_before(
    finalists: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    confirmation: optuna.Study | None,
) -> list[TrialRecord]:
    """Each finalist under the number that an equal trial was confirmed under, such as its try that was interrupted."""
    if confirmation is None:
        return list(finalists)
    asked = {each.trial for every in requests(confirmation) for each in every}
    before = {configuration_of(each): each for each in records if each.number in asked}
    return [before.get(configuration_of(each), each) for each in finalists]


def _seed(seed: int, train_on: TrainOn, epochs: int | None, finalist: int, number: int) -> int:
    """The seed of a training, and so the name of its file: with another number of epochs it is another training."""
    how = train_on if epochs is None else f"{train_on} for {epochs} epochs"
    return derive_seed(seed, f"confirm {how} {finalist} {number}")


class ConfirmationStudy(SearchStudy):
    """The study while a confirmation runs: every trial has a requested seed and leaves its model."""

    folder: RunFolder

    def seed_of(self, trial: optuna.Trial) -> int:
        """The seed that was requested."""
        return int(trial.user_attrs[Attribute.SEED])

    def stop_after(self, trial: optuna.Trial) -> int | None:
        """The epochs that were requested; None where the best one is chosen on the validation split."""
        epochs = trial.user_attrs.get(Attribute.STOP_AFTER)
        return int(epochs) if epochs is not None else None

    def keep_model(self, trial: optuna.Trial, model: bytes) -> None:
        """Writes the model to the run folder, then its figures to the study."""
        path = self.folder.finalist_model(
            int(trial.user_attrs[Attribute.FINALIST]), self.seed_of(trial)
        )
        figures = from_bytes(model, str(path)).figures
        write_bytes_atomically(path, model)
        trial.set_user_attr(Attribute.HELD_OUT, dataclasses.asdict(figures))


@dataclass(frozen=True)
class ConfirmationPlan:
    """A confirmation, as `tuner.execution.plan.Plan` describes it to the runner."""

    config_here: SearchConfig  # what was asked, after `with_default_gpus`
    asked: SearchConfig
    run: Run
    dataset: Dataset
    request: Request
    notes: Sequence[str] = ()

    @cached_property
    def wanted(self) -> tuple[Wanted, ...]:
        """The requested trainings."""
        found = wanted_trials(self.run.reader, self.asked, self.request, self.run.confirmation)
        return tuple(found)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return self.run.files

    @cached_property
    def code(self) -> dict[str, str]:
        """See `Plan`."""
        return code_of(self.asked.space.architectures)

    @property
    def config(self) -> SearchConfig:
        """The settings, with a budget of the trials that have ended and those that are still to run."""
        study = self.run.confirmation
        ended = 0
        if study is not None:
            ended = sum(map(counts_as_finished, study.get_trials(deepcopy=False)))
        return with_budget(self.config_here, ended + len(self._missing(study)))

    def on_cpus(self) -> "ConfirmationPlan | None":
        """See `Plan`."""
        config = without_default_gpus(self.asked, self.config_here)
        return None if config is None else dataclasses.replace(self, config_here=config)

    def check(self) -> None:
        """Refuses data that is not the search's, a search whose widening was interrupted, and noise on this backend."""
        self.run.reopen_if_replaced()
        # The copy of a machine that went further may have other finalists.
        self.__dict__.pop("wanted", None)
        check_same_search(self.folder, self.asked, self.dataset.fingerprint, self.code)
        if self.run.reader.space.identity() != self.asked.space.identity():
            modules = module_options(self.asked.space.architectures)
            again = f"tuner search --config {shlex.quote(str(self.folder.run_file))}{modules}"
            raise RunFolderError(
                f"{self.folder.path}: its search was interrupted while its space was widened; {again} goes on with "
                "that, then confirm"
            )
        for each in self.wanted:
            refuse_noise(
                self.asked,
                self.asked.space.hyperparameters(
                    str(each.parameters[ARCHITECTURE]), self.asked.space.values(each.parameters)
                ),
                f"{self.folder.path}: trial {each.training.trial}",
            )

    def finish_if_done(self) -> bool:
        """See `Plan`; where nothing is left to train, this request becomes the last one."""
        mend_end(self.folder.journal)
        remember_place(self.folder, self.asked.data)
        study = self.run.confirmation
        if study is None or self._missing(study):
            return False
        record_request(study, self._trainings)
        record_margin(study, self.request.margin)
        if self._reference is not None:
            self._reference.ensure()
        FinalistFiles(self.run, study, self.dataset).write()
        return True

    def open(self, workers: int) -> ConfirmationStudy:
        """The study, with the requested trials waiting in it and no others."""
        mend_end(self.folder.journal)
        inner = self.run.confirmation or optuna.create_study(
            storage=self.run.storage,
            study_name=name_in_space(CONFIRMATION, number_of_space(self.run.study)),
            direction=self.asked.space.metric.direction,
        )
        inner.pruner = make_pruner(PrunerName.NONE, self.asked.epochs, self.asked.space.metric)
        if Attribute.SPACE not in inner.user_attrs:
            inner.set_user_attr(Attribute.SPACE, self.asked.space.to_mapping())
        retire_others(inner, self._trainings)
        is_open = still_open(inner)
        for each in self._missing(inner):
            if each.training not in is_open:
                inner.enqueue_trial(
                    dict(each.parameters), user_attrs=dict(each.training.attributes)
                )
        record_request(inner, self._trainings)
        record_margin(inner, self.request.margin)
        study = ConfirmationStudy(
            inner,
            self.asked.space,
            seed=self.asked.seed,
            sampler=SamplerName.RANDOM,
            workers=workers,
        )
        study.folder = self.folder
        return study

    @property
    def _trainings(self) -> list[RequestedTraining]:
        return [each.training for each in self.wanted]

    def _missing(self, study: optuna.Study | None) -> list[Wanted]:
        """The requested trainings that have to run, or to run again."""
        there = settled(study, self.folder) if study is not None else set()
        return [each for each in self.wanted if each.training not in there]

    def task(self) -> Task:
        """Trains as in the search, or on the validation split as well; measures on the confirmation split."""
        config = self.config_here
        task = make_task(config, self.folder, self.dataset)
        held_out = self.dataset.splits[Split.CONFIRMATION]
        if self.request.train_on is TrainOn.BOTH and config.trainer is not TrainerName.TOY:
            # Nothing is chosen by these figures: the number of epochs is given.
            train = rows_of(self.dataset, TrainOn.BOTH)
            task = dataclasses.replace(task, train=train, validation=held_out, clusters=None)
        return dataclasses.replace(task, held_out=held_out, metric=config.space.metric)

    def background_training(self, study: SearchStudy) -> BackgroundTraining:
        """Trains the linear reference on what the finalists learn from, where the search's learned from less."""
        return self._reference or NoBackgroundTraining()

    def conclude(self, study: SearchStudy) -> None:
        """Has that reference trained where it was not, such as by a session that was killed, and measures with it."""
        if self._reference is not None:
            self._reference.ensure()
            self.files(study).write()

    @property
    def _reference(self) -> ReferenceOfBoth | None:
        is_wanted = self.request.train_on is TrainOn.BOTH
        is_there = learned_by_reference(self.asked) is TrainOn.BOTH
        if not is_wanted or is_there or self.asked.trainer is TrainerName.TOY:
            return None
        return ReferenceOfBoth(self.folder, self.dataset)

    def files(self, study: SearchStudy) -> RunFiles:
        """`finalists.csv`."""
        return FinalistFiles(self.run, study.study, self.dataset)
