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
    assert sizes.max() - sizes.min() <= 3
    of_class = [np.bincount(parts[train.labels == each])[1:] for each in range(3)]
    assert all(each.max() - each.min() <= 2 for each in of_class)  # a text may be there twice
    assert abs(sizes - len(validation)).max() <= 3


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


def with_splits(
    write_csv: WriteCsv, rows: list[tuple[str, str, str, str]], **settings: str
) -> Dataset:
    header = ("text", "label", "split", "film")
    return load_dataset(DataConfig(source=write_csv(rows, header=header), **settings))


def test_every_part_has_every_class_also_where_one_is_rare(write_csv: WriteCsv) -> None:
    rows = [(f"word{n} bad", "negative") for n in range(200)]
    rows += [(f"word{n} good", "positive") for n in range(7)]
    dataset = load_dataset(DataConfig(source=write_csv(rows)))
    train, validation = both(dataset)
    parts = parts_of(dataset)
    n_rare = int((train.labels == 1).sum())
    assert set(parts.tolist()) == {*range(n_rare + 1)}  # fewer parts, and rows that always train
    for part in range(1, n_rare + 1):
        assert set(train.labels[parts == part].tolist()) == {0, 1}
        assert abs((parts == part).sum() - len(validation)) <= 2


def test_a_group_as_large_as_many_others_is_always_learned_from(write_csv: WriteCsv) -> None:
    rows = [(f"large {n}", "ab"[n % 2], "train", "large") for n in range(300)]
    for split, films in (("train", 140), ("validation", 20), ("confirmation", 4), ("test", 4)):
        rows += [
            (f"{split} {film} {n}", "ab"[n % 2], split, f"{split} {film}")
            for film in range(films)
            for n in range(5)
        ]
    dataset = with_splits(write_csv, rows, group_column="film")
    validation = dataset.splits[Split.VALIDATION]
    parts = parts_of(dataset)
    clusters, counts = np.unique(dataset.clusters_of(Split.TRAIN), return_counts=True)
    large = clusters[counts.argmax()]
    assert counts.max() == 300
    assert set(parts[dataset.clusters_of(Split.TRAIN) == large].tolist()) == {0}
    assert abs(np.bincount(parts)[1:] - len(validation)).max() <= 10


def test_what_is_in_both_splits_is_always_learned_from(write_csv: WriteCsv) -> None:
    rows = [
        (
            f"{split} {n}",
            "ab"[n % 2],
            split,
            f"film {n % 30}" if split == "train" else f"film {n % 6}",
        )
        for split, many in (("train", 120), ("validation", 20), ("confirmation", 4), ("test", 4))
        for n in range(many)
    ]
    dataset = with_splits(write_csv, rows, group_column="film")
    shared = np.isin(dataset.clusters_of(Split.TRAIN), dataset.clusters_of(Split.VALIDATION))
    parts = parts_of(dataset)
    assert shared.any()
    assert not parts[shared].any()
    assert parts[~shared].any()


def test_no_part_is_much_smaller_than_the_validation_split(write_csv: WriteCsv) -> None:
    def parts_with(own_films: int) -> set[int]:
        rows = [
            (f"{split} {n}", "ab"[n % 2], split, f"film {n % 20}")
            for split, many in (
                ("train", 400),
                ("validation", 100),
                ("confirmation", 4),
                ("test", 4),
            )
            for n in range(many)
        ]
        rows += [(f"own {n}", "ab"[n % 2], "train", f"own {n}") for n in range(own_films)]
        return set(parts_of(with_splits(write_csv, rows, group_column="film")).tolist())

    assert parts_with(6) == {0}
    assert parts_with(60) == {0, 1}


def test_of_few_validation_rows_there_are_eight_parts_as_small(write_csv: WriteCsv) -> None:
    rows = [
        (f"{split} {n}", "ab"[n % 2], split, "")
        for split, many in (("train", 1000), ("validation", 10), ("confirmation", 9), ("test", 9))
        for n in range(many)
    ]
    parts = parts_of(with_splits(write_csv, rows))
    assert np.bincount(parts).tolist() == [930, *7 * [10]]


def test_groups_of_several_classes_are_dealt_by_the_rarest(write_csv: WriteCsv) -> None:
    """One row in 20 of a film is positive, never the first one; each fourth film has none."""
    rows = [
        (
            f"{split} {film} {n}",
            "positive" if film % 4 and n == 10 else "negative",
            split,
            f"{split} {film}",
        )
        for split, films in (("train", 36), ("validation", 5), ("confirmation", 5), ("test", 5))
        for film in range(films)
        for n in range(20)
    ]
    dataset = with_splits(write_csv, rows, group_column="film")
    train, validation = both(dataset)
    parts = parts_of(dataset)
    assert set(parts.tolist()) == set(range(1, 8))
    for part in range(1, 8):
        held = train.labels[parts == part]
        assert 0 < held.sum() < 9
        assert abs(len(held) - len(validation)) <= 40


def test_a_class_that_validates_nothing_is_always_learned_from(write_csv: WriteCsv) -> None:
    rows = [
        (f"{split} {film} {n}", label, split, f"{split} {film}")
        for split, films in (("train", 20), ("validation", 4), ("confirmation", 4), ("test", 4))
        for film in range(films)
        for n, label in enumerate("aabb" if split != "train" or film else "aabc")
    ]
    rows += [(f"{split} c", "c", split, f"{split} c") for split in ("confirmation", "test")]
    dataset = with_splits(write_csv, rows, group_column="film")
    train, _ = both(dataset)
    parts = parts_of(dataset)
    of_rare = dataset.clusters_of(Split.TRAIN)[train.labels == 2]
    assert len(of_rare) == 1
    assert not parts[np.isin(dataset.clusters_of(Split.TRAIN), of_rare)].any()
    assert set(parts.tolist()) == set(range(6))


def test_what_validates_has_as_many_copies_as_the_rest(write_csv: WriteCsv) -> None:
    """Few of many rows take turns, and these are drawn at random."""
    rows = [(f"text {n} {n % 2}", "ab"[n % 2], "train", "") for n in range(3000)]
    rows += [(f"text {n} {n % 2}", "ab"[n % 2], "train", "") for n in range(300)]
    for split in ("validation", "confirmation", "test"):
        rows += [(f"{split} {n}", "ab"[n % 2], split, "") for n in range(100)]
    dataset = with_splits(write_csv, rows)
    parts, clusters = parts_of(dataset), dataset.clusters_of(Split.TRAIN)
    _, cluster, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    is_copy = counts[cluster] == 2
    assert abs(is_copy[parts > 0].mean() - is_copy.mean()) < 0.08
    assert np.bincount(parts)[1:].min() >= 98
    assert np.bincount(parts)[1:].max() <= 102


def test_a_validation_split_larger_than_the_training_split_changes_places_with_it(
    write_csv: WriteCsv,
) -> None:
    rows = [(f"text {number}", "ab"[number % 2], "train") for number in range(30)]
    rows += [(f"other {number}", "ab"[number % 2], "validation") for number in range(40)]
    header = ("text", "label", "split")
    dataset = load_dataset(DataConfig(source=write_csv(rows, header=header)))
    assert set(parts_of(dataset).tolist()) == {1}
    train, validation = rows_for(*both(dataset), parts_of(dataset), 1)
    assert (rows_in(train), rows_in(validation)) == tuple(map(rows_in, both(dataset)[::-1]))
