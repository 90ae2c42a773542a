"""Held-out sequences that are alike: copies of a text, and rows of one group, count together as clusters.

Processes that train import it: it must not import SciPy, which they do without.
"""

import math

import numpy as np
from numpy.typing import NDArray


def by_cluster(scores: NDArray[np.float64], clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    """The scores of clusters in place of sequences, `(n_clusters,)` or `(n_seeds, n_clusters)`, with the same mean.

    Copies of a text and rows of one group are alike, so each of them is less evidence than a sequence of its own. A
    cluster's score is the mean of all, and the sum of its sequences' deviations from that times `n_clusters / n`. So
    the variance of the mean, taken over clusters as over sequences, is that of Liang and Zeger (1986):
    Σ_g (Σ_{j in g} (s_j - mean))² · G / (G - 1) / n². All that is linear in scores, such as a paired difference, is
    right, too.

    Args:
        scores: `(n,)` or `(n_seeds, n)`, of each sequence what `sequence_scores` gives.
        clusters: `(n,)`, the cluster of each sequence. With one cluster alone the scores stay as they are, because it
            tells nothing about another one.
    """
    _, number = np.unique(clusters, return_inverse=True)
    count, n = int(number.max(initial=-1)) + 1, scores.shape[-1]
    if count in (1, n):
        return scores
    rows = np.atleast_2d(scores)
    sums = [np.bincount(number, row - row.mean(), minlength=count) for row in rows]
    of_clusters: NDArray[np.float64] = rows.mean(axis=1, keepdims=True) + np.stack(sums) * (
        count / n
    )
    return of_clusters.reshape(*scores.shape[:-1], count)


def error_of_mean(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> float | None:
    """The standard error of the mean of `(n,)` values over further clusters; None of one, which tells of no other."""
    of_clusters = by_cluster(values, clusters)
    if (clusters == clusters[0]).all():
        return None
    return math.sqrt(of_clusters.var(ddof=1) / len(of_clusters))
