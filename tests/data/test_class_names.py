"""A label is a text: the same class in every format, whatever type the format gives it."""

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tuner.data import load_dataset, read_rows
from tuner.data.cells import alike, class_names_of, class_numbers
from tuner.errors import DataError
from tuner.settings.data import DataConfig

Labels = list[object]


def _csv(path: Path, labels: Labels) -> None:
    rows = [f"text number {number},{label}" for number, label in enumerate(labels)]
    path.write_text("\n".join(["text,label", *rows]))


def _json_lines(path: Path, labels: Labels) -> None:
    rows = [{"text": f"text number {n}", "label": label} for n, label in enumerate(labels)]
    path.write_text("\n".join(map(json.dumps, rows)))


def _parquet(path: Path, labels: Labels) -> None:
    texts = [f"text number {number}" for number in range(len(labels))]
    pq.write_table(pa.table({"text": texts, "label": labels}), path)


WRITERS: list[Callable[[Path, Labels], None]] = [_csv, _json_lines, _parquet]


@pytest.mark.parametrize(
    "labels", [[0, 1], [0.0, 1.0], [0.5, 4.5], [False, True], ["no", "NA"], [-1, 1]]
)
def test_the_classes_of_one_format_are_known_in_the_others(tmp_path: Path, labels: Labels) -> None:
    datasets = []
    for number, write in enumerate(WRITERS):
        path = tmp_path / f"rows{number}.{('csv', 'jsonl', 'parquet')[number]}"
        write(path, labels * 8)
        datasets.append(load_dataset(DataConfig(source=str(path))))
    for dataset in datasets:
        for other in datasets:
            numbers = class_numbers(other.class_names, dataset.class_names, "other")
            assert numbers.tolist() == [0, 1]


@pytest.mark.parametrize(
    "labels",
    [
        [Decimal("1.00"), Decimal("2.50")],
        [Decimal("-1"), Decimal("20")],
        [date(2026, 1, 31), date(2026, 11, 2)],
        [datetime(2026, 1, 31, 12, 30), datetime(2026, 11, 2)],
    ],
)
def test_classes_that_only_parquet_has_types_for_are_those_of_the_csv(
    tmp_path: Path, labels: Labels
) -> None:
    _csv(tmp_path / "rows.csv", labels * 8)
    _parquet(tmp_path / "rows.parquet", labels * 8)
    of_csv, of_parquet = (
        read_rows(DataConfig(source=str(tmp_path / f"rows.{ending}"))).labels
        for ending in ("csv", "parquet")
    )
    names = class_names_of(of_csv)
    assert class_numbers(of_parquet, names, "rows").tolist() == [0, 1] * 8
    assert class_numbers(of_csv, class_names_of(of_parquet), "rows").tolist() == [0, 1] * 8


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_short_floats_of_parquet_are_the_classes_that_a_csv_shows(
    tmp_path: Path, kind: pa.DataType
) -> None:
    texts = [f"text number {number}" for number in range(4)]
    labels = pa.array(np.array([0.1, -2.7, 3, 1e-5], kind.to_pandas_dtype()), kind)
    pq.write_table(pa.table({"text": texts, "label": labels}), tmp_path / "rows.parquet")
    found = read_rows(DataConfig(source=str(tmp_path / "rows.parquet"))).labels
    assert found == ["0.1", "-2.7", "3", "1e-05"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["1.0", "0.0"], ("0.0", "1.0")),  # as they are written
        (["1.0", "1", "0.0"], ("0.0", "1")),
        (["1", "+1", "-1"], ("-1", "1")),
        (["1.0", "1.1", "2.0"], ("1.0", "1.1", "2.0")),  # versions
        (["True", "true", "False"], ("False", "true")),
        (["yes", "Yes"], ("Yes", "yes")),
        (["01", "1"], ("01", "1")),  # codes
        (["+", "-", "NA", "null", "no"], ("+", "-", "NA", "no", "null")),
    ],
)
def test_a_class_has_the_name_that_its_label_has(labels: list[str], names: tuple[str, ...]) -> None:
    assert class_names_of(labels) == names
    numbers = class_numbers(labels, names, "rows.csv")
    assert {names[number] for number in numbers} == set(names)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["good", "Good", "bad"], [("good", "Good")]),
        (
            ["very good", "very  good", "very\u00a0good"],
            [("very good", "very  good", "very\u00a0good")],
        ),
        (["1.50", "1.5", "01.5", "15"], [("1.50", "1.5", "01.5")]),
        (["1234567890123456789", "1234567890123456790", "0.1", "0.10000000000000000001"], []),
        (["ﬁne", "fine"], [("ﬁne", "fine")]),
        (["+", "-", "a", "b", "1", "-1", "1e3", "1000"], []),
    ],
)
def test_classes_that_are_perhaps_one_are_found(
    names: list[str], pairs: list[tuple[str, ...]]
) -> None:
    assert alike(names) == pairs


def test_classes_that_look_alike_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.csv"
    _csv(path, ["yes", "Yes", "no"] * 8)
    load_dataset(DataConfig(source=str(path)))
    assert f"{path}: classes 'Yes', 'yes' look alike" in caplog.text


def test_classes_of_an_older_run_that_are_spelled_alike_stay_apart() -> None:
    assert class_numbers(["1.0", "1"], ("1", "1.0"), "rows.csv").tolist() == [1, 0]


def test_a_label_that_looks_like_a_class_of_the_model_is_told_how_to_be_written() -> None:
    with pytest.raises(DataError, match="knows no class 'Good'; write 'good'; it knows"):
        class_numbers(["Good"], ("bad", "good"), "rows.csv")


def test_a_label_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(
        DataError, match=r"rows.csv: the model knows no class '2'; it knows '0', '1'"
    ):
        class_numbers(["1.0", "2"], ("0", "1"), "rows.csv")
