"""The choice of the models to test or export: finalists, all their seeds, or the search's own trials."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.data import Dataset, Split, load_dataset
from tuner.errors import RunFolderError, UsageError
from tuner.finalists.finalist import Finalist, Member
from tuner.finalists.model_choice import ModelChoice
from tuner.finalists.ranking import better_since, read_finalists
from tuner.finalists.seed_average import SeedAverage, average_of
from tuner.run import Run
from tuner.run.ensemble import NO_MODELS, EnsembleRecord, MembersOf
from tuner.run.evaluations import LINEAR_REFERENCE, member_name
from tuner.run.records import TrialRecord
from tuner.run.requested_trainings import requests
from tuner.run.run_file import remember_place
from tuner.search.ensemble import kept_models, measured
from tuner.search.reference import read_reference
from tuner.settings.config import SearchConfig, TrainerName
from tuner.text import count_text
from tuner.training.own_modules import check_named
from tuner.training.spec import TrainedModel
from tuner.training.statistics import sequence_scores


@dataclass(frozen=True, eq=False)
class ChosenReference:
    """The linear reference as a member of the average."""

    model: TrainedModel
    weight: float  # its part of the average; the others have the rest


@dataclass(frozen=True)
class ChosenTrials:
    """The best trials of a search whose weights were kept."""

    members: Sequence[tuple[TrialRecord, Member]]  # best first
    ensemble: EnsembleRecord  # their figures, measured again
    reference: ChosenReference | None = None  # None where it takes no part


@dataclass(frozen=True)
class Chosen:
    """A run, its data, and those of its finalists or trials that make a model."""

    run: Run
    config: SearchConfig
    dataset: Dataset
    finalists: Sequence[Finalist]  # none where trials were chosen
    choice: ModelChoice  # that names them
    better_since: TrialRecord | None  # a trial that the search has found since, not confirmed
    trials: ChosenTrials | None = None

    @property
    def members(self) -> Sequence[tuple[TrialRecord, Member]]:
        """The models that are averaged, with the trials of the search that they come from.

        Of each finalist, the seed that was best on the confirmation split, or all seeds.
        """
        if self.trials is not None:
            return self.trials.members
        count = None if self.choice.members is MembersOf.SEEDS else 1
        return [(each.record, member) for each in self.finalists for member in each.members[:count]]

    @property
    def reference(self) -> ChosenReference | None:
        """The linear reference, where it is averaged with them."""
        return None if self.trials is None else self.trials.reference

    @property
    def member_names(self) -> tuple[str, ...]:
        """The names of all these models in the test log."""
        names = [member_name(record.number, member.seed) for record, member in self.members]
        return (*names, *([LINEAR_REFERENCE] if self.reference is not None else []))

    @property
    def average(self) -> SeedAverage | None:
        """What averaging all seeds of these finalists is worth; None where not all were chosen, or there is one."""
        if self.choice.members is not MembersOf.SEEDS:
            return None
        held_out = Split.CONFIRMATION
        return average_of(
            [member.probabilities for _, member in self.members],
            self.dataset.splits[held_out].labels,
            self.dataset.clusters_of(held_out),
            self.config.space.metric,
        )


def load_chosen(run: Run, choice: ModelChoice, data: str | None = None) -> Chosen:
    """The finalists or trials that `choice` names, of a run.

    Args:
        data: where the data that was searched on lies now, if it was moved; recorded.

    Raises:
        UsageError: its data has changed, it has fewer, or one of them is code that the person has not named.
    """
    config = run.recorded.config
    if config.trainer is TrainerName.TOY:
        raise RunFolderError(f"{run.folder}: this run was a rehearsal, its trials trained nothing")
    confirmation = run.confirmation
    has_finalists = confirmation is not None and bool(requests(confirmation))
    is_trials = choice.members is MembersOf.TRIALS or (
        choice.members is None and not has_finalists and _has_models(run)
    )
    if is_trials and not _has_models(run):
        where = run.files.path
        raise RunFolderError(f"{where}: {NO_MODELS}; tuner confirm {shlex.quote(str(where))}")
    config = config.model_copy(update={"data": run.recorded.located_data(data)})
    dataset = load_dataset(config.data.without_vectors)
    run.recorded.check_same_data(config.data.source, dataset.fingerprint)
    check_threshold(choice.threshold, len(dataset.class_names))
    remember_place(run.files, config.data.source)
    if is_trials:
        trials = chosen_trials(run, dataset, choice)
        check_named((record.architecture for record, _ in trials.members), run.folder)
        return Chosen(run, config, dataset, (), choice, better_since=None, trials=trials)
    chosen = chosen_finalists(read_finalists(run, dataset), choice)
    check_named((each.record.architecture for each in chosen), run.folder)
    return Chosen(run, config, dataset, chosen, choice, better_since(run))


def chosen_trials(run: Run, dataset: Dataset, choice: ModelChoice) -> ChosenTrials:
    """The best trials of the search whose weights were kept, and the linear reference where it is better with them.

    A number of models that was asked for is one of trials, and they are all.

    Raises:
        UsageError: there are not so many, or none.
    """
    if choice.finalist != 1:
        raise UsageError(
            f"finalist {choice.finalist}: names one of the finalists, but trials were asked for; leave it out"
        )
    labels = dataset.splits[Split.CONFIRMATION].labels
    n_files = len(list(run.files.trial_models.glob("trial-*.npz")))
    size = choice.ensemble or run.recorded.config.ensemble or n_files
    kept, lost = kept_models(run.reader, run.files, size, labels)
    where = run.files.path
    if not kept:
        confirm = f"tuner confirm {shlex.quote(str(where))}"
        raise RunFolderError(
            f"{run.files.trial_models}: holds no model of an ended trial; {confirm}"
        )
    if choice.ensemble is not None and len(kept) < choice.ensemble:
        raise UsageError(
            f"ensemble {choice.ensemble}: {where} has the weights of {count_text(len(kept), 'trial')}; ask for as "
            "many or fewer"
        )
    records = {record.number: record for record in run.reader.records()}
    metric = run.space.metric
    members = []
    for each in kept:
        record = records[each.trial]
        score = float(sequence_scores(metric.name, each.probabilities, labels).mean())
        member = Member(record.seed or 0, run.files.trial_model(each.trial), score, each.score)
        members.append((record, member))
    clusters = dataset.clusters_of(Split.CONFIRMATION)
    searched = run.reader.ensemble
    takes_part = choice.ensemble is None and searched is not None and searched.has_reference
    reference = read_reference(run.files, dataset) if takes_part else None
    ensemble = measured(kept, lost, size, labels, clusters, metric, reference)
    found = ensemble.with_reference
    if reference is None or found is None or not found.weight:
        return ChosenTrials(members, ensemble)
    return ChosenTrials(members, ensemble, ChosenReference(reference, found.weight))


def chosen_finalists(finalists: Sequence[Finalist], choice: ModelChoice) -> list[Finalist]:
    """The finalists that `choice` names.

    Raises:
        UsageError: there are not so many.
    """
    count = 1 if choice.ensemble is None else choice.ensemble
    first, last = choice.finalist, choice.finalist + count - 1
    if last > len(finalists):
        raise UsageError(
            f"finalist {choice.finalist}, ensemble {count}: this run has "
            f"{count_text(len(finalists), 'finalist')}; ask for some of them, or confirm more"
        )
    return list(finalists[first - 1 : last])


def _has_models(run: Run) -> bool:
    return any(run.files.trial_models.glob("trial-*.npz"))


def check_threshold(threshold: float | None, n_classes: int) -> None:
    """Refuses a threshold that decides nothing.

    Raises:
        UsageError: there are not two classes.
    """
    if threshold is not None and n_classes != 2:
        raise UsageError(
            f"threshold {threshold}: decides between two classes, and this run has {n_classes}; leave it out"
        )
