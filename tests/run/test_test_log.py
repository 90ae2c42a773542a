"""The test log: evaluations are recorded one after the other, and each knows the earlier ones of its rows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from support.run_files import write_tests

from tuner.errors import RunFolderError
from tuner.finalists.testing import figures_of
from tuner.report.tables import confusion
from tuner.run import test_log
from tuner.run.folder import RunFolder
from tuner.run.test_log import TEST_SPLIT, append_evaluation, read_test_log
from tuner.terminal.finalists import evaluation_lines

FIGURES = test_log.TestFigures(
    sequences=4,
    accuracy=0.75,
    low=0.5,
    high=1.0,
    loss=float("inf"),
    classes={"no": test_log.ClassFigures(precision=1, recall=0.5, f1=0.6, count=4)},
    confusion=((1, 1), (0, 2)),
)


def evaluation(opened: str, data: str = TEST_SPLIT, **others: int) -> test_log.TestEvaluation:
    return test_log.TestEvaluation(
        opened=opened, data=data, members=("trial 3, seed 5",), figures=FIGURES, **others
    )


def test_before_any_evaluation_the_log_is_empty(tmp_path: Path) -> None:
    assert read_test_log(RunFolder(tmp_path)) == ()


def test_a_recorded_evaluation_reads_back_the_same(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    recorded = [append_evaluation(folder, evaluation(str(number))) for number in range(3)]
    assert read_test_log(folder) == tuple(recorded)
    assert recorded[2].before == ("0", "1")
    content = yaml.safe_load(folder.tests.read_text(encoding="utf-8"))
    assert list(content) == ["openings"]
    assert list(content["openings"][0]) == [
        *("opened", "data", "members", "figures", "left_out", "of_test_split")
    ]


def test_a_log_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    write_tests(RunFolder(tmp_path))
    (read,) = read_test_log(RunFolder(tmp_path))
    assert (read.data, read.left_out, read.figures.confusion) == (
        TEST_SPLIT,
        0,
        ((35, 15), (5, 45)),
    )


def test_a_thousand_classes_are_in_a_table_and_the_log_stays_readable(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    labels = np.arange(1000, dtype=np.int32)
    probabilities = np.eye(1000, dtype=np.float32)[np.maximum(labels - labels % 2, 0)]
    names = [f"intent {number}" for number in range(1000)]
    figures = figures_of(probabilities, labels, names)
    for number in (1, 2, 3):
        recorded = append_evaluation(
            folder, evaluation("now").model_copy(update={"figures": figures})
        )
        assert recorded.figures == figures
        assert recorded.per_class == f"tests/{number}.csv"
        lines = evaluation_lines(recorded)
        assert len(lines) < 25
        assert max(map(len, lines)) < 160
        assert f"All classes: tests/{number}.csv" in lines
    assert folder.tests.stat().st_size < 20_000
    assert [len(each.figures.classes) for each in read_test_log(folder)] == [20, 20, 20]
    table = pd.read_csv(tmp_path / "tests/3.csv")
    assert len(table) == 1000
    assert table.iloc[1].to_dict() == {
        "class": "intent 1", "precision": 0.0, "recall": 0.0, "f1": 0.0, "count": 1,
        "most_often_called": "intent 0", "so_often": 1,
    }  # fmt: skip
    assert folder.test_classes / "3.csv" in folder.result_files
    assert len(confusion(read_test_log(folder)[0].figures).rows) == 20


@pytest.mark.parametrize(
    ("first", "second", "shares"),
    [
        ({}, {}, True),
        ({"data": "a.csv"}, {"data": "a.csv"}, True),
        ({"data": "a.csv"}, {"data": "b.csv"}, False),
        ({"data": "a.csv"}, {}, False),
        ({"data": "a.csv", "of_test_split": 3}, {}, True),
        ({"data": "a.csv", "of_test_split": 3}, {"data": "b.csv", "of_test_split": 1}, True),
    ],
)
def test_evaluations_of_the_same_rows_know_each_other(
    tmp_path: Path, first: dict[str, object], second: dict[str, object], shares: bool
) -> None:
    folder = RunFolder(tmp_path)
    append_evaluation(folder, evaluation("earlier", **first))
    later = append_evaluation(folder, evaluation("later", **second))
    assert later.before == (("earlier",) if shares else ())


def test_evaluations_that_end_together_are_all_recorded(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: append_evaluation(RunFolder(tmp_path), evaluation(n)), "01234567"))
    assert sorted(each.opened for each in read_test_log(RunFolder(tmp_path))) == [*"01234567"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("openings: 3", r"damaged \(openings: .*got 3\)"),
        ("{}", r"damaged \(openings: is missing"),
        ("openings: [{figures: {}}]", r"damaged \(openings\[0\]\.opened: is missing"),
        ("a: [", r"tests\.yaml: "),
        ("", r"tests\.yaml: "),
    ],
)
def test_a_damaged_log_is_refused_in_one_line_and_stays(
    tmp_path: Path, content: str, message: str
) -> None:
    folder = RunFolder(tmp_path)
    folder.tests.write_text(content, encoding="utf-8")
    for use in (read_test_log, lambda folder: append_evaluation(folder, evaluation("now"))):
        with pytest.raises(RunFolderError, match=rf"{message}.*; move it away$") as refused:
            use(folder)
        assert str(refused.value).isprintable()
    assert folder.tests.read_text(encoding="utf-8") == content
