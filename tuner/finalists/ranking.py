"""The finalists of a run in order, and `finalists.csv`, from the journal and the models of a confirmation.

Must not import Ray, Keras or TensorFlow.
"""

import shlex
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray

from tuner.data import Dataset, Split, cluster_count
from tuner.errors import RunFolderError
from tuner.execution.run_files import RunFiles
from tuner.finalists.finalist import Finalist, ModelFile, finalists_of
from tuner.finalists.gap import Gap
from tuner.finalists.reference_gain import ReferenceGain, ReferenceRows, reference_rows
from tuner.finalists.reference_of_splits import splits_of
from tuner.finalists.seed_average import SeedAverage, average_of
from tuner.finalists.trainings import (
    as_in_last_tries,
    best_distinct,
    configuration_of,
)
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.csv_text import write_csv
from tuner.run.ended_trainings import Failure, confirmed, ended_trials, failures
from tuner.run.finalists_file import FinalistRow, frame_of
from tuner.run.folder import RunFolder
from tuner.run.records import StudyReader, TrialRecord, contenders
from tuner.run.reference_record import Comparison
from tuner.run.requested_trainings import (
    RequestedTraining,
    last_request,
    margin_of,
    requests,
)
from tuner.run.score_errors import ValidationRows
from tuner.run.train_on import TrainOn
from tuner.search.kept_reference import read_probabilities
from tuner.settings.hyperparameters import module_options
from tuner.settings.metric import Metric
from tuner.settings.space import SearchSpace
from tuner.training.row_clusters import by_cluster
from tuner.training.statistics import HeldOutRows, deciding_in, gain_of, sequence_scores


def read_finalists(run: Run, dataset: Dataset) -> list[Finalist]:
    """The finalists of a run, best first by their mean on the confirmation split.

    They are those of the last confirmation that has ended, even while another one runs.

    Raises:
        RunFolderError: there are none yet, or a model is missing.
    """
    folder, confirmation = run.files, _confirmation(run)
    confirm = confirm_command(run)
    trainings, asked = confirmed(confirmation), requests(confirmation)
    if not asked:
        raise RunFolderError(_no_finalists(run))
    if not trainings:
        last, ended = asked[-1], ended_trials(confirmation)
        done = sum(each in ended for each in last)
        raise RunFolderError(
            f"{folder.path}: its confirmation is not finished ({done} of {len(last)} trainings); the same `tuner "
            "confirm` goes on, one with fewer --seeds or --top ends sooner"
        )
    finalists = ranked_finalists(run.reader, confirmation, folder, dataset, trainings)
    if not finalists:
        raise RunFolderError(f"{folder.path}: no finalist has a model; {confirm}")
    return finalists


def read_failures(run: Run) -> list[Failure]:
    """The finalists of the last confirmation with fewer models than requested, and the reason.

    Raises:
        RunFolderError: there was no confirmation yet.
    """
    return failures(_confirmation(run), run.files)


def better_since(run: Run) -> TrialRecord | None:
    """The trial that a confirmation would take first now, where the last one did not take an equal one; else None.

    Raises:
        RunFolderError: there was no confirmation yet.
    """
    asked = {training.trial for training in confirmed(_confirmation(run))}
    records = run.reader.records()
    taken = {configuration_of(each) for each in records if each.number in asked}
    best = best_distinct(contenders(records, run.objectives), run.space, 1)
    return best[0] if best and configuration_of(best[0]) not in taken else None


def _confirmation(run: Run) -> optuna.Study:
    confirmation = run.confirmation
    if confirmation is None:
        raise RunFolderError(_no_finalists(run))
    return confirmation


def confirm_command(run: Run) -> str:
    """The command that confirms a run."""
    modules = module_options(run.space.architectures)
    return f"tuner confirm {shlex.quote(str(run.folder))}{modules}"


