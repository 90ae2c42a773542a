"""The summary of a data set that `tuner data` prints before anyone trains on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuner.data.dataset import START, Dataset, Split
from tuner.data.findings import Findings
from tuner.data.load import prepare, warn
from tuner.settings.data import DataConfig

_VOCABULARY_SIZES = (5_000, 10_000, 20_000)


@dataclass(frozen=True)
class SplitBalance:
    """Rows of a split, and of each class in it, in the order of the class names."""

    rows: int
    by_class: tuple[int, ...]


@dataclass(frozen=True)
class Lengths:
    """Tokens of a sequence, its START counted, as `max_length` counts them; over all splits."""

    median: int
    percentile_90: int
    percentile_99: int
    longest: int


@dataclass(frozen=True)
class DataSummary:
    """A data set in numbers.

    Attributes:
        coverage: for a `vocabulary_size`, the share of training tokens that keep their id.
    """

    name: str
    fingerprint: str
    rows: int
    class_names: tuple[str, ...]
    splits: Mapping[Split, SplitBalance]
    lengths: Lengths
    vocabulary_size: int
    coverage: Mapping[int, float]
    findings: Findings


def summarize(config: DataConfig, *, cache_folder: Path | None = None) -> DataSummary:
    """The summary of the data set that `load_dataset` gives for the same arguments.

    Raises:
        DataError: as `load_dataset`.
    """
    prepared = prepare(config, cache_folder=cache_folder)
    dataset = prepared.dataset
    warn(config, prepared.findings.warnings)
    lengths = np.concatenate([sequences.lengths for sequences in dataset.splits.values()])
    median, percentile_90, percentile_99, longest = np.percentile(
        lengths, (50, 90, 99, 100), method="higher"
    )
    return DataSummary(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        rows=len(lengths),
        class_names=dataset.class_names,
        splits={split: _balance(dataset, split) for split in Split},
        lengths=Lengths(int(median), int(percentile_90), int(percentile_99), int(longest)),
        vocabulary_size=len(dataset.vocabulary),
        coverage=_coverage(dataset),
        findings=prepared.findings,
    )


def _balance(dataset: Dataset, split: Split) -> SplitBalance:
    sequences = dataset.splits[split]
    by_class = np.bincount(sequences.labels, minlength=len(dataset.class_names))
    return SplitBalance(len(sequences), tuple(by_class.tolist()))


def _coverage(dataset: Dataset) -> dict[int, float]:
    tokens = dataset.splits[Split.TRAIN].tokens
    words = tokens[tokens != START]
    return {size: float((words < size).mean()) if len(words) else 1.0 for size in _VOCABULARY_SIZES}
