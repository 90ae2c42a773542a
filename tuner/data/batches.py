"""From ragged sequences to batches: which sequences go together, and their padded matrix.

Batches of similar lengths halve an epoch's time on reviews, because less padding is computed. Where a backend compiles
anew for every shape, `widths` limits how many there are.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuner.data.dataset import PADDING, EncodedSequences, run_positions

TOKENS_PER_BATCH = 32_768  # of evaluation, padded


def bucketed_batches(
    lengths: ArrayLike,
    *,
    batch_size: int,
    rng: np.random.Generator,
    window_batches: int = 50,
    mixed_batches: int = 0,
) -> list[NDArray[np.int64]]:
    """Random batches of sequences of similar lengths, in random order, for one training epoch.

    The sequences are shuffled, cut into windows of `window_batches` batches, sorted by length inside
    each window, and cut into batches. Every index comes once; one batch may be smaller than the rest.

    Args:
        lengths: `(n_sequences,)` integers.
        mixed_batches: so many batches come first and are not sorted: all lengths are in each of them.
    """
    if batch_size < 1 or window_batches < 1:
        raise ValueError(
            f"batch_size and window_batches must be 1 or more, got {batch_size}, {window_batches}"
        )
    sizes = np.asarray(lengths)
    shuffled = rng.permutation(len(sizes))
    n_mixed = mixed_batches * batch_size
    mixed, shuffled = _cut(shuffled[:n_mixed], batch_size), shuffled[n_mixed:]
    window = batch_size * window_batches
    batches: list[NDArray[np.int64]] = []
    for first in range(0, len(shuffled), window):
        indices = shuffled[first : first + window]
        batches += _cut(indices[np.argsort(sizes[indices], kind="stable")], batch_size)
    return mixed + [batches[i] for i in rng.permutation(len(batches))]


def _cut(indices: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    return [indices[at : at + batch_size] for at in range(0, len(indices), batch_size)]


def evaluation_batches(
    lengths: ArrayLike,
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    round_to: int = 8,
    widths: Sequence[int] | None = None,
) -> list[NDArray[np.int64]]:
    """Batches sorted by length, as large as `tokens_per_batch` padded tokens allow; every index once.

    A sequence that is longer than the bound by itself has a batch of its own.

    Args:
        lengths: `(n_sequences,)` integers.
        round_to: the width is rounded up to a multiple of it, as `pad` does.
        widths: as in `pad`; no batch then has sequences of two widths.
    """
    if tokens_per_batch < 1 or round_to < 1:
        raise ValueError(
            f"tokens_per_batch and round_to must be 1 or more, got {tokens_per_batch}, {round_to}"
        )
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(sizes, kind="stable")
    padded_sizes = np.maximum(1, -(-sizes[order] // round_to)) * round_to
    batches: list[NDArray[np.int64]] = []
    if widths is not None:
        padded_sizes = _padded_sizes(sizes[order], padded_sizes, widths)
        for width in np.unique(padded_sizes):
            most = max(1, tokens_per_batch // int(width))
            batches += _cut(order[padded_sizes == width], most)
        return batches
    first = 0
    while first < len(order):
        most = max(1, tokens_per_batch // int(padded_sizes[first]))
        candidates = padded_sizes[first : first + most]
        padded = candidates * np.arange(1, len(candidates) + 1)  # ascending, as widths are
        count = max(1, int(np.searchsorted(padded, tokens_per_batch, side="right")))
        batches.append(order[first : first + count])
        first += count
    return batches


def _padded_sizes(
    sizes: NDArray[np.int64], rounded: NDArray[np.int64], widths: Sequence[int]
) -> NDArray[np.int64]:
    """The first of the ascending `widths` that holds each size; `rounded` where none does."""
    places = np.searchsorted(widths, sizes)
    found = np.asarray(widths, dtype=np.int64)[np.minimum(places, len(widths) - 1)]
    return np.where(places < len(widths), found, rounded)


def few_widths(
    lengths: ArrayLike, counts: ArrayLike, *, most: int, worth: int, round_to: int = 8
) -> tuple[int, ...]:
    """At most `most` widths, ascending, that hold all these sequences with little padding.

    The last one is the greatest length. The others are chosen one after the other: each spares most padding, and at
    least `worth` tokens.

    Args:
        lengths: `(n,)` integers.
        counts: `(n,)` numbers, how often each of them is in a batch.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    longest = max(1, int(sizes.max()))
    rounded = np.minimum(np.maximum(1, -(-sizes // round_to)) * round_to, longest)
    candidates, places = np.unique(rounded, return_inverse=True)
    sequences = np.bincount(places, weights=np.asarray(counts, dtype=np.float64))

    def tokens(widths: NDArray[np.int64]) -> float:
        return float((widths[np.searchsorted(widths, candidates)] * sequences).sum())

    chosen = np.array([longest])
    while len(chosen) < most:
        choices = [np.union1d(chosen, [each]) for each in candidates if each not in chosen]
        if not choices:
            break
        best = min(choices, key=tokens)
        if tokens(chosen) - tokens(best) < worth:
            break
        chosen = best
    return tuple(int(width) for width in chosen)


def pad(
    sequences: EncodedSequences,
    indices: ArrayLike,
    *,
    round_to: int = 8,
    max_width: int | None = None,
    widths: Sequence[int] | None = None,
) -> NDArray[np.int32]:
    """The sequences at `indices` as one matrix, right-padded with PADDING.

    Args:
        indices: `(batch,)` integers.
        round_to: the width is the longest length rounded up to a multiple of it, and at least 1.
        max_width: of longer sequences its last tokens are kept. Without `widths`, the width does not exceed it.
        widths: ascending; the width is the first of them that holds the longest sequence, and rounded as usual where
            none does.

    Returns:
        `(batch, width)` int32.
    """
    chosen = np.asarray(indices, dtype=np.int64)
    ends = sequences.offsets[chosen + 1]
    lengths = ends - sequences.offsets[chosen]
    longest = max(1, int(lengths.max(initial=0)))
    width = -(-longest // round_to) * round_to
    if max_width is not None:
        width = max(1, min(width, max_width))
        lengths = np.minimum(lengths, width)
    if widths is not None:
        longest = max(1, int(lengths.max(initial=0)))
        width = next((each for each in widths if each >= longest), width)
    padded = np.full((len(chosen), width), PADDING, dtype=np.int32)
    filled = np.arange(width) < lengths[:, np.newaxis]
    padded[filled] = sequences.tokens[run_positions(ends - lengths, lengths)]
    return padded