def _no_finalists(run: Run) -> str:
    if run.best is None and run.files.reference.is_file():
        advice = "--members reference takes the linear reference"
        return f"{run.folder}: no finalists yet, and no trial to confirm; {advice}"
    return f"{run.folder}: no finalists yet; {confirm_command(run)}"


def ranked_finalists(
    search: StudyReader,
    confirmation: optuna.Study,
    folder: RunFolder,
    dataset: Dataset,
    trainings: Collection[RequestedTraining],
) -> list[Finalist]:
    """Best first, by the mean over their seeds; equal ones by the search's order.

    Args:
        trainings: those that count, where they left a model.
    """
    metric = search.space.metric
    ended = ended_trials(confirmation)
    # Where validation rotates, the search scored a finalist on other rows than its fresh seeds.
    is_fixed = ValidationRows.of(search.study.user_attrs).parts is None
    members: dict[int, list[ModelFile]] = defaultdict(list)  # by finalist
    for training in trainings:
        figures = ended[training].user_attrs.get(Attribute.HELD_OUT) if training in ended else None
        file = folder.finalist_model(training.trial, training.seed)
        if figures is not None and file.is_file():  # else `tuner confirm` trains it again
            score = figures[metric.name.plain_name]
            validated = None
            if training.train_on is TrainOn.TRAIN and is_fixed:
                validated = search.record(ended[training]).score
            members[training.trial].append(ModelFile(training.seed, file, score, validated))
    on_validation = dataset.clusters_of(Split.VALIDATION)
    clusters = dataset.clusters_of(Split.CONFIRMATION)
    return rank(
        [
            (record, members[record.number])
            for record in as_in_last_tries(search.records())
            if record.number in members
        ],
        HeldOutRows(metric, dataset.splits[Split.CONFIRMATION].labels, clusters),
        margin=margin_of(confirmation),
        n_validation=len(
            on_validation if cluster_count(clusters) == 1 else np.unique(on_validation)
        ),
        reference=reference_rows(folder, dataset, metric, splits_of(trainings)),
    )


def rank(
    trained: Iterable[tuple[TrialRecord, Sequence[ModelFile]]],
    rows: HeldOutRows,
    *,
    margin: float,
    n_validation: int,
    reference: ReferenceRows | None = None,
) -> list[Finalist]:
    """Best first, by the mean over their seeds; equal ones by the search's order.

    Args:
        trained: the search's trials, with their models.
        rows: the confirmation split.
        reference: the linear one on the same rows.
        margin, n_validation: as in `finalists_of`.
    """
    metric, labels, clusters = rows.metric, rows.labels, rows.clusters
    ordered = [
        (record, tuple(sorted(members, key=lambda each: (metric.as_cost(each.score), each.seed))))
        for record, members in trained
    ]
    finalists = finalists_of(
        [
            (record, members, np.stack([rows.scores_of(each.probabilities) for each in members]))
            for record, members in ordered
        ],
        metric,
        margin,
        n_validation=n_validation,
        deciding=deciding_in(metric.name, labels, clusters),
    )
    return [
        replace(
            each,
            average=average_of(_probabilities(each), labels, clusters, metric),
            clusters=rows.n_clusters,
            reference=reference,
        )
        for each in finalists
    ]


def _probabilities(finalist: Finalist) -> list[NDArray[np.float32]]:
    return [member.probabilities for member in finalist.members]


def compared_with_reference(
    finalist: Finalist, folder: RunFolder, dataset: Dataset, metric: Metric
) -> Comparison | None:
    """A finalist, all its seeds, against the linear reference of the same splits, corrected for selection bias.

    None where the reference was not measured.
    """
    labels = dataset.splits[Split.CONFIRMATION].labels
    if finalist.reference is not None:
        kept: NDArray[np.float32] | None = finalist.reference.probabilities
    else:
        kept = read_probabilities(folder, dataset)
    if kept is None:
        return None
    of_reference = sequence_scores(metric.name, kept, labels)
    clusters = dataset.clusters_of(Split.CONFIRMATION)
    of_reference = by_cluster(of_reference, clusters)
    gain = gain_of(
        finalist.scores,
        of_reference,
        metric,
        seeds=finalist.seeds,
        excess=finalist.selection_bias,
        deciding=deciding_in(metric.name, labels, clusters),
    )
    name = f"trial {finalist.record.number}"
    return Comparison(name=name, gain=gain.mean, low=gain.low, high=gain.high)


