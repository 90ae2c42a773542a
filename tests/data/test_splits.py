"""Splits and samples: copies share a split, sizes and classes are in proportion, the order of rows is irrelevant."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data import Dataset, Split, load_dataset, summarize, text_digest, text_digests
from tuner.data.splits import (
    CODES,
    assign_groups,
    assign_splits,
    hash_keys,
    sample_rows,
    units_of,
)
from tuner.errors import DataError
from tuner.settings.data import DataConfig, SplitRule

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


def texts_in(config: DataConfig) -> dict[Split, set[bytes]]:
    """The texts of each split, as digests."""
    return {split: set(digests) for split, digests in text_digests(config).items()}


def sizes(dataset: Dataset) -> dict[Split, int]:
    return {split: len(part) for split, part in dataset.splits.items()}


def test_without_given_splits_seven_tenths_train_and_a_tenth_is_in_each_other(
    write_csv: WriteCsv, forty_rows: Rows
) -> None:
    dataset = load_dataset(DataConfig(source=write_csv(forty_rows)))
    assert list(sizes(dataset).values()) == [28, 4, 4, 4]
    for part in dataset.splits.values():
        assert Counter(part.labels.tolist()) == {0: len(part) // 2, 1: len(part) // 2}


def test_splits_ignore_the_order_of_the_file(write_csv: WriteCsv, forty_rows: Rows) -> None:
    rows = [*forty_rows, *forty_rows[:7]]
    first = load_dataset(DataConfig(source=write_csv(rows, name="a.csv"), seed=3))
    Random(1).shuffle(rows)
    second = load_dataset(DataConfig(source=write_csv(rows, name="b.csv"), seed=3))
    assert first.fingerprint == second.fingerprint
    assert texts_of(first, Split.TRAIN) == texts_of(second, Split.TRAIN)


def test_another_seed_gives_other_splits(write_csv: WriteCsv, forty_rows: Rows) -> None:
    source = write_csv(forty_rows)
    first, second = (load_dataset(DataConfig(source=source, seed=seed)) for seed in (0, 1))
    assert first.fingerprint != second.fingerprint


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


@given(
    strata=st.lists(st.integers(0, 9), min_size=1, max_size=80),
    data=st.data(),
)
def test_a_sample_has_a_row_of_every_stratum_where_that_is_asked_for(
    strata: list[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(len(set(strata)), 90))
    keys = np.array(data.draw(st.permutations(range(len(strata)))), dtype=np.uint64)
    rows = sample_rows(np.array(strata), keys, size, least=1)
    assert len(set(rows.tolist())) == len(rows) == min(size, len(strata))
    assert {strata[row] for row in rows} == set(strata)


def test_a_given_split_is_honoured_and_the_missing_ones_come_from_train(
    write_csv: WriteCsv,
) -> None:
    rows = [(f"t{i} {'good' if i % 2 else 'bad'}", str(i % 2), "train") for i in range(40)]
    rows += [("seen at last", "1", "test"), ("dull", "0", " Test ")]
    source = write_csv(rows, ("text", "label", "Split"))
    dataset = load_dataset(DataConfig(source=source))
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
    dataset = load_dataset(DataConfig(source=write_csv(rows, ("text", "label", "split"))))
    assert list(sizes(dataset).values()) == [36, 6, 4, 1]


def test_copies_across_given_splits_stay_and_are_counted(write_csv: WriteCsv) -> None:
    rows = [(f"t{i}", str(i % 2), "train") for i in range(40)]
    rows += [(f"t{i}", str(i % 2), "test") for i in range(40)]
    summary = summarize(DataConfig(source=write_csv(rows, ("text", "label", "split"))))
    assert summary.splits[Split.TEST].rows == 40
    assert summary.findings.leaked == 32  # eight of the forty went to validation and confirmation
    assert summary.findings.duplicates == 40


def test_a_sample_is_the_same_for_the_same_seed_and_balanced(
    write_csv: WriteCsv, forty_rows: Rows
) -> None:
    source = write_csv(forty_rows)
    first = load_dataset(DataConfig(source=source, sample=16))
    source = write_csv(forty_rows[::-1])
    assert first.fingerprint == load_dataset(DataConfig(source=source, sample=16)).fingerprint
    assert sum(sizes(first).values()) == 16
    assert Counter(label for split in Split for _, label in texts_of(first, split)) == {0: 8, 1: 8}


@pytest.mark.parametrize("settings", [{}, {"group_column": "film"}, {"leave_out_rare": True}])
def test_the_split_of_a_row_does_not_depend_on_the_sample(
    write_csv: WriteCsv, settings: dict[str, Any]
) -> None:
    rows = _films(60, 5)
    source = write_csv(rows, ("text", "label", "film"))
    config = DataConfig.model_validate({"source": source, "seed": 3, **settings})
    whole = texts_in(config)
    for size in (8, 30, 150, 299):
        sampled = texts_in(config.model_copy(update={"sample": size}))
        assert sum(map(len, sampled.values())) == size
        for split in Split:
            assert sampled[split]
            assert sampled[split] <= whole[split]


def test_a_sample_of_an_earlier_run_is_split_after_it_was_drawn(
    write_csv: WriteCsv, forty_rows: Rows
) -> None:
    config = DataConfig(source=write_csv(forty_rows), sample=20, split_rule=SplitRule.SAMPLED_FIRST)
    earlier, whole = texts_in(config), texts_in(config.model_copy(update={"sample": None}))
    assert list(map(len, earlier.values())) == [14, 2, 2, 2]
    assert not earlier[Split.TRAIN] <= whole[Split.TRAIN]  # it trains on rows of other splits
    assert whole == texts_in(DataConfig(source=config.source))  # without a sample, all is as it was


def test_a_sample_without_place_for_every_class_is_refused(
    write_csv: WriteCsv, forty_rows: Rows
) -> None:
    config = DataConfig(source=write_csv(forty_rows), sample=7)
    with pytest.raises(DataError, match=r"--sample 7 has no place .*; write 8 or more"):
        load_dataset(config)


def test_a_sample_larger_than_the_data_is_all_of_it(write_csv: WriteCsv, forty_rows: Rows) -> None:
    dataset = load_dataset(DataConfig(source=write_csv(forty_rows), sample=1000))
    assert sum(sizes(dataset).values()) == 40


# -- groups and rare classes ----------------------------------------------------------------------


def _films(count: int, rows_each: int) -> list[tuple[str, str, str]]:
    """Reviews of films: each film has good and bad ones."""
    return [
        (f"review {row} of film {film}", str((film + row) % 2), f"film {film}")
        for film in range(count)
        for row in range(rows_each)
    ]


def test_a_row_whose_group_is_missing_is_a_group_of_its_own(tmp_path: Path) -> None:
    """Python's JSON writes NaN for a missing number."""
    lines = [
        json.dumps({"text": f"t{n}", "label": "ab"[n % 2], "film": math.nan if n < 20 else n // 2})
        for n in range(60)
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(lines), encoding="utf-8")
    dataset = load_dataset(DataConfig(source=str(source), group_column="film"))
    clusters = np.concatenate([dataset.clusters_of(split) for split in Split])
    assert len(np.unique(clusters)) == 20 + 20


def test_a_group_is_in_one_split(write_csv: WriteCsv) -> None:
    rows = _films(40, 5)
    config = DataConfig(source=write_csv(rows, ("text", "label", "film")), group_column="film")
    dataset = load_dataset(config)
    held = texts_in(config)
    splits_of: dict[str, set[Split]] = {}
    for text, _, film in rows:
        found = {split for split in Split if text_digest(text.split()) in held[split]}
        splits_of.setdefault(film, set()).update(found)
    assert all(len(each) == 1 for each in splits_of.values())
    assert sum(sizes(dataset).values()) == 200
    for split in (Split.VALIDATION, Split.CONFIRMATION, Split.TEST):
        assert 10 <= sizes(dataset)[split] <= 35


@pytest.mark.parametrize("sample", [None, 120])
def test_rows_of_one_text_or_group_are_one_cluster(write_csv: WriteCsv, sample: int | None) -> None:
    rows = [*_films(40, 5), *((f"review {n} of film 1", "0", f"film {n}") for n in range(5))]
    source = write_csv(rows, ("text", "label", "film"))
    films = {text_digest(text.split()): film for text, _, film in rows[:200]}
    grouped = DataConfig(source=source, group_column="film", sample=sample)
    plain = DataConfig(source=source, sample=sample)
    for config in (grouped, plain):
        dataset, digests = load_dataset(config), text_digests(config)
        for split in Split:
            clusters = dataset.clusters_of(split).tolist()
            assert len(clusters) == len(dataset.splits[split])
            texts = digests[split]
            assert len(set(zip(clusters, texts, strict=True))) == len(set(texts))
            if config is plain:
                assert len(set(clusters)) == len(set(texts))
            else:
                of_films = {films[text] for text in texts}
                assert len(set(clusters)) <= len(of_films) < len(set(texts))


def test_groups_ignore_the_order_of_the_file(write_csv: WriteCsv) -> None:
    rows = _films(30, 4)
    rows += [("a review without a film", "1", ""), ("another one", "0", "")]
    header = ("text", "label", "film")
    config = DataConfig(source=write_csv(rows, header), group_column="film", seed=2)
    first = load_dataset(config).fingerprint
    Random(1).shuffle(rows)
    assert load_dataset(config.at(write_csv(rows, header, name="b.csv"))).fingerprint == first


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 2), st.integers(0, 15)),
        min_size=1,
        max_size=80,
    ),
    seed=st.integers(0, 5),
)
def test_neither_a_text_nor_a_group_is_in_two_splits(
    rows: list[tuple[int, int, int]], seed: int
) -> None:
    rows += [
        (100 + 20 * label + i, label, 100 + 20 * label + i) for label in range(3) for i in range(12)
    ]
    texts, labels, groups = (np.array(column) for column in zip(*rows, strict=True))
    keys = hash_keys([bytes([i]) for i in range(200)], seed)
    codes = np.zeros(len(rows), dtype=np.int8)
    units = units_of(texts, groups)
    split = assign_groups(
        units, labels.astype(np.int32), codes, keys[texts], ["a", "b", "c"], "rows"
    )
    for column in (texts, groups):
        assert all(len(set(split[column == value])) == 1 for value in set(column.tolist()))
    for part in Split:
        assert set(labels[split == CODES[part]]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (_films(2, 20), "2 groups are too few for 4 splits; .*--group-column"),
        (
            [(f"text {n}", f"class {n // 5}", f"film {n // 5}") for n in range(30)],
            "class 'class [0-9]' is in groups of other splits than training alone",
        ),
    ],
)
def test_groups_that_cannot_be_split_are_refused(
    write_csv: WriteCsv, rows: list[tuple[str, str, str]], message: str
) -> None:
    source = write_csv(rows, ("text", "label", "film"))
    for seed in range(3):
        with pytest.raises(DataError, match=message):
            load_dataset(DataConfig(source=source, group_column="film", seed=seed))


