"""Bucketed batches, padding, and views of encoded sequences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data import (
    PADDING,
    EncodedSequences,
    bucketed_batches,
    evaluation_batches,
    few_widths,
    pad,
)

_lengths = st.lists(st.integers(0, 60), max_size=200)
_sequences = st.lists(st.lists(st.integers(1, 9), max_size=20), min_size=1, max_size=12)


def _encoded(sequences: list[list[int]]) -> EncodedSequences:
    return EncodedSequences(
        tokens=np.array([token for tokens in sequences for token in tokens], dtype=np.int32),
        offsets=np.cumsum([0, *map(len, sequences)], dtype=np.int64),
        labels=np.zeros(len(sequences), dtype=np.int32),
    )


@given(
    lengths=_lengths,
    batch_size=st.integers(1, 20),
    window=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_bucketing_loses_and_doubles_no_sequence(
    lengths: list[int], batch_size: int, window: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batches = bucketed_batches(lengths, batch_size=batch_size, rng=rng, window_batches=window)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert sum(len(batch) != batch_size for batch in batches) <= 1


def test_bucketing_puts_similar_lengths_together_and_long_batches_not_last() -> None:
    lengths = np.random.default_rng(0).permutation(3200)
    batches = bucketed_batches(lengths, batch_size=64, rng=np.random.default_rng(1))
    assert all(np.ptp(lengths[batch]) == 63 for batch in batches)
    assert [lengths[batch].max() for batch in batches] != sorted(
        lengths[batch].max() for batch in batches
    )


def test_bucketing_differs_between_epochs_and_repeats_with_the_seed() -> None:
    lengths = list(range(40)) * 10

    def epoch(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return [
            b.tolist() for b in bucketed_batches(lengths, batch_size=7, rng=rng, window_batches=3)
        ]

    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)


@given(lengths=_lengths, bound=st.integers(1, 500), round_to=st.integers(1, 16))
def test_evaluation_batches_cover_all_within_the_bound(
    lengths: list[int], bound: int, round_to: int
) -> None:
    batches = evaluation_batches(lengths, tokens_per_batch=bound, round_to=round_to)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        width = -(-max(1, max(lengths[i] for i in batch)) // round_to) * round_to
        assert len(batch) == 1 or len(batch) * width <= bound


def test_evaluation_batches_are_as_large_as_allowed() -> None:
    batches = evaluation_batches([8] * 10 + [16] * 3, tokens_per_batch=64, round_to=8)
    assert [len(batch) for batch in batches] == [8, 4, 1]


@given(sequences=_sequences, round_to=st.integers(1, 9), data=st.data())
def test_padding_can_be_undone(
    sequences: list[list[int]], round_to: int, data: st.DataObject
) -> None:
    indices = data.draw(st.lists(st.integers(0, len(sequences) - 1), min_size=1))
    matrix = pad(_encoded(sequences), indices, round_to=round_to)
    assert matrix.dtype == np.int32
    assert [[token for token in row if token != PADDING] for row in matrix.tolist()] == [
        sequences[i] for i in indices
    ]
    assert (
        matrix.shape[1]
        == -(-max(1, *(len(sequences[i]) for i in indices), 1) // round_to) * round_to
    )
    assert all((np.diff((row == PADDING).astype(int)) >= 0).all() for row in matrix)


@given(sequences=_sequences, max_width=st.integers(1, 25))
def test_padding_keeps_the_last_tokens_within_the_greatest_width(
    sequences: list[list[int]], max_width: int
) -> None:
    matrix = pad(_encoded(sequences), range(len(sequences)), max_width=max_width)
    assert matrix.shape[1] <= max_width
    assert [[t for t in row if t != PADDING] for row in matrix.tolist()] == [
        tokens[-max_width:] for tokens in sequences
    ]


@given(lengths=_lengths, widths=st.sets(st.integers(1, 50), min_size=1, max_size=3).map(sorted))
def test_evaluation_batches_of_few_widths_have_one_width_each(
    lengths: list[int], widths: list[int]
) -> None:
    batches = evaluation_batches(lengths, tokens_per_batch=100, widths=widths)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    matrices = _encoded([[5] * length for length in lengths])
    for batch in batches:
        (width,) = {pad(matrices, [i], widths=widths).shape[1] for i in batch}
        assert width in widths or width > widths[-1]
        assert len(batch) == 1 or len(batch) * width <= 100


@given(sequences=_sequences, widths=st.sets(st.integers(1, 25), min_size=1).map(sorted))
def test_padding_to_few_widths_keeps_every_token(
    sequences: list[list[int]], widths: list[int]
) -> None:
    matrix = pad(_encoded(sequences), range(len(sequences)), max_width=widths[-1], widths=widths)
    longest = max(1, *(min(len(tokens), widths[-1]) for tokens in sequences), 1)
    assert matrix.shape[1] == min(width for width in widths if width >= longest)
    assert [[t for t in row if t != PADDING] for row in matrix.tolist()] == [
        tokens[-widths[-1] :] for tokens in sequences
    ]


@pytest.mark.parametrize(
    ("most", "worth", "widths"),
    [
        (1, 0, (100,)),
        (2, 0, (24, 100)),  # 1,000 sequences of 20, rounded up
        (3, 0, (24, 64, 100)),
        (9, 0, (24, 64, 96, 100)),
        (9, 10_000, (24, 100)),
        (9, 100_000, (100,)),
    ],
)
def test_few_widths_are_those_that_spare_most(
    most: int, worth: int, widths: tuple[int, ...]
) -> None:
    lengths, counts = [100, 20, 60, 90], [10, 1000, 100, 1]
    assert few_widths(lengths, counts, most=most, worth=worth) == widths


def test_a_batch_of_nothing_is_one_wide() -> None:
    assert pad(_encoded([[]]), [0], round_to=1).tolist() == [[PADDING]]
    assert pad(_encoded([[5]]), [], round_to=1).shape == (0, 1)


@given(sequences=_sequences, size=st.integers(3, 10), length=st.integers(1, 25))
def test_a_view_keeps_the_last_tokens_and_hides_rare_ones(
    sequences: list[list[int]], size: int, length: int
) -> None:
    encoded = _encoded(sequences)
    seen = encoded.view(vocabulary_size=size, max_length=length)
    expected = [[t if t < size else 2 for t in tokens[-length:]] for tokens in sequences]
    assert [
        seen.tokens[a:b].tolist() for a, b in zip(seen.offsets, seen.offsets[1:], strict=False)
    ] == expected
    assert (seen.tokens.dtype, seen.offsets.dtype) == (np.int32, np.int64)
    assert seen.lengths.tolist() == [len(tokens) for tokens in expected]
    assert [
        t for tokens in sequences for t in tokens
    ] == encoded.tokens.tolist()  # itself unchanged


@pytest.mark.parametrize(("size", "length"), [(2, 5), (5, 0)])
def test_a_view_of_nothing_is_refused(size: int, length: int) -> None:
    with pytest.raises(ValueError, match="vocabulary_size must be 3 or more and max_length 1"):
        _encoded([[1]]).view(vocabulary_size=size, max_length=length)


def test_batches_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size and window_batches must be 1 or more, got 0"):
        bucketed_batches([1], batch_size=0, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="tokens_per_batch and round_to must be 1 or more, got 0"):
        evaluation_batches([1], tokens_per_batch=0)


@given(st.lists(st.integers(1, 500), max_size=300), st.integers(1, 20), st.integers(0, 30))
def test_mixed_batches_come_first_and_nothing_is_lost(
    lengths: list[int], batch_size: int, mixed: int
) -> None:
    def batches(mixed_batches: int) -> list[np.ndarray]:
        return bucketed_batches(
            lengths,
            batch_size=batch_size,
            rng=np.random.default_rng(3),
            mixed_batches=mixed_batches,
        )

    order = np.random.default_rng(3).permutation(len(lengths))
    cut = batches(mixed)

    assert sorted(i for batch in cut for i in batch) == list(range(len(lengths)))
    np.testing.assert_array_equal(np.concatenate([*cut[:mixed], []]), order[: mixed * batch_size])
    assert all(len(batch) == batch_size for batch in cut[: min(mixed, len(lengths) // batch_size)])


def test_batches_after_the_mixed_ones_are_of_similar_lengths() -> None:
    lengths = np.random.default_rng(1).integers(1, 500, 64 * 60)

    def spread(batches: list[np.ndarray]) -> float:
        return float(np.mean([np.ptp(lengths[batch]) for batch in batches]))

    batches = bucketed_batches(
        lengths, batch_size=64, rng=np.random.default_rng(0), mixed_batches=10
    )

    assert spread(batches[:10]) > 400
    assert spread(batches[10:]) < 40