def finalists_frame(finalists: Sequence[Finalist], space: SearchSpace) -> pd.DataFrame:
    """The content of `finalists.csv`, best first."""
    rows = finalist_rows(finalists)
    return frame_of(rows, [each.record.parameters for each in finalists], space.parameter_names)


def finalist_rows(finalists: Sequence[Finalist]) -> list[FinalistRow]:
    """The rows of `finalists.csv` without the parameters, best first."""
    return [
        FinalistRow(
            rank=rank,
            trial=each.record.number,
            architecture=each.record.architecture,
            seeds=len(each.members),
            mean=round(each.spread.mean, 6),
            deviation=None if each.spread.deviation is None else round(each.spread.deviation, 6),
            low=round(each.spread.low, 6),
            high=round(each.spread.high, 6),
            search_score=each.search_score,
            optimism=round(each.gap.whole.value, 6),
            tie_with_best=rank > 1 and each.may_be_best,
            worse_at_least=None if each.deficit is None else round(each.deficit.at_least, 6),
            worse_at_most=None if each.deficit is None else round(each.deficit.at_most, 6),
            recommended=each.is_recommended,
            selection_bias=round(each.selection_bias, 6) if rank == 1 else None,
            gap_error=round(each.gap.whole.error, 6),
            **_split(each.gap),
            **_averaged(each.average),
            clusters=each.clusters,
            **_with_reference(each.with_reference),
        )
        for rank, each in enumerate(finalists, start=1)
    ]


def _split(gap: Gap) -> dict[str, float]:
    """The columns of the gap's two parts; none where it is not split."""
    if gap.of_selection is None or gap.of_rows is None:
        return {}
    return {
        "gap_of_selection": round(gap.of_selection.value, 6),
        "gap_of_selection_error": round(gap.of_selection.error, 6),
        "gap_of_rows": round(gap.of_rows.value, 6),
        "gap_of_rows_error": round(gap.of_rows.error, 6),
    }


def _averaged(average: SeedAverage | None) -> dict[str, float]:
    """The columns of all seeds averaged; none of a single one."""
    if average is None:
        return {}
    return {
        "averaged": round(average.score, 6),
        "averaged_gain": round(average.gain.mean, 6),
        "averaged_gain_low": round(average.gain.low, 6),
        "averaged_gain_high": round(average.gain.high, 6),
    }


def _with_reference(found: ReferenceGain | None) -> dict[str, float]:
    """The columns of the linear reference as a member; none where it adds nothing."""
    if found is None:
        return {}
    return {
        "with_reference": round(found.score, 6),
        "with_reference_gain": round(found.gain.mean, 6),
        "with_reference_gain_low": round(found.gain.low, 6),
        "with_reference_gain_high": round(found.gain.high, 6),
        "reference_weight": found.weight,
    }


class FinalistFiles(RunFiles):
    """Keeps `finalists.csv` up to date while a confirmation runs."""

    def __init__(
        self,
        run: Run,
        confirmation: optuna.Study,
        dataset: Dataset,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self._run = run
        self._confirmation = confirmation
        self._dataset = dataset

    def _write(self) -> None:
        search, study, folder = self._run.reader, self._confirmation, self._run.files
        # The finalists that `tuner test` and `tuner export` would take; before there are any, those trained so far.
        trainings = confirmed(study) or last_request(study)
        finalists = ranked_finalists(search, study, folder, self._dataset, trainings)
        write_csv(finalists_frame(finalists, search.space), folder.finalists)