@pytest.mark.parametrize("rule", [SplitRule.SAMPLED_FIRST, SplitRule.SPLIT_FIRST])
def test_groups_of_an_earlier_run_stay_in_their_splits(
    write_csv: WriteCsv, rule: SplitRule
) -> None:
    rows = [
        *_films(20, 9),
        *((f"odd {n} of film {n % 3}", "odd", f"film {n % 3}") for n in range(9)),
    ]
    source = write_csv(rows, ("text", "label", "film"))
    config = DataConfig(source=source, group_column="film", seed=3, split_rule=rule)
    earlier = load_dataset(config)  # its digest is what the version of these rules gave
    assert earlier.fingerprint == "8d0a4a358b2125e4f882983f734d96adc73c62074296e7e690a608be08d7a5f2"
    assert list(sizes(earlier).values()) == [108, 27, 27, 27]
    now = config.model_copy(update={"split_rule": SplitRule.GROUPS_IN_PROPORTION})
    assert list(sizes(load_dataset(now)).values()) == [135, 18, 18, 18]


def test_columns_and_beginnings_that_rows_share_are_warned_of(
    write_csv: WriteCsv, caplog: pytest.LogCaptureFixture
) -> None:
    header = ("text", "label", "Patient_ID")
    rows = [
        (f"report of patient {n // 5} in ward seven on day {n}", str(n % 2), f"{n // 5}")
        for n in range(100)
    ]
    source = write_csv(rows, header)
    load_dataset(DataConfig(source=source))
    assert "'Patient_ID' has 20 values in 100 rows; " in caplog.text
    assert "add --group-column Patient_ID" in caplog.text
    assert "100 of 100 texts begin with the same 8 tokens as another one" in caplog.text
    caplog.clear()
    load_dataset(DataConfig(source=source, group_column="Patient_ID"))
    assert not caplog.text


