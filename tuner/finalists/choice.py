"""The choice of the models to test or export: finalists, their seeds, the search's own trials, the linear reference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.data import Dataset, Split, load_dataset
from tuner.errors import RunFolderError, UsageError
from tuner.finalists.finalist import Finalist, ModelFile
from tuner.finalists.model_choice import MembersOf, ModelChoice
from tuner.finalists.ranking import better_since, confirm_command, read_finalists
from tuner.finalists.reference_of_splits import needed_reference, splits_of
from tuner.finalists.seed_average import SeedAverage, average_of
from tuner.run import Run
from tuner.run.ended_trainings import confirmed
from tuner.run.ensemble import NO_MODELS, EnsembleRecord, EnsembleWithReference
from tuner.run.evaluations import LINEAR_REFERENCE, member_name
from tuner.run.records import TrialRecord
from tuner.run.requested_trainings import requests
from tuner.run.run_file import remember_place
from tuner.run.train_on import TrainOn, learned_by_reference
from tuner.search.ensemble import left_out, measured
from tuner.search.kept_models import CHOSEN_FROM, common_labels, kept_models, members_of
from tuner.search.kept_reference import read_reference
from tuner.search.reference_member import measured_with
from tuner.settings.config import SearchConfig, TrainerName
from tuner.text import count_text
from tuner.training.evaluation import mean_probabilities
from tuner.training.own_modules import check_named
from tuner.training.spec import TrainedModel
from tuner.training.statistics import HeldOutRows, Spread, sequence_scores


@dataclass(frozen=True, eq=False)
class ChosenReference:
    """The linear reference as one of the models."""

    model: TrainedModel
    train_on: TrainOn  # the splits that it learned from
    weight: float  # its part of the average; the others have the rest. 1 where it is alone


@dataclass(frozen=True)
class ChosenTrials:
    """The best trials of a search whose weights were kept."""

    members: Sequence[tuple[TrialRecord, ModelFile]]  # best first
    ensemble: EnsembleRecord  # their figures, measured again


@dataclass(frozen=True)
class Chosen:
    """A run, its data, and those of its finalists or trials that make a model; or its linear reference."""

    run: Run
    config: SearchConfig
    dataset: Dataset
    finalists: Sequence[Finalist]  # none where others were chosen
    choice: ModelChoice  # that names them
    train_on: TrainOn = TrainOn.TRAIN  # the splits that they learned from
    better_since: TrialRecord | None = None  # that the search has found since, not confirmed
    trials: ChosenTrials | None = None
    reference: ChosenReference | None = None  # None where it takes no part
    # Of finalists where the reference was asked for: what it adds. Of trials, their ensemble has that.
    together: EnsembleWithReference | None = None

    @property
    def members(self) -> Sequence[tuple[TrialRecord, ModelFile]]:
        """The models that are averaged, with the trials of the search that they come from.

        Of each finalist, the seed that was best on the confirmation split, or all seeds.
        """
        if self.trials is not None:
            return self.trials.members
        count = None if self.choice.members is MembersOf.SEEDS else 1
        return [(each.record, member) for each in self.finalists for member in each.members[:count]]

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

    @property
    def gains(self) -> list[str]:
        """What averaging the finalists' seeds is worth, and the linear reference with them, in words."""
        gains = [] if self.average is None else [self.average.text]
        if self.together is not None:
            left_out = "" if self.together.weight else ", so it is left out"
            gains.append(f"{self.together.text}{left_out}")
        return gains

    @property
    def gains_text(self) -> str | None:
        """`On the confirmation split: …`; None where nothing is averaged but the best seeds of finalists."""
        if not self.gains:
            return None
        remark = ""
        if self.together is not None and self.together.weight:
            remark = (
                ". That split also chose the models, so their own score is a little too good and this gain a little "
                "too small."
            )
        return f"On the confirmation split: {'; '.join(self.gains)}{remark}"

    @property
    def of_reference(self) -> Spread | None:
        """The score of the linear reference on the confirmation split, where it is the only model."""
        if self.reference is None or self.members:
            return None
        held_out = Split.CONFIRMATION
        labels, clusters = (
            self.dataset.splits[held_out].labels,
            self.dataset.clusters_of(held_out),
        )
        rows = HeldOutRows(self.config.space.metric, labels, clusters)
        return rows.spread_of(self.reference.model.probabilities)


