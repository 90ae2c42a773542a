"""The linear reference of a search: measured once, compared with the search's models, recorded."""

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray

from tuner.data import Dataset, EncodedSequences, Split
from tuner.errors import RunFolderError
from tuner.files import write_bytes_atomically
from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.reference_record import ReferenceRecord, reference_in
from tuner.search.ensemble import NoEnsemble
from tuner.search.kept_reference import (
    measure_reference,
    read_probabilities,
    read_reference,
    reference_for_other_rows,
    trained_reference,
    withdraw_comparisons,
)
from tuner.search.reference_training import ReferenceTraining
from tuner.settings.metric import Metric, MetricName
from tuner.terminal.reference import reference_lines
from tuner.training import linear_reference
from tuner.training.spec import TrainedModel
from tuner.training.trained_model_file import to_bytes

N = 100


def _sequences(n: int) -> EncodedSequences:
    labels = (np.arange(n) % 2).astype(np.int32)
    tokens = np.stack([np.ones(n), 3 + labels, np.arange(n) % 7 + 5], axis=1)
    return EncodedSequences(
        tokens.astype(np.int32).ravel(), np.arange(0, 3 * n + 1, 3, dtype=np.int64), labels
    )


WORDS = tuple(map(str, range(12)))
DATASET = Dataset("d", "f", ("no", "yes"), WORDS, dict.fromkeys(Split, _sequences(N)))
LABELS = DATASET.splits[Split.CONFIRMATION].labels


def right_in(share: float) -> NDArray[np.float32]:
    predicted = np.where(np.arange(N) < share * N, LABELS, 1 - LABELS)
    return np.eye(2, dtype=np.float32)[predicted]


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def measure(
    study: optuna.Study, folder: Path, models: dict[str, NDArray[np.float32]] | None = None
) -> ReferenceRecord:
    kept = trained_reference(study, RunFolder(folder), DATASET)
    measure_reference(study, kept, DATASET, Metric(), models or {})
    record = reference_in(study.user_attrs)
    assert record is not None
    return record


