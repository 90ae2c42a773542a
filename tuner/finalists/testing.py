"""Test evaluation: measures finalists on sequences that no part of the run has seen.

Every evaluation is recorded in the test log, because a split tests no model that was chosen by its figures.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.data import Split, read_rows, seen_texts, text_digest
from tuner.data.cells import Rows, class_numbers
from tuner.data.encoding import TOKENIZERS
from tuner.errors import ConfigError, DataError
from tuner.export.classifier import Classifier
from tuner.finalists.choice import Chosen
from tuner.finalists.export import export_model
from tuner.run.copies import record_evaluations
from tuner.run.ledger import Ledger, make_entry
from tuner.run.test_log import (
    TEST_SPLIT,
    ClassFigures,
    TestEvaluation,
    TestFigures,
    append_evaluation,
    member_name,
    read_test_log,
)
from tuner.settings.data import DataConfig
from tuner.settings.metric import MetricName
from tuner.text import one_line
from tuner.training.confusion import Confusion
from tuner.training.statistics import (
    expected_calibration_error,
    roc_auc,
    sequence_scores,
    spread_of,
)


def evaluate_test(chosen: Chosen, data: DataConfig | None = None) -> TestEvaluation:
    """Measures the model that `tuner export` would write of these finalists, and records it in the test log.

    Args:
        data: labelled rows to measure on instead of the test split; those that the run has seen are left out.

    Raises:
        DataError: these rows cannot be read, have a class that the model does not know, or were all seen.
        RunFolderError: the test log is damaged.
    """
    folder, dataset = chosen.run.files, chosen.dataset
    earlier = read_test_log(folder)  # refuses a damaged log before anything is measured
    held = seen_texts(chosen.config.data)
    rows = None if data is None else _unseen_rows(read_rows(data), chosen, held)
    with tempfile.TemporaryDirectory() as temporary:
        classifier = Classifier(export_model(chosen, Path(temporary) / "model"))
        if rows is None:
            test = dataset.splits[Split.TEST]
            probabilities, labels = classifier.probabilities_of(test), test.labels
        else:
            probabilities, labels = classifier.probabilities(rows.texts), rows.labels
    ledger = Ledger.of_user()
    entry = make_entry(
        chosen.run.name,
        chosen.run.recorded.created,
        datetime.now(UTC).isoformat(timespec="seconds"),
        held[Split.TEST] if rows is None else rows.digests,
    )
    others = ledger.of_other_runs(entry, own=[each.opened for each in earlier])
    evaluation = TestEvaluation(
        opened=entry.opened,
        data=TEST_SPLIT if data is None else _place(data.source),
        members=tuple(
            member_name(member.trial, member.seed) for member in classifier.description.members
        ),
        figures=figures_of(probabilities, labels, dataset.class_names),
        left_out=0 if rows is None else rows.left_out,
        of_test_split=0 if rows is None else rows.of_test_split,
        others=others or None,
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


def _place(source: str) -> str:
    """A data set's name, or where the file lies, however it was typed."""
    path = os.path.expanduser(source)
    return os.path.abspath(path) if os.path.isfile(path) else source


@dataclass(frozen=True, eq=False)
class _UnseenRows:
    texts: list[str]
    digests: list[bytes]
    labels: NDArray[np.int32]
    left_out: int
    of_test_split: int


def _unseen_rows(
    rows: Rows, chosen: Chosen, texts: Mapping[Split, frozenset[bytes]]
) -> _UnseenRows:
    dataset = chosen.dataset
    cut = TOKENIZERS[dataset.token_mode]
    digests = [text_digest(cut(text)) for text in rows.texts]
    kept = np.flatnonzero(_is_unseen(rows, digests, texts))
    if not len(kept):
        raise DataError(
            f"{rows.where}: the run has learned from, or been chosen by, every row of it; name rows "
            "that it has not seen"
        )
    labels = [rows.labels[row] for row in kept]
    is_test_row = _in_splits(digests, texts, [Split.TEST])
    return _UnseenRows(
        texts=[rows.texts[row] for row in kept],
        digests=[digests[row] for row in kept],
        labels=class_numbers(labels, dataset.class_names, rows.where),
        left_out=len(rows.texts) - len(kept),
        of_test_split=int(is_test_row[kept].sum()),
    )


def figures_of(
    probabilities: NDArray[np.float32], labels: NDArray[np.int32], class_names: Sequence[str]
) -> TestFigures:
    """The figures of `(n, n_classes)` probabilities against `(n,)` labels."""
    count = len(class_names)
    confusion = Confusion.of(labels, probabilities.argmax(axis=1), count)
    accuracy = spread_of(sequence_scores(MetricName.VAL_ACCURACY, probabilities, labels)[None])
    both = count == 2 and 0 < int((labels == 1).sum()) < len(labels)
    return TestFigures(
        sequences=len(labels),
        accuracy=accuracy.mean,
        low=accuracy.low,
        high=accuracy.high,
        loss=float(sequence_scores(MetricName.VAL_LOSS, probabilities, labels).mean()),
        roc_auc=roc_auc(probabilities[:, 1], labels == 1) if both else None,
        macro_f1=confusion.macro_f1,
        calibration_error=expected_calibration_error(probabilities, labels),
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


# -- what the run has not seen ----------------------------------------------------------------------


def _is_unseen(
    rows: Rows, digests: Sequence[bytes], texts: Mapping[Split, frozenset[bytes]]
) -> NDArray[np.bool_]:
    """`(n_rows,)`: True where training, validation and confirmation split hold no row of the same tokens.

    Of a source that has splits of its own, only its test rows.
    """
    is_new = ~_in_splits(digests, texts, [Split.TRAIN, Split.VALIDATION, Split.CONFIRMATION])
    if rows.given is not None and Split.TEST in rows.given:
        is_new &= np.array([split is Split.TEST for split in rows.given], dtype=bool)
    return is_new


def _in_splits(
    digests: Sequence[bytes], texts: Mapping[Split, frozenset[bytes]], splits: Iterable[Split]
) -> NDArray[np.bool_]:
    """`(n_rows,)`: True where one of these splits holds a row of the same tokens, words that no vocabulary has too."""
    held = frozenset[bytes]().union(*(texts[split] for split in splits))
    return np.array([digest in held for digest in digests], dtype=bool)
