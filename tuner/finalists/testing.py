"""Test evaluation: measures finalists on sequences that no part of the run has seen.

Every evaluation is recorded in the test log, because a split tests no model that was chosen by its figures.
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.data import cluster_count, read_rows, text_digests
from tuner.errors import ConfigError
from tuner.export.classifier import Classifier
from tuner.finalists.choice import Chosen
from tuner.finalists.export import export_model
from tuner.finalists.reference_of_splits import reference_for
from tuner.finalists.unseen import UnseenRows, unseen_of_file, unseen_of_split
from tuner.run.copies import record_evaluations
from tuner.run.evaluations import (
    LINEAR_REFERENCE,
    TEST_SPLIT,
    ClassFigures,
    EvaluationFigures,
    RecordedEvaluation,
    ReferenceFigures,
    append_evaluation,
    check_recordable,
    member_name,
    read_test_log,
)
from tuner.run.ledger import Ledger, make_entry
from tuner.run.train_on import TrainOn, learned_by_reference, rows_of
from tuner.search.kept_reference import reference_for_other_rows
from tuner.settings.data import DataConfig, absolute_source
from tuner.settings.metric import Metric, MetricName
from tuner.text import one_line
from tuner.training.confusion import Confusion
from tuner.training.probabilities import brier_score, expected_calibration_error, roc_auc
from tuner.training.row_clusters import by_cluster
from tuner.training.statistics import gain_of, sequence_scores, spread_of
from tuner.training.threshold import EVEN, classes_of


def evaluate_test(
    chosen: Chosen, data: DataConfig | None = None, *, with_reference: bool = True
) -> RecordedEvaluation:
    """Measures the model that `tuner export` would write of these finalists, and records it in the test log.

    Args:
        data: labelled rows to measure on instead of the test split; columns that it does not name are the run's,
            where the file has them.
        with_reference: whether to measure the linear reference, too; where the search kept none it is trained, in
            seconds. It is never compared with itself.

    Rows that the run has seen are left out, also of its own test split.

    Raises:
        DataError: the rows cannot be read, have a class that the model does not know, or were all seen.
        RunFolderError: the test log is damaged, or may not be written.
    """
    folder, dataset = chosen.run.files, chosen.dataset
    earlier = read_test_log(folder)  # refuses a damaged log before anything is measured
    digests = text_digests(chosen.config.data)
    rows = (
        unseen_of_split(dataset, digests)
        if data is None
        else unseen_of_file(read_rows(data, earlier=chosen.config.data), dataset, digests)
    )
    check_recordable(folder)
    with tempfile.TemporaryDirectory() as temporary:
        classifier = Classifier(export_model(chosen, Path(temporary) / "model"))
        probabilities = classifier.probabilities_of(rows.sequences)
        threshold = classifier.description.threshold
    ledger = Ledger.of_user()
    entry = make_entry(
        chosen.run.name,
        chosen.run.recorded.created,
        datetime.now(UTC).isoformat(timespec="seconds"),
        rows.digests,
    )
    others = ledger.of_other_runs(entry, own=[each.opened for each in earlier])
    evaluation = RecordedEvaluation(
        opened=entry.opened,
        data=TEST_SPLIT if data is None else absolute_source(data.source),
        members=tuple(
            LINEAR_REFERENCE if member.is_reference else member_name(member.trial, member.seed)
            for member in classifier.description.members
        ),
        figures=figures_of(
            probabilities, rows.labels, dataset.class_names, rows.clusters, threshold=threshold
        ),
        threshold=None if threshold == EVEN else threshold,
        left_out=rows.left_out,
        of_test_split=rows.of_test_split,
        others=others or None,
        reference=_reference(chosen, rows, probabilities, threshold)
        if with_reference and chosen.members
        else None,
    )
    evaluation = append_evaluation(folder, evaluation)
    ledger.record(entry)
    return evaluation


def record_in_copy(chosen: Chosen) -> str | None:
    """Records the test evaluations in the run's copy in storage, if it has one; why that failed."""
    try:
        record_evaluations(chosen.run.files, chosen.config)
    except (ConfigError, OSError) as cause:
        return one_line(str(cause))
    return None


def _reference(
    chosen: Chosen, rows: UnseenRows, probabilities: NDArray[np.float32], threshold: float
) -> ReferenceFigures:
    """The linear reference on the same rows, and by how much the model is more often right than it.

    Both decide at 0.5: a threshold that is chosen for another metric costs accuracy, and the reference has none.

    Args:
        threshold: the model's.
    """
    of_search = learned_by_reference(chosen.config)
    kept, learned_from = reference_for(chosen.run.files, chosen.dataset, chosen.train_on, of_search)
    if kept is None or not kept.weights:
        # It is trained now.
        learned_from = of_search if chosen.train_on is TrainOn.TRAIN else chosen.train_on
    learned = rows_of(chosen.dataset, learned_from)
    reference = reference_for_other_rows(kept, learned, chosen.dataset)
    of_reference = reference.probabilities_of(rows.sequences)
    predicted = classes_of(probabilities), classes_of(of_reference)
    of_both = np.stack([each == rows.labels for each in predicted]).astype(np.float64)
    of_model, right = by_cluster(of_both, rows.clusters)
    gain = gain_of(of_model, right, Metric())
    return ReferenceFigures(
        accuracy=float(right.mean()),
        gain=gain.mean,
        low=gain.low,
        high=gain.high,
        ignores_threshold=threshold != EVEN,
    )


def figures_of(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int32],
    class_names: Sequence[str],
    clusters: NDArray[np.int64] | None = None,
    *,
    threshold: float = EVEN,
) -> EvaluationFigures:
    """The figures of `(n, n_classes)` probabilities against `(n,)` labels, of sequences in `(n,)` clusters.

    Args:
        clusters: without them, each sequence is evidence of its own.
        threshold: of two classes, see `classes_of`.
    """
    count = len(class_names)
    predicted = classes_of(probabilities, threshold)
    confusion = Confusion.of(labels, predicted, count)
    hits = (predicted == labels).astype(np.float64)[None]
    accuracy = spread_of(hits if clusters is None else by_cluster(hits, clusters))
    both = count == 2 and 0 < int((labels == 1).sum()) < len(labels)
    return EvaluationFigures(
        sequences=len(labels),
        clusters=None if clusters is None else cluster_count(clusters),
        accuracy=accuracy.mean,
        low=accuracy.low,
        high=accuracy.high,
        loss=float(sequence_scores(MetricName.VAL_LOSS, probabilities, labels).mean()),
        roc_auc=roc_auc(probabilities[:, 1], labels == 1) if both else None,
        macro_f1=confusion.macro_f1,
        n_occurring=int((confusion.occurrences > 0).sum()),
        calibration_error=expected_calibration_error(probabilities, labels),
        brier=brier_score(probabilities, labels),
        classes={
            name: ClassFigures(
                precision=float(confusion.precision[number]),
                recall=float(confusion.recall[number]),
                f1=float(confusion.f1[number]),
                count=int(confusion.labelled[number]),
            )
            for number, name in enumerate(class_names)
        },
        confusion=tuple(tuple(row) for row in confusion.counts.tolist()),
    )