def test_texts_that_join_many_groups_are_warned_of(
    write_csv: WriteCsv, caplog: pytest.LogCaptureFixture
) -> None:
    header = ("text", "label", "user")
    rows = [
        ("lol" if n % 5 == 0 and n < 400 else f"message {n}", str(n % 2), f"{n // 10}")
        for n in range(600)
    ]
    config = DataConfig(source=write_csv(rows, header), group_column="user")
    dataset = load_dataset(config)
    sizes = [f"{len(dataset.splits[split]):,} {split}" for split in Split]
    assert (
        "40 of 60 groups share a split, because texts such as 'lol' are in several" in caplog.text
    )
    assert f"the splits have {', '.join(sizes)} rows" in caplog.text
    caplog.clear()
    few = [*rows[:10], *((f"other {n}", *rest) for n, (_, *rest) in enumerate(rows[10:]))]
    few[40] = (few[0][0], *few[40][1:])  # joins two groups alone
    load_dataset(DataConfig(source=write_csv(few, header), group_column="user"))
    assert not caplog.text


def test_rare_classes_are_left_out_where_that_is_asked_for(
    write_csv: WriteCsv, forty_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*forty_rows, ("rare one", "a rare one"), ("rare two", "a rare one"), ("odd", "odd")]
    source = write_csv(rows)
    with pytest.raises(DataError, match=r"class 'a rare one' has 2 .* --leave-out-rare"):
        load_dataset(DataConfig(source=source))
    for _ in range(2):
        caplog.clear()
        dataset = load_dataset(DataConfig(source=source, leave_out_rare=True))
        assert "2 classes with too few texts left out: 'a rare one', 'odd'" in caplog.text
    assert dataset.class_names == ("neg", "pos")
    whole = load_dataset(DataConfig(source=write_csv(forty_rows, name="b.csv")))
    assert dataset.fingerprint == whole.fingerprint


def test_data_of_rare_classes_alone_are_refused(write_csv: WriteCsv) -> None:
    source = write_csv([*((f"t{n}", "a") for n in range(20)), ("x", "b"), ("y", "c")])
    with pytest.raises(DataError, match="fewer than two classes have texts enough"):
        load_dataset(DataConfig(source=source, leave_out_rare=True))
