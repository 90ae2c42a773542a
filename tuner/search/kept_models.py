"""The models of a search's best trials in the run folder, and which of them are averaged.

Must not import Ray or Keras.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState

from tuner.data import Dataset, Split
from tuner.errors import RunFolderError
from tuner.run.folder import RunFolder
from tuner.run.records import StudyReader, TrialRecord, ranked
from tuner.settings.config import SearchConfig
from tuner.settings.metric import Metric
from tuner.training.evaluation import losses
from tuner.training.trained_model_file import measured_in

# So many times as many models are kept as are averaged: of the best 15 the five are chosen.
CHOSEN_FROM = 3
_ENOUGH = 5000  # sequences to choose by


@dataclass(frozen=True, order=True)
class KeptModel:
    """The model of a trial, in its file; the better one is less."""

    cost: float  # its score in the search, of which less is better
    trial: int
    score: float = field(compare=False)
    epoch: int = field(compare=False)  # whose weights it has
    weights: int = field(compare=False)
    seconds_per_text: float | None = field(compare=False)
    # On the confirmation split, `(n_sequences, n_classes)`.
    probabilities: NDArray[np.float32] = field(compare=False, repr=False)
    # On the rows that validated it; None where they are not known.
    validation: NDArray[np.float32] | None = field(compare=False, repr=False)
    # Of that epoch, on the rows that validated it, and which part these are where parts take turns.
    val_loss: float | None = field(default=None, compare=False)
    part: int | None = field(default=None, compare=False)


def kept_models(
    reader: StudyReader,
    folder: RunFolder,
    count: int,
    labels: NDArray[np.int32],
) -> tuple[list[KeptModel], list[tuple[float, int]]]:
    """The best trials that have ended and whose models are kept, best first; cost and number of those that lack one.

    Args:
        reader: of the search's study.
        count: the most models; more are not looked for.
        labels: of the confirmation split.
    """
    metric = reader.space.metric
    ended = reader.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    records = [record for record in map(reader.record, ended) if record.status.has_worked]
    members: list[KeptModel] = []
    lost: list[tuple[float, int]] = []
    for record in ranked(records, metric):
        if len(members) == count or record.score is None:
            break
        kept = None
        with suppress(OSError):
            content = folder.trial_model(record.number).read_bytes()
            kept = read_model(record, content, folder, labels, metric)
        if kept is not None and kept.epoch == record.best_epoch:
            members.append(kept)
        else:
            lost.append((metric.as_cost(record.score), record.number))
    return members, lost[:count]


def common_labels(config: SearchConfig, dataset: Dataset) -> NDArray[np.int32] | None:
    """The labels of the rows that validate all trials of a search; None where there are no such rows."""
    return None if config.rotate_validation else dataset.splits[Split.VALIDATION].labels


def members_of(
    kept: Sequence[KeptModel], size: int, labels: NDArray[np.int32] | None
) -> list[KeptModel]:
    """The models that are averaged, best first: those whose average has the lowest loss on the validation split.

    The best one, and then in each round the one with which the average's loss is lowest (Caruana et al., 2004, without
    taking a model twice). Models that are alike add little to each other: on four recorded tables this gains 0.1 to 0.4
    points over the best ones (docs/measurements.md). Where a model's validation probabilities are not known, the best
    ones. Where parts of the rows take turns, the best one and those of the lowest loss on their own part, from parts
    that are not in the average as long as there are some: what one has not learned from, most others have.

    Args:
        kept: best first.
        size: the most members.
        labels: of the rows that validated all of them, `(n_sequences,)`; None where there are none.
    """
    if labels is None:
        return _of_lowest_loss(kept, size)
    known = [each.validation for each in kept if each.validation is not None]
    if (
        len(kept) <= size
        or any(len(each) != len(labels) for each in known)
        or len(known) < len(kept)
    ):
        return list(kept[:size])
    step = math.ceil(len(labels) / _ENOUGH)
    labels, known = labels[::step], [each[::step] for each in known]
    chosen, total = [0], known[0]
    while len(chosen) < size:
        left = [place for place in range(len(kept)) if place not in chosen]
        found = min(
            left,
            key=lambda place: (
                float(losses((total + known[place]) / np.float32(len(chosen) + 1), labels).mean()),
                place,
            ),
        )
        chosen.append(found)
        total = total + known[found]
    return [kept[place] for place in sorted(chosen)]


def _of_lowest_loss(kept: Sequence[KeptModel], size: int) -> list[KeptModel]:
    if len(kept) <= size or any(each.val_loss is None for each in kept):
        return list(kept[:size])
    chosen, others = [kept[0]], sorted(kept[1:], key=lambda each: (each.val_loss, each))
    while len(chosen) < size:
        parts = {each.part for each in chosen}
        following = next((each for each in others if each.part not in parts), others[0])
        chosen.append(following)
        others.remove(following)
    return sorted(chosen)


def read_model(
    record: TrialRecord,
    content: bytes,
    folder: RunFolder,
    labels: NDArray[np.int32],
    metric: Metric,
) -> KeptModel | None:
    """The model in `content`; None where it is damaged, or of other data."""
    try:
        figures, probabilities, validation = measured_in(
            content, str(folder.trial_model(record.number))
        )
    except RunFolderError:
        return None
    if record.score is None or not math.isfinite(figures.loss):
        return None
    if len(probabilities) != len(labels) or not np.isfinite(probabilities).all():
        return None
    return KeptModel(
        cost=metric.as_cost(record.score),
        trial=record.number,
        score=record.score,
        epoch=figures.epoch,
        weights=record.weights or 0,
        seconds_per_text=figures.seconds_per_text,
        probabilities=probabilities,
        validation=validation,
        val_loss=record.curve.get(figures.epoch, {}).get("val_loss"),
        part=record.part,
    )
