"""Measures the linear reference of a search once its trials have ended, and compares the best of them with it.

Its probabilities on the confirmation split are kept in the run folder: a continued search and a confirmation compare
their models with the same ones. Must not import Ray or Keras.
"""

import io
import math
import time
import zipfile
from collections.abc import Mapping

import numpy as np
import optuna
from numpy.typing import NDArray

from tuner.data import Dataset, Split
from tuner.files import write_bytes_atomically
from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.reference import Comparison, ReferenceRecord, reference_in
from tuner.settings.metric import Metric


def measure_reference(
    study: optuna.Study,
    folder: RunFolder,
    dataset: Dataset,
    metric: Metric,
    models: Mapping[str, NDArray[np.float32]],
) -> None:
    """Records the reference in the study; trains it only where no earlier session did.

    Args:
        models: by name, probabilities on the confirmation split, `(n_sequences, n_classes)`.
    """
    # Load SciPy and scikit-learn, which a search needs only now.
    from tuner.training.statistics import by_cluster, gain_of, sequence_scores, spread_of

    labels = dataset.splits[Split.CONFIRMATION].labels
    earlier = reference_in(study.user_attrs)
    began = time.monotonic()
    kept = read_probabilities(folder, len(labels), len(dataset.class_names))
    if kept is None or earlier is None:
        kept = _trained(folder, dataset)
        seconds = time.monotonic() - began
    else:
        seconds = earlier.seconds
    clusters = dataset.clusters_of(Split.CONFIRMATION)

    def scores_of(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        return by_cluster(sequence_scores(metric.name, probabilities, labels), clusters)

    scores, majority = map(scores_of, kept)
    spread = spread_of(scores[None], most=1.0 if metric.name.is_share else math.inf)
    compared = []
    for name, probabilities in models.items():
        gain = gain_of(scores_of(probabilities), scores, metric)
        figures = {"gain": gain.mean, "low": gain.low, "high": gain.high}
        compared.append(
            Comparison(name=name, **{key: round(value, 6) for key, value in figures.items()})
        )
    record = ReferenceRecord(
        sequences=len(labels),
        score=round(spread.mean, 6),
        low=round(spread.low, 6),
        high=round(spread.high, 6),
        majority=round(float(majority.mean()), 6),
        seconds=round(seconds, 3),
        compared=tuple(compared),
    )
    if record != earlier:
        study.set_user_attr(Attribute.REFERENCE, record.model_dump(mode="json"))


def withdraw_comparisons(study: optuna.Study) -> None:
    """Records that the models compared so far may no longer be the search's best, because it goes on.

    Until it ends, however it does, the reference's own figures stand alone.
    """
    earlier = reference_in(study.user_attrs)
    if earlier is not None and not earlier.is_outdated:
        record = earlier.model_copy(update={"compared": (), "is_outdated": True})
        study.set_user_attr(Attribute.REFERENCE, record.model_dump(mode="json"))


def read_probabilities(
    folder: RunFolder, n_sequences: int, n_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Of the reference and of the most frequent class, `(n_sequences, n_classes)` each.

    None where they were not measured, or the file is damaged or of other data.
    """
    try:
        content = io.BytesIO(folder.reference.read_bytes())  # NumPy leaves a damaged file open
        with np.load(content, allow_pickle=False) as saved:
            probabilities, majority = saved["probabilities"], saved["majority"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if {probabilities.shape, majority.shape} != {(n_sequences, n_classes)}:
        return None
    return probabilities, majority


def _trained(
    folder: RunFolder, dataset: Dataset
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from tuner.training.reference import train_reference

    splits = dataset.splits
    trained = train_reference(
        splits[Split.TRAIN], splits[Split.CONFIRMATION], len(dataset.class_names)
    )
    content = io.BytesIO()
    np.savez_compressed(content, probabilities=trained.probabilities, majority=trained.majority)
    write_bytes_atomically(folder.reference, content.getvalue())
    return trained.probabilities, trained.majority