def load_chosen(
    run: Run, choice: ModelChoice, data: str | None = None, vectors: str | None = None
) -> Chosen:
    """The finalists or trials that `choice` names, of a run, or its linear reference.

    Args:
        data: where the data that was searched on lies now, if it was moved; recorded.
        vectors: the same of its word vectors.

    Raises:
        UsageError: its data has changed, it has fewer, or one of them is code that the person has not named.
    """
    _check_alone(choice)
    config = run.recorded.config
    if config.trainer is TrainerName.TOY:
        raise RunFolderError(f"{run.folder}: this run was a rehearsal, its trials trained nothing")
    confirmation = run.confirmation
    has_finalists = confirmation is not None and bool(requests(confirmation))
    is_trials = choice.members is MembersOf.TRIALS or (
        choice.members is None and not has_finalists and _has_models(run)
    )
    if is_trials and not _has_models(run):
        raise RunFolderError(f"{run.files.path}: {NO_MODELS}; {confirm_command(run)}")
    config = config.model_copy(update={"data": run.recorded.located_data(data, vectors)})
    dataset = load_dataset(config.data.without_vectors)
    run.recorded.check_same_data(config.data.source, dataset.fingerprint)
    check_threshold(choice.threshold, len(dataset.class_names))
    remember_place(run.files, config.data)
    if choice.members is MembersOf.REFERENCE:
        reference = ChosenReference(*needed_reference(run, dataset), weight=1.0)
        return Chosen(run, config, dataset, (), choice, reference=reference)
    if is_trials:
        trials, with_them = chosen_trials(run, dataset, choice)
        check_named((record.architecture for record, _ in trials.members), run.folder)
        return Chosen(run, config, dataset, (), choice, trials=trials, reference=with_them)
    finalists = chosen_finalists(read_finalists(run, dataset), choice)
    check_named((each.record.architecture for each in finalists), run.folder)
    assert run.confirmation is not None  # or there would be no finalists
    train_on = splits_of(confirmed(run.confirmation))
    chosen = Chosen(run, config, dataset, finalists, choice, train_on, better_since(run))
    return _with_reference(chosen) if choice.with_reference else chosen


def _check_alone(choice: ModelChoice) -> None:
    """Refuses settings that choose among several models, where the linear reference alone was asked for.

    Raises:
        UsageError: one was given.
    """
    if choice.members is not MembersOf.REFERENCE:
        return
    if choice.finalist != 1:
        setting, meaning = "finalist", f"names one of the finalists, got {choice.finalist}"
    elif choice.ensemble is not None:
        setting, meaning = "ensemble", f"is a number of finalists or trials, got {choice.ensemble}"
    elif choice.with_reference:
        setting, meaning = "with_reference", "adds it to finalists or trials"
    else:
        return
    raise UsageError.of(
        setting, f"{meaning}, but the linear reference alone was asked for; leave it out"
    )


def _with_reference(chosen: Chosen) -> Chosen:
    """The same finalists together with the linear reference, where that has a lower loss."""
    held_out = Split.CONFIRMATION
    kept = needed_reference(chosen.run, chosen.dataset, chosen.train_on)
    together = measured_with(
        mean_probabilities([member.probabilities for _, member in chosen.members]),
        kept[0],
        chosen.dataset.splits[held_out].labels,
        chosen.dataset.clusters_of(held_out),
        chosen.config.space.metric,
    )
    return replace(chosen, together=together, reference=_member(kept, together, chosen.choice))


