"""Splits and samples: copies share a split, sizes and classes are in proportion, the order of rows is irrelevant."""

from collections import Counter
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data import Dataset, Split, load_dataset, summarize
from tuner.data.splits import CODES, assign_splits, hash_keys, sample_rows
from tuner.settings.data import DataConfig

WriteCsv = Callable[..., str]
Rows = list[tuple[str, str]]


def texts_of(dataset: Dataset, split: Split) -> list[tuple[str, int]]:
    """Each row's tokens, joined, with its label."""
    part = dataset.splits[split]
    bounds = zip(part.offsets, part.offsets[1:], part.labels, strict=False)
    return [
        (" ".join(dataset.vocabulary[t] for t in part.tokens[a + 1 : b]), int(c))
        for a, b, c in bounds
    ]


def sizes(dataset: Dataset) -> dict[Split, int]:
    return {split: len(part) for split, part in dataset.splits.items()}


def test_without_given_splits_seven_tenths_train_and_a_tenth_is_in_each_other(
    write_csv: WriteCsv, forty_rows: Rows
) -> None:
    dataset = load_dataset(DataConfig(source=write_csv(forty_rows)), seed=0)
    assert list(sizes(dataset).values()) == [28, 4, 4, 4]
    for part in dataset.splits.values():
        assert Counter(part.labels.tolist()) == {0: len(part) // 2, 1: len(part) // 2}


def test_splits_ignore_the_order_of_the_file(write_csv: WriteCsv, forty_rows: Rows) -> None:
    rows = [*forty_rows, *forty_rows[:7]]
    first = load_dataset(DataConfig(source=write_csv(rows, name="a.csv")), seed=3)
    Random(1).shuffle(rows)
    second = load_dataset(DataConfig(source=write_csv(rows, name="b.csv")), seed=3)
    assert first.fingerprint == second.fingerprint
    assert texts_of(first, Split.TRAIN) == texts_of(second, Split.TRAIN)


def test_another_seed_gives_other_splits(write_csv: WriteCsv, forty_rows: Rows) -> None:
    config = DataConfig(source=write_csv(forty_rows))
    assert load_dataset(config, seed=0).fingerprint != load_dataset(config, seed=1).fingerprint


_labelled = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=1, max_size=80)


@given(rows=_labelled, seed=st.integers(-5, 5), with_test=st.booleans(), data=st.data())
def test_copies_share_a_split_and_every_class_is_in_each(
    rows: list[tuple[int, int]], seed: int, with_test: bool, data: st.DataObject
) -> None:
    rows += [(100 + 10 * label + i, label) for label in range(3) for i in range(4)]
    texts, labels = (np.array(column) for column in zip(*rows, strict=True))
    keys = hash_keys([bytes([i]) for i in range(200)], seed)
    codes = np.zeros(len(rows), dtype=np.int8)
    if with_test:
        codes[0] = CODES[Split.TEST]
        codes[-12:] = 0
    names = ["a", "b", "c"]
    split = assign_splits(texts, labels.astype(np.int32), codes, keys, names, "rows")

    carved = codes == 0
    assert all(len(set(split[carved & (texts == text)])) <= 1 for text in texts)
    assert (split[~carved] == CODES[Split.TEST]).all()
    for part in (Split.TRAIN, Split.VALIDATION, Split.CONFIRMATION):
        assert set(labels[split == CODES[part]]) == {0, 1, 2}
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    again = assign_splits(
        texts[order], labels[order].astype(np.int32), codes[order], keys, names, "rows"
    )
    assert (again == split[order]).all()


@given(strata=st.lists(st.integers(0, 3), min_size=1, max_size=80), data=st.data())
def test_a_sample_has_the_given_size_and_the_strata_in_proportion(
    strata: list[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 90))
    keys = np.array(data.draw(st.permutations(range(len(strata)))), dtype=np.uint64)
    rows = sample_rows(np.array(strata), keys, size)
    assert len(set(rows.tolist())) == len(rows) == min(size, len(strata))
    for stratum, count in Counter(strata).items():
        share = count * min(1, size / len(strata))
        assert abs(sum(strata[row] == stratum for row in rows) - share) < 1


def test_a_given_split_is_honoured_and_the_missing_ones_come_from_train(
    write_csv: WriteCsv,
) -> None:
    rows = [(f"t{i} {'good' if i % 2 else 'bad'}", str(i % 2), "train") for i in range(40)]
    rows += [("seen at last", "1", "test"), ("dull", "0", " Test ")]
    source = write_csv(rows, ("text", "label", "Split"))
    dataset = load_dataset(DataConfig(source=source), seed=0)
    assert sizes(dataset) == {
        Split.TRAIN: 32, Split.VALIDATION: 4, Split.CONFIRMATION: 4, Split.TEST: 2,
    }  # fmt: skip
    assert Counter(label for _, label in texts_of(dataset, Split.TEST)) == {0: 1, 1: 1}


@pytest.mark.parametrize("word", ["validation", "val", "valid", "dev"])
def test_with_validation_and_test_given_only_confirmation_is_carved(
    write_csv: WriteCsv, word: str
) -> None:
    rows = [(f"t{i}", str(i % 2), "train") for i in range(40)]
    rows += [(f"v{i}", str(i % 2), word) for i in range(6)] + [("x", "1", "test")]
    dataset = load_dataset(DataConfig(source=write_csv(rows, ("text", "label", "split"))), seed=0)
    assert list(sizes(dataset).values()) == [36, 6, 4, 1]


def test_copies_across_given_splits_stay_and_are_counted(write_csv: WriteCsv) -> None:
    rows = [(f"t{i}", str(i % 2), "train") for i in range(40)]
    rows += [(f"t{i}", str(i % 2), "test") for i in range(40)]
    summary = summarize(DataConfig(source=write_csv(rows, ("text", "label", "split"))), seed=0)
    assert summary.splits[Split.TEST].rows == 40
    assert summary.findings.leaked == 32  # eight of the forty went to validation and confirmation
    assert summary.findings.duplicates == 40


def test_a_sample_is_the_same_for_the_same_seed_and_balanced(
    write_csv: WriteCsv, forty_rows: Rows
) -> None:
    source = write_csv(forty_rows)
    first = load_dataset(DataConfig(source=source, sample=16), seed=0)
    source = write_csv(forty_rows[::-1])
    assert (
        first.fingerprint == load_dataset(DataConfig(source=source, sample=16), seed=0).fingerprint
    )
    assert sum(sizes(first).values()) == 16
    assert Counter(label for split in Split for _, label in texts_of(first, split)) == {0: 8, 1: 8}


def test_a_sample_larger_than_the_data_is_all_of_it(write_csv: WriteCsv, forty_rows: Rows) -> None:
    dataset = load_dataset(DataConfig(source=write_csv(forty_rows), sample=1000), seed=0)
    assert sum(sizes(dataset).values()) == 40
