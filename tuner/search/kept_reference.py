"""Measures the linear reference of a search, and compares the best of its trials with it once they have ended.

Its model is kept in the run folder, with its probabilities on the confirmation split: it is a member of the ensemble,
and a continued search and a confirmation compare their models with the same ones. Must not import Ray or Keras.
"""

import io
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import optuna
from numpy.typing import NDArray

from tuner.data import Dataset, EncodedSequences, Split
from tuner.errors import RunFolderError
from tuner.files import write_bytes_atomically
from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.reference_record import Comparison, ReferenceRecord, reference_in
from tuner.run.train_on import TrainOn, rows_of
from tuner.settings.metric import Metric
from tuner.training.evaluation import evaluation_of
from tuner.training.linear_model import LinearModel, are_weights
from tuner.training.spec import TrainedModel
from tuner.training.trained_model_file import from_bytes, to_bytes

if TYPE_CHECKING:
    from tuner.training.linear_reference import Reference


@dataclass(frozen=True)
class KeptReference:
    """The reference in the run folder."""

    model: TrainedModel  # without weights where it cannot be a member of an average
    seconds: float  # that training and measuring it took


def trained_reference(
    study: optuna.Study, folder: RunFolder, dataset: Dataset, train_on: TrainOn = TrainOn.TRAIN
) -> KeptReference:
    """The reference of a run; trains it only where no earlier session did."""
    earlier = reference_in(study.user_attrs)
    kept = read_reference(folder, dataset)
    if kept is not None and earlier is not None:
        return KeptReference(kept, earlier.seconds)
    trained = train_timed(dataset, train_on)
    keep_reference(trained, folder)
    return trained


def train_timed(dataset: Dataset, train_on: TrainOn = TrainOn.TRAIN) -> KeptReference:
    """Trains it on these splits, and measures it on the confirmation split."""
    began = time.monotonic()
    model = train_on_rows(dataset, rows_of(dataset, train_on))
    return KeptReference(model, time.monotonic() - began)


def keep_reference(reference: KeptReference, folder: RunFolder) -> None:
    """Writes it to the run folder."""
    write_bytes_atomically(folder.reference, to_bytes(reference.model))


def measure_reference(
    study: optuna.Study,
    reference: KeptReference,
    dataset: Dataset,
    metric: Metric,
    models: Mapping[str, NDArray[np.float32]],
    *,
    is_outdated: bool = False,
) -> None:
    """Records the reference in the study.

    Args:
        models: to compare with it; by name, probabilities on the confirmation split, `(n_sequences, n_classes)`.
        is_outdated: whether further models are still to be compared, because the search goes on.
    """
    # Load SciPy and scikit-learn, which a search needs for this alone.
    from tuner.training.linear_reference import Reference, frequencies_of
    from tuner.training.statistics import HeldOutRows

    split = dataset.splits[Split.CONFIRMATION]
    rows = HeldOutRows(metric, split.labels, dataset.clusters_of(Split.CONFIRMATION))
    frequencies = frequencies_of(dataset.splits[Split.TRAIN], len(dataset.class_names))
    spread = rows.spread_of(reference.model.probabilities)
    majority = rows.scores_of(Reference(frequencies, None).probabilities_of(split))
    compared = []
    for name, probabilities in models.items():
        gain = rows.gain_of(probabilities, over=reference.model.probabilities)
        figures = {"gain": gain.mean, "low": gain.low, "high": gain.high}
        compared.append(
            Comparison(name=name, **{key: round(value, 6) for key, value in figures.items()})
        )
    record = ReferenceRecord(
        sequences=len(split),
        clusters=rows.n_clusters,
        score=round(spread.mean, 6),
        low=round(spread.low, 6),
        high=round(spread.high, 6),
        majority=round(float(majority.mean()), 6),
        seconds=round(reference.seconds, 3),
        compared=tuple(compared),
        is_outdated=is_outdated,
    )
    if record != reference_in(study.user_attrs):
        study.set_user_attr(Attribute.REFERENCE, record.model_dump(mode="json"))


