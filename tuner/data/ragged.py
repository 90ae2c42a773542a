"""Index arithmetic on ragged arrays: many runs of one flat array, without a Python loop."""

import numpy as np
from numpy.typing import NDArray


def run_positions(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the runs `start, start + 1, …`, one run after the other.

    Args:
        starts: `(n_runs,)` int64, where each run begins in the flat array.
        lengths: `(n_runs,)` int64, how many positions it has.

    Returns:
        `(lengths.sum(),)` int64.
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total, dtype=np.int64)


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(n_runs + 1,)` int64: run i lies at `offsets[i]:offsets[i + 1]`."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