def _member(
    kept: tuple[TrainedModel | None, TrainOn],
    together: EnsembleWithReference | None,
    choice: ModelChoice,
) -> ChosenReference | None:
    """The reference with the part that it was measured to have; None without one.

    Raises:
        UsageError: it was asked for, and its part cannot be measured.
    """
    if choice.with_reference and together is None:
        raise UsageError.of(
            "with_reference",
            "its part is chosen on two halves of the confirmation split by texts or groups, and all "
            "rows there are of one; leave it out",
        )
    model, train_on = kept
    if model is None or together is None or not together.weight:
        return None
    return ChosenReference(model, train_on, together.weight)


def chosen_trials(
    run: Run, dataset: Dataset, choice: ModelChoice
) -> tuple[ChosenTrials, ChosenReference | None]:
    """The best trials of the search whose weights were kept, and the linear reference where it is better with them.

    A number of models that was asked for is one of trials, and they are all, unless the reference was asked for, too.

    Raises:
        UsageError: there are not so many, or none, or no reference that was asked for.
    """
    if choice.finalist != 1:
        raise UsageError.of(
            "finalist",
            f"names one of the finalists, got {choice.finalist}, but trials were asked for; leave it out",
        )
    labels = dataset.splits[Split.CONFIRMATION].labels
    n_files = len(list(run.files.trial_models.glob("trial-*.npz")))
    searched = run.reader.ensemble
    # That of an earlier session, where the last one averages none.
    recorded = len(searched.members) if searched is not None else n_files
    size = choice.ensemble or run.recorded.config.ensemble or recorded
    every, lost = kept_models(run.reader, run.files, CHOSEN_FROM * size, labels)
    config = run.recorded.config
    kept = members_of(every, size, common_labels(config, dataset))
    where = run.files.path
    if not kept:
        raise RunFolderError(
            f"{run.files.trial_models}: holds no model of an ended trial; {confirm_command(run)}"
        )
    if choice.ensemble is not None and len(kept) < choice.ensemble:
        raise UsageError.of(
            "ensemble",
            f"{where} has the weights of {count_text(len(kept), 'trial')}, got {choice.ensemble}; ask for as many or "
            "fewer",
        )
    records = {record.number: record for record in run.reader.records()}
    metric = run.space.metric
    members = []
    for each in kept:
        record = records[each.trial]
        score = float(sequence_scores(metric.name, each.probabilities, labels).mean())
        member = ModelFile(record.seed or 0, run.files.trial_model(each.trial), score, each.score)
        members.append((record, member))
    clusters = dataset.clusters_of(Split.CONFIRMATION)
    takes_part = choice.ensemble is None and searched is not None and searched.has_reference
    reference = read_reference(run.files, dataset) if takes_part else None
    if choice.with_reference:
        reference, _ = needed_reference(run, dataset)
    without = left_out(every, lost, size)
    ensemble = measured(kept, without, labels, clusters, metric, reference)
    return ChosenTrials(members, ensemble), _member(
        (reference, learned_by_reference(config)), ensemble.with_reference, choice
    )


def chosen_finalists(finalists: Sequence[Finalist], choice: ModelChoice) -> list[Finalist]:
    """The finalists that `choice` names.

    Raises:
        UsageError: there are not so many.
    """
    count = 1 if choice.ensemble is None else choice.ensemble
    first, last = choice.finalist, choice.finalist + count - 1
    if last > len(finalists):
        setting = "ensemble" if count > 1 else "finalist"
        raise UsageError.of(
            setting,
            f"this run has {count_text(len(finalists), 'finalist')}, got {count_text(count, 'finalist')} from rank "
            f"{choice.finalist} on; ask for some of them, or confirm more",
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
        raise UsageError.of(
            "threshold",
            f"decides between two classes, got {threshold}, and this run has {n_classes}; leave it out",
        )