def withdraw_comparisons(study: optuna.Study) -> None:
    """Records that the models compared so far may no longer be the search's best, because it goes on.

    Until it ends, however it does, the reference's own figures stand alone.
    """
    earlier = reference_in(study.user_attrs)
    if earlier is not None and not earlier.is_outdated:
        record = earlier.model_copy(update={"compared": (), "is_outdated": True})
        study.set_user_attr(Attribute.REFERENCE, record.model_dump(mode="json"))


def read_reference(folder: RunFolder, dataset: Dataset) -> TrainedModel | None:
    """The reference with its probabilities on the confirmation split.

    None where it was not trained, by an earlier version of tuner, or the file is damaged or of other data.
    """
    return read_reference_file(folder.reference, dataset)


def read_reference_file(path: Path, dataset: Dataset) -> TrainedModel | None:
    """The reference in a file; see `read_reference`."""
    try:
        model = from_bytes(path.read_bytes(), str(path))
    except (OSError, RunFolderError):
        return None
    if not _is_of(model.probabilities, dataset) or (model.weights and not _fit(model, dataset)):
        return None
    return model


def reference_for_other_rows(
    kept: TrainedModel | None, train: EncodedSequences, dataset: Dataset
) -> "Reference":
    """The reference of a run; trains it where none is kept that can measure rows again.

    Args:
        kept: the reference as it is kept.
        train: the sequences that it has learned from, or is to learn from.
    """
    from tuner.training.linear_reference import (
        Reference,
        frequencies_of,
        longest_n_gram,
        train_reference,
    )

    n_classes = len(dataset.class_names)
    if kept is None or not kept.weights:
        return train_reference(train, n_classes, longest=longest_n_gram(dataset.token_mode))
    model = LinearModel.of_weights(kept.weights, int(train.lengths.max()))
    return Reference(frequencies_of(train, n_classes), model)


def read_probabilities(folder: RunFolder, dataset: Dataset) -> NDArray[np.float32] | None:
    """The reference's probabilities on the confirmation split, `(n_sequences, n_classes)`, of every version of tuner.

    None where they were not measured, or the file is damaged or of other data.
    """
    try:
        content = io.BytesIO(folder.reference.read_bytes())  # NumPy leaves a damaged file open
        with np.load(content, allow_pickle=False) as saved:
            probabilities: NDArray[np.float32] = saved["probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return probabilities if _is_of(probabilities, dataset) else None


def _is_of(probabilities: NDArray[np.float32], dataset: Dataset) -> bool:
    shape = (len(dataset.splits[Split.CONFIRMATION]), len(dataset.class_names))
    return probabilities.shape == shape


def _fit(model: TrainedModel, dataset: Dataset) -> bool:
    """Whether the weights are those of a linear model of the data's classes and vocabulary."""
    if not are_weights(model.weights):
        return False
    singles, _, _, _, bias, *_ = model.weights
    n_classes, known = len(dataset.class_names), len(singles)
    n_outputs = 1 if n_classes == 2 else n_classes
    is_known = model.vocabulary_size == known <= len(dataset.vocabulary)
    return is_known and len(bias) == n_outputs


def train_on_rows(dataset: Dataset, train: EncodedSequences) -> TrainedModel:
    """The reference that learns from `train`, with its probabilities on the confirmation split of `dataset`."""
    from tuner.training.linear_reference import longest_n_gram, train_reference

    held_out = dataset.splits[Split.CONFIRMATION]
    trained = train_reference(
        train,
        len(dataset.class_names),
        longest=longest_n_gram(dataset.token_mode),
    )
    began = time.monotonic()
    probabilities = trained.probabilities_of(held_out)
    seconds_per_text = (time.monotonic() - began) / len(held_out)
    is_member = trained.model is not None and trained.model.is_regression
    return TrainedModel(
        evaluation_of(probabilities, held_out.labels).held_out(
            0, seconds_per_text=seconds_per_text
        ),
        probabilities=probabilities,
        weights=trained.model.weights if trained.model is not None and is_member else (),
        vocabulary_size=trained.model.vocabulary_size if trained.model is not None else 0,
    )
