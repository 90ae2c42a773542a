"""The linear reference averaged with a finalist's models, one at a time, and what that is worth.

Must not import Ray, Keras or TensorFlow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.data import Dataset, Split
from tuner.finalists.reference_of_splits import reference_for
from tuner.run.finalists_file import with_reference_text
from tuner.run.folder import RunFolder
from tuner.run.train_on import TrainOn
from tuner.search.reference_member import mixed, weight_of, weights_by_half
from tuner.settings.metric import Metric
from tuner.training.row_clusters import by_cluster
from tuner.training.statistics import Gain, deciding_in, gain_of, sequence_scores


@dataclass(frozen=True)
class ReferenceGain:
    """What the linear reference adds to one seed's model of a finalist."""

    weight: float  # its part of the average that an export writes: that with the best seed's model
    score: float  # with it, in the run's metric; the mean over the seeds
    gain: Gain  # over the seeds' mean without it

    @property
    def text(self) -> str:
        """See `with_reference_text`."""
        return with_reference_text(
            self.weight, self.score, self.gain.mean, self.gain.low, self.gain.high
        )


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """The confirmation split with what the linear reference predicts on it.

    Attributes:
        probabilities: of the reference, `(n, n_classes)`.
        labels: `(n,)`.
        clusters: `(n,)`, the cluster of each sequence; two or more.
        metric: of the run.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int32]
    clusters: NDArray[np.int64]
    metric: Metric

    def gain_with(self, members: Sequence[NDArray[np.float32]]) -> ReferenceGain | None:
        """What it adds to these models, each averaged with it; None where it adds nothing to the first.

        Its part is chosen with the first model alone, which is what an export does. On each half of the clusters all
        models have the part that the other half chooses, so that no sequence is measured with a part that it chose. The
        comparison is paired, over further sequences and of these very models.

        Args:
            members: the probabilities of each seed's model, the best one first; `(n, n_classes)`.
        """
        first, name = members[0], self.metric.name
        weight = weight_of(first, self.probabilities, self.labels)
        if not weight:
            return None
        by_half = weights_by_half(first, self.probabilities, self.labels, self.clusters)
        scores = [
            [
                sequence_scores(name, each, self.labels)
                for each in (mixed(member, self.probabilities, by_half), member)
            ]
            for member in members
        ]
        together, alone = by_cluster(np.mean(scores, axis=0), self.clusters)
        deciding = deciding_in(name, self.labels, self.clusters)
        gain = gain_of(together, alone, self.metric, deciding=deciding)
        return ReferenceGain(weight, float(together.mean()), gain)


def reference_rows(
    folder: RunFolder, dataset: Dataset, metric: Metric, train_on: TrainOn = TrainOn.TRAIN
) -> ReferenceRows | None:
    """The reference for finalists that learned from these splits.

    None where none was kept that can be averaged, or all rows are of one cluster.
    """
    kept, _ = reference_for(folder, dataset, train_on, TrainOn.TRAIN)
    clusters = dataset.clusters_of(Split.CONFIRMATION)
    if kept is None or not kept.weights or (clusters == clusters[0]).all():
        return None
    labels = dataset.splits[Split.CONFIRMATION].labels
    return ReferenceRows(kept.probabilities, labels, clusters, metric)