def test_it_is_measured_once_and_models_are_compared_with_it(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(study, tmp_path)
    assert (first.sequences, first.score, first.majority, first.compared) == (N, 1.0, 0.5, ())
    monkeypatch.setattr(linear_reference, "train_reference", None)  # it would fail
    models = {"trial 7": right_in(0.6), "trial 8": right_in(1.0)}
    second = measure(study, tmp_path, models)
    assert second.model_copy(update={"compared": ()}) == first
    worse, alike = second.compared
    assert (worse.name, worse.gain) == ("trial 7", -0.4)
    assert worse.low < -0.4 < worse.high < 0
    assert worse.text.startswith("trial 7 is worse by 0.4000 (95 % interval -0.")
    assert alike.text == (
        "trial 8 is not shown to differ: +0.0000 (95 % interval -0.0370 to +0.0370)"
    )
    lines = reference_lines(second, width=12)
    assert lines[0].startswith("Reference:   linear model on n-grams 1.0000 (95 % interval 0.9")
    assert lines[0].endswith("most frequent class alone 0.5000; on 100 confirmation sequences")
    assert lines[1] == f"             {worse.text}"
    assert reference_lines(None, width=12) == []


def test_copies_count_together_in_its_intervals(study: optuna.Study, tmp_path: Path) -> None:
    models = {"trial 7": right_in(0.6)}
    apart = measure(study, tmp_path, models).compared[0]
    clusters = {Split.CONFIRMATION: np.arange(N) // 10}
    copies = dataclasses.replace(DATASET, clusters=clusters)
    kept = trained_reference(study, RunFolder(tmp_path), copies)
    measure_reference(study, kept, copies, Metric(), models)
    record = reference_in(study.user_attrs)
    assert record is not None
    together = record.compared[0]
    assert (record.sequences, record.clusters) == (N, 10)
    assert together.gain == apart.gain
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_a_search_that_goes_on_tells_no_comparisons_of_the_session_before(
    study: optuna.Study, tmp_path: Path
) -> None:
    withdraw_comparisons(study)  # nothing was measured yet
    assert reference_in(study.user_attrs) is None
    first = measure(study, tmp_path, {"trial 7": right_in(0.6)})
    withdraw_comparisons(study)
    record = reference_in(study.user_attrs)
    assert record is not None
    assert record.is_outdated
    assert reference_lines(record, width=0) == reference_lines(first, width=0)[:1]
    assert measure(study, tmp_path, {"trial 7": right_in(0.6)}) == first  # once it has ended


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive"])
def test_without_its_probabilities_it_is_trained_again(
    study: optuna.Study, tmp_path: Path, content: bytes | None
) -> None:
    first = measure(study, tmp_path)
    path = RunFolder(tmp_path).reference
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert read_probabilities(RunFolder(tmp_path), DATASET) is None
    again = measure(study, tmp_path)
    assert again.model_copy(update={"seconds": 0.0}) == first.model_copy(update={"seconds": 0.0})
    assert read_probabilities(RunFolder(tmp_path), DATASET) is not None
    other = dataclasses.replace(DATASET, class_names=("no", "perhaps", "yes"))
    assert read_probabilities(RunFolder(tmp_path), other) is None


def test_a_file_of_an_earlier_version_is_compared_with_but_is_no_member(
    study: optuna.Study, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    kept = trained_reference(study, folder, DATASET).model
    arrays = {"probabilities": kept.probabilities, "majority": right_in(0.5)}
    np.savez_compressed(folder.reference, **arrays)
    assert read_probabilities(folder, DATASET) is not None
    assert read_reference(folder, DATASET) is None
    again = trained_reference(study, folder, DATASET).model  # a search that goes on
    assert (again.probabilities == kept.probabilities).all()
    assert read_reference(folder, DATASET) is not None


def test_other_rows_are_measured_by_the_one_that_the_search_trained(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    train = DATASET.splits[Split.TRAIN]
    trained = reference_for_other_rows(None, train, DATASET)
    kept = trained_reference(study, folder, DATASET).model
    monkeypatch.setattr(linear_reference, "train_reference", None)  # it would fail
    again = reference_for_other_rows(kept, train, DATASET)
    held_out = DATASET.splits[Split.CONFIRMATION]
    for each in (trained, again):
        assert (each.probabilities_of(held_out) == kept.probabilities).all()


def test_weights_that_do_not_fit_the_data_are_not_read(study: optuna.Study, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    kept = trained_reference(study, folder, DATASET).model
    singles, starts, *others = kept.weights
    wrong = [
        (singles + len(kept.weights[3]), starts, *others),  # rows that are not there
        (singles, starts[::-1].copy(), *others),
        (singles[:-1], starts, *others),
        (singles[::-1].copy(), starts, *others),  # rows of other tokens
        kept.weights[:4],
        (*kept.weights[:4], np.zeros(2, np.float32)),  # of more classes
    ]
    for weights in wrong:
        write_bytes_atomically(
            folder.reference, to_bytes(dataclasses.replace(kept, weights=weights))
        )
        assert read_reference(folder, DATASET) is None


def test_of_a_loss_less_is_better(study: optuna.Study, tmp_path: Path) -> None:
    metric = Metric(name=MetricName.VAL_LOSS, mode="min")
    models = {"trial 1": np.full((N, 2), 0.5, np.float32)}
    kept = trained_reference(study, RunFolder(tmp_path), DATASET)
    measure_reference(study, kept, DATASET, metric, models)
    record = reference_in(study.user_attrs)
    assert record is not None
    assert record.majority == pytest.approx(np.log(2), abs=1e-3)
    assert record.score < 0.2
    assert record.compared[0].gain < -0.4


def test_a_damaged_record_is_refused_in_one_line(study: optuna.Study) -> None:
    study.set_user_attr(Attribute.REFERENCE, {"score": "high"})
    with pytest.raises(RunFolderError, match=r"damaged \(no reference can be read from "):
        reference_in(study.user_attrs)


# -- beside the trials -----------------------------------------------------------------------------


class Watched(NoEnsemble):
    """Notes which reference it is given."""

    def __init__(self) -> None:
        self.given: list[TrainedModel] = []

    def take_reference(self, reference: TrainedModel) -> None:
        self.given.append(reference)


def beside(study: optuna.Study, folder: Path, ensemble: Watched) -> ReferenceTraining:
    return ReferenceTraining(study, ensemble, RunFolder(folder), DATASET, Metric())


def test_beside_the_trials_it_is_trained_in_a_thread_and_taken_once_by_the_driver(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, threads = threading.Event(), []

    def slowly(*args: Any, **named: Any) -> linear_reference.Reference:
        threads.append(threading.current_thread())
        assert may_go_on.wait(60)
        return train(*args, **named)

    train = linear_reference.train_reference
    monkeypatch.setattr(linear_reference, "train_reference", slowly)
    ensemble = Watched()
    training = beside(study, tmp_path, ensemble)
    assert not training.collect()  # no trial has begun
    training.start()
    training.start()
    assert not training.collect()
    assert reference_in(study.user_attrs) is None
    assert not RunFolder(tmp_path).reference.exists()
    may_go_on.set()
    training.wait()
    assert not training.collect()  # it was taken
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    record = reference_in(study.user_attrs)
    assert record is not None
    assert (record.score, record.compared, record.is_outdated) == (1.0, (), True)
    kept = read_reference(RunFolder(tmp_path), DATASET)
    assert kept is not None
    assert [(each.probabilities == kept.probabilities).all() for each in ensemble.given] == [True]
    monkeypatch.setattr(linear_reference, "train_reference", None)  # it would fail
    compared = measure(study, tmp_path, {"trial 7": right_in(0.6)})  # the search ends
    assert [each.name for each in compared.compared] == ["trial 7"]
    assert not compared.is_outdated
    again = beside(study, tmp_path, ensemble)  # a continued search
    again.start()
    again.wait()
    assert not again.collect()
    assert len(ensemble.given) == 1


def test_where_its_training_fails_trials_go_on_and_the_end_of_the_search_tells(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **named: Any) -> None:
        raise MemoryError("no room for n-grams")

    monkeypatch.setattr(linear_reference, "train_reference", fail)
    training = beside(study, tmp_path, Watched())
    training.start()
    training.wait()
    assert not training.collect()
    assert reference_in(study.user_attrs) is None
    with pytest.raises(MemoryError, match="no room for n-grams"):
        measure(study, tmp_path)
