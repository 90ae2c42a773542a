"""The rows that a test evaluation measures on: none that the run has seen, whatever split the data give them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tuner.data import load_dataset, read_rows, text_digests
from tuner.errors import DataError
from tuner.finalists.unseen import UnseenRows, unseen_of_file, unseen_of_split
from tuner.settings.data import DataConfig

Row = tuple[str, str, str]


@pytest.fixture
def config_of(tmp_path: Path) -> Callable[[Sequence[Row], str], DataConfig]:
    def _write(rows: Sequence[Row], name: str = "rows.csv") -> DataConfig:
        lines = ["text,label,split", *(",".join(row) for row in rows)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return DataConfig(source=str(tmp_path / name))

    return _write


TRAINED = [(f"film number {n}", "ab"[n % 2], "train") for n in range(40)]


def of_split(config: DataConfig) -> UnseenRows:
    return unseen_of_split(load_dataset(config), text_digests(config))


def test_rows_of_the_test_split_that_are_in_other_splits_are_left_out(config_of) -> None:
    test = [(f"new one {n}", "ab"[n % 2], "test") for n in range(6)]
    config = config_of([*TRAINED, *test, *((text, label, "test") for text, label, _ in TRAINED)])
    rows = of_split(config)
    assert (len(rows.sequences), rows.left_out) == (6, 40)
    assert len(rows.digests) == 6
    whole = of_split(config_of([*TRAINED, *test], "apart.csv"))
    assert (len(whole.sequences), whole.left_out) == (6, 0)
    assert sorted(rows.digests) == sorted(whole.digests)


def test_kept_rows_have_their_own_tokens_and_labels(config_of) -> None:
    test = [("film number 77", "a", "test"), ("film number 1", "b", "test")]
    config = config_of([*TRAINED, *test, ("number film", "b", "test")])
    dataset, rows = load_dataset(config), of_split(config)
    assert rows.left_out == 1
    kept = {
        " ".join(dataset.vocabulary[t] for t in rows.sequences.tokens[a + 1 : b]): int(label)
        for a, b, label in zip(
            rows.sequences.offsets[:-1], rows.sequences.offsets[1:], rows.labels, strict=True
        )
    }
    assert kept == {"film number [UNKNOWN]": 0, "number film": 1}


def test_a_test_split_without_a_new_text_is_refused(config_of) -> None:
    config = config_of([*TRAINED, *((text, label, "test") for text, label, _ in TRAINED[:5])])
    with pytest.raises(
        DataError, match=r"every text of its test split is .* with --data, or correct"
    ):
        of_split(config)


def test_copies_are_one_cluster_of_the_split_and_of_a_file(config_of) -> None:
    copies = [("one text", "a", "test")] * 3 + [("another", "b", "test")]
    config = config_of([*TRAINED, *copies])
    dataset, digests = load_dataset(config), text_digests(config)
    file = read_rows(config_of(copies, "file.csv"))
    for rows in (unseen_of_split(dataset, digests), unseen_of_file(file, dataset, digests)):
        by_text = dict(zip(rows.digests, rows.clusters.tolist(), strict=True))
        assert (len(rows.clusters), len(by_text), len(set(by_text.values()))) == (4, 2, 2)


def test_a_file_is_encoded_as_the_test_split_is(config_of) -> None:
    config = config_of([*TRAINED, ("film number 80", "a", "test"), ("film of 3", "b", "test")])
    dataset, digests = load_dataset(config), text_digests(config)
    own = unseen_of_split(dataset, digests)
    file = config_of([("film of 3", "b", "test"), ("film number 80", "a", "test")], "file.csv")
    rows = unseen_of_file(read_rows(file), dataset, digests)
    assert (rows.left_out, rows.of_test_split) == (0, 2)
    order = np.argsort([own.digests.index(each) for each in rows.digests])
    again = rows.sequences.only(order)
    assert (again.tokens == own.sequences.tokens).all()
    assert (again.labels == own.labels).all()
