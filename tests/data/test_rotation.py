"""Parts of the training and validation rows: alike in size and classes, copies together, whatever the file's order."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from support.grouped_data import write_groups

from tuner.data import Dataset, EncodedSequences, Split, load_dataset
from tuner.data.rotation import parts_of, rotated, rows_for
from tuner.settings.data import DataConfig

WriteCsv = Callable[..., str]
Row = tuple[str, int]


def rows_in(*parts: EncodedSequences) -> Counter[Row]:
    """How often each text has each label in these sequences."""
    return Counter(
        (each.tokens[start:end].tobytes().hex(), int(label))
        for each in parts
        for start, end, label in zip(each.offsets, each.offsets[1:], each.labels, strict=False)
    )


def both(dataset: Dataset) -> tuple[EncodedSequences, EncodedSequences]:
    return dataset.splits[Split.TRAIN], dataset.splits[Split.VALIDATION]


@pytest.fixture
def rows() -> list[tuple[str, str]]:
    """Three classes of 90, 60 and 30 texts, of which ten are there twice."""
    texts = [
        (f"word{n} {name}", name)
        for name, many in zip("abc", (90, 60, 30), strict=True)
        for n in range(many)
    ]
    return [*texts, *texts[:10]]


@pytest.fixture
def dataset(write_csv: WriteCsv, rows: list[tuple[str, str]]) -> Dataset:
    return load_dataset(DataConfig(source=write_csv(rows)))


def test_parts_are_as_large_as_the_validation_split_and_hold_the_classes_alike(
    dataset: Dataset,
) -> None:
    train, validation = both(dataset)
    parts = parts_of(dataset)
    assert len(parts) == len(train)
    assert set(parts.tolist()) == set(range(1, 8))  # seven tenths train, one validates
    sizes = np.bincount(parts)[1:]
    assert abs(sizes - len(validation)).max() <= 3
    for part in range(1, 8):
        found = np.bincount(train.labels[parts == part], minlength=3)
        assert abs(found - np.bincount(validation.labels, minlength=3)).max() <= 3


def test_every_row_validates_once_and_is_learned_from_otherwise(dataset: Dataset) -> None:
    parts = parts_of(dataset)
    every, seen = rows_in(*both(dataset)), Counter[Row]()
    for part in range(int(parts.max()) + 1):
        train, validation = rows_for(*both(dataset), parts, part)
        assert rows_in(train, validation) == every
        assert not rows_in(train).keys() & rows_in(validation).keys()  # copies stay together
        seen.update(rows_in(validation))
        again = rotated(dataset, part)
        assert (rows_in(both(again)[0]), rows_in(both(again)[1])) == (
            rows_in(train),
            rows_in(validation),
        )
        for split in (Split.TRAIN, Split.VALIDATION):
            assert len(again.clusters_of(split)) == len(again.splits[split])
    assert seen == every


def test_part_0_is_the_validation_split(dataset: Dataset) -> None:
    train, validation = rows_for(*both(dataset), parts_of(dataset), 0)
    assert (train, validation) == both(dataset)
    assert rotated(dataset, 0) is dataset


def test_the_order_of_the_file_decides_nothing(
    dataset: Dataset, write_csv: WriteCsv, rows: list[tuple[str, str]]
) -> None:
    shuffled = Random(3).sample(rows, len(rows))
    other = load_dataset(DataConfig(source=write_csv(shuffled, name="other.csv")))
    assert other.fingerprint == dataset.fingerprint
    assert (parts_of(other) == parts_of(dataset)).all()


def test_a_group_is_in_one_part(tmp_path: Path) -> None:
    source = str(write_groups(tmp_path))
    grouped = load_dataset(DataConfig(source=source, group_column="customer"))
    parts, clusters = parts_of(grouped), grouped.clusters_of(Split.TRAIN)
    assert parts.max() > 1
    assert all(len(set(parts[clusters == each])) == 1 for each in np.unique(clusters))


def test_there_are_no_more_parts_than_texts(write_csv: WriteCsv) -> None:
    """A validation split of the person's own may be larger than the training split."""
    rows = [(f"text {number}", "ab"[number % 2], "train") for number in range(6)]
    rows += [(f"other {number}", "ab"[number % 2], "validation") for number in range(40)]
    header = ("text", "label", "split")
    dataset = load_dataset(DataConfig(source=write_csv(rows, header=header)))
    assert set(parts_of(dataset).tolist()) == {1}
    train, validation = rows_for(*both(dataset), parts_of(dataset), 1)
    assert (rows_in(train), rows_in(validation)) == tuple(map(rows_in, both(dataset)[::-1]))
