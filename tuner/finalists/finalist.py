"""A finalist: a trial of the search with the models of its fresh seeds, and what all finalists together say of it.

Must not import Ray, Keras or TensorFlow.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.errors import RunFolderError
from tuner.finalists.comparisons import Deficit, deficits_of, selection_bias_of
from tuner.finalists.gap import Gap, deviation_of, gap_of
from tuner.finalists.reference_gain import ReferenceGain, ReferenceRows
from tuner.finalists.seed_average import SeedAverage
from tuner.run.records import TrialRecord
from tuner.run.requested_trainings import MARGIN
from tuner.settings.metric import Metric
from tuner.training.spec import TrainedModel
from tuner.training.statistics import Spread, spread_of
from tuner.training.trained_model_file import from_bytes, measured_in
from tuner.training.variance import SeedVariance, moderated, pooled_seed_variance


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A trained model in its file: one seed of a finalist, or a trial of the search."""

    seed: int
    file: Path
    score: float  # the run's metric on the confirmation split
    # That on the validation split; None where it learned from it, or the search scored its trial on other rows.
    validated: float | None = None

    @property
    def model(self) -> TrainedModel:
        """Its weights, and its probabilities on the confirmation split.

        Raises:
            RunFolderError: its file is missing or damaged.
        """
        return from_bytes(self._content(), str(self.file))

    @property
    def epoch(self) -> int:
        """The epoch whose weights the model has.

        Raises:
            RunFolderError: its file is missing or damaged.
        """
        return measured_in(self._content(), str(self.file))[0].epoch

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Its probabilities on the confirmation split, `(n_sequences, n_classes)`.

        Raises:
            RunFolderError: its file is missing or damaged.
        """
        return measured_in(self._content(), str(self.file))[1]

    def _content(self) -> bytes:
        try:
            return self.file.read_bytes()
        except OSError as cause:
            raise RunFolderError(
                f"{self.file}: cannot be read ({cause.strerror}); `tuner fetch` or `tuner confirm` brings it back"
            ) from cause


@dataclass(frozen=True, eq=False)
class Finalist:
    """A trial of the search, confirmed with fresh seeds."""

    record: TrialRecord  # of the search
    members: tuple[ModelFile, ...]  # best first
    spread: Spread  # of the run's metric
    scores: NDArray[np.float64]  # (n_seeds, n_clusters), see `by_cluster`
    seeds: SeedVariance | None  # its own, drawn toward that of all finalists, see `moderated`
    gap: Gap  # between its score in the search and the mean
    deficit: Deficit | None = None  # None where no finalist has two seeds, or there is only one
    selection_bias: float = (
        0.0  # of the first: how much too good its mean is; its interval is corrected for that
    )
    average: SeedAverage | None = None  # of all its seeds; None of a single one
    clusters: int | None = None  # of the confirmation split; None where each sequence is its own
    is_recommended: bool = (
        False  # it is the smallest of those that are shown to be close enough to the best
    )
    reference: ReferenceRows | None = None  # the linear one; None where none can be averaged

    @cached_property
    def with_reference(self) -> ReferenceGain | None:
        """What the linear reference adds to one seed's model; None where nothing, or there is none."""
        if self.reference is None:
            return None
        return self.reference.gain_with([member.probabilities for member in self.members])

    @property
    def search_score(self) -> float:
        """Its score in the search."""
        assert self.record.score is not None  # or it would not have been confirmed
        return self.record.score

    @property
    def may_be_best(self) -> bool:
        """Whether none of the others is better, at a level of 5 % for all finalists together."""
        return self.deficit is None or not self.deficit.at_least


def finalists_of(
    trained: Iterable[tuple[TrialRecord, tuple[ModelFile, ...], NDArray[np.float64]]],
    metric: Metric,
    margin: float = MARGIN,
    *,
    n_validation: int,
    deciding: int | None = None,
) -> list[Finalist]:
    """Best first, by the mean over their seeds; equal ones by the search's order.

    Args:
        trained: the search's trials, with their models and these models' `scores`.
        metric: of the scores.
        margin: a finalist that is at most so much worse than the best is as good as that.
        n_validation: sequences of the validation split, or clusters of them where `scores` are those of clusters.
        deciding: sequences or clusters that decide the score, see `deciding_in`.
    """
    trained = list(trained)
    pooled = pooled_seed_variance([scores for _, _, scores in trained])
    most = 1.0 if metric.name.is_share else math.inf
    validated = [_validated(members) for _, members, _ in trained]
    deviation = deviation_of(validated)
    finalists = []
    for (record, members, scores), on_validation in zip(trained, validated, strict=True):
        assert record.score is not None  # or it would not have been confirmed
        seeds = moderated(pooled_seed_variance([scores]), pooled)
        gap = gap_of(
            record.score,
            scores,
            on_validation,
            metric=metric,
            seeds=seeds,
            deviation=deviation,
            n_validation=n_validation,
        )
        spread = spread_of(scores, most=most, seeds=seeds, deciding=deciding)
        finalists.append(Finalist(record, members, spread, scores, seeds, gap))
    finalists.sort(key=lambda each: (metric.as_cost(each.spread.mean), each.record.number))
    every = [each.scores for each in finalists]
    if finalists:
        bias = selection_bias_of(every, metric, pooled)
        excess, seeds = metric.gain(bias, over=0.0), finalists[0].seeds
        spread = spread_of(every[0], most=most, seeds=seeds, excess=excess, deciding=deciding)
        finalists[0] = replace(finalists[0], spread=spread, selection_bias=bias)
    deficits = deficits_of(every, metric, pooled, deciding)
    if deficits:
        finalists = list(map(_with_deficit, finalists, deficits))
    smallest = _smallest_within(margin, finalists)
    return [replace(each, is_recommended=each is smallest) for each in finalists]


def _validated(members: Sequence[ModelFile]) -> list[float]:
    """Their scores on the validation split; none where one of them has none."""
    known = [each.validated for each in members if each.validated is not None]
    return known if len(known) == len(members) else []


def _with_deficit(finalist: Finalist, deficit: Deficit) -> Finalist:
    return replace(finalist, deficit=deficit)


def _smallest_within(margin: float, finalists: Sequence[Finalist]) -> Finalist | None:
    """Of those that are shown to be at most `margin` worse than the best, the one with the fewest weights."""
    near = [each for each in finalists if each.deficit and each.deficit.at_most <= margin]
    return min(near, key=lambda each: each.record.weights or math.inf, default=None)
