"""All seeds' models averaged, and what that is worth against one of them: they are trained already.

Must not import Ray, Keras or TensorFlow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.run.finalists_file import averaged_text
from tuner.settings.metric import Metric
from tuner.training.evaluation import mean_probabilities
from tuner.training.row_clusters import by_cluster
from tuner.training.statistics import Gain, deciding_in, gain_of, sequence_scores


@dataclass(frozen=True)
class SeedAverage:
    """The mean probabilities of several models, measured on the confirmation split."""

    models: int
    score: float  # of their average, in the run's metric
    gain: Gain  # over one of them, whichever: the mean of their own scores

    @property
    def text(self) -> str:
        """See `averaged_text`."""
        gain = self.gain
        return averaged_text(self.models, self.score, gain.mean, gain.low, gain.high)


def average_of(
    members: Sequence[NDArray[np.float32]],
    labels: NDArray[np.int32],
    clusters: NDArray[np.int64],
    metric: Metric,
) -> SeedAverage | None:
    """The average of these models; None of a single one.

    The comparison is paired, over further sequences and of these very models. None of them is preferred: the best of
    several on these sequences would look better than it is.

    Args:
        members: the probabilities of each, `(n, n_classes)`.
        labels: `(n,)`.
        clusters: `(n,)`, the cluster of each sequence.
        metric: of the run.
    """
    if len(members) < 2:
        return None
    averaged = sequence_scores(metric.name, mean_probabilities(members), labels)
    singles = np.stack([sequence_scores(metric.name, each, labels) for each in members])
    of_average, of_one = by_cluster(np.stack([averaged, singles.mean(axis=0)]), clusters)
    deciding = deciding_in(metric.name, labels, clusters)
    gain = gain_of(of_average, of_one, metric, deciding=deciding)
    return SeedAverage(len(members), float(averaged.mean()), gain)
