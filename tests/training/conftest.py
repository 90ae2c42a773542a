"""Tiny sequences whose class is easy to learn: one of its own tokens is in each of them."""

from collections.abc import Callable

import numpy as np
import pytest

from tuner.data import EncodedSequences

MakeSequences = Callable[..., EncodedSequences]


def _sequences(n: int, *, n_classes: int, seed: int) -> EncodedSequences:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n).astype(np.int32)
    sequences = []
    for label in labels:
        ids = rng.integers(3 + n_classes, 20, rng.integers(2, 12))
        ids[rng.integers(len(ids))] = 3 + label
        sequences.append(np.array([1, *ids], np.int32))
    offsets = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    return EncodedSequences(np.concatenate(sequences).astype(np.int32), offsets, labels)


@pytest.fixture
def make_sequences() -> MakeSequences:
    return _sequences


@pytest.fixture
def n_classes() -> int:
    return 2


@pytest.fixture
def train(n_classes: int) -> EncodedSequences:
    return _sequences(70, n_classes=n_classes, seed=1)


@pytest.fixture
def validation(n_classes: int) -> EncodedSequences:
    return _sequences(40, n_classes=n_classes, seed=2)
