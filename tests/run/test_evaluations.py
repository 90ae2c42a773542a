"""The test log: evaluations are recorded one after the other, and each knows the earlier ones of its rows."""

import errno
from collections.abc import Callable
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
from tuner.run import evaluations
from tuner.run.copies import record_evaluations
from tuner.run.evaluations import (
    MOST_CLASSES,
    TEST_SPLIT,
    append_evaluation,
    check_recordable,
    merge_evaluations,
    read_test_log,
)
from tuner.run.folder import RunFolder
from tuner.settings import yaml_files
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace
from tuner.terminal.finalists import evaluation_lines

FIGURES = evaluations.EvaluationFigures(
    sequences=4,
    accuracy=0.75,
    low=0.5,
    high=1.0,
    loss=float("inf"),
    classes={"no": evaluations.ClassFigures(precision=1, recall=0.5, f1=0.6, count=4)},
    confusion=((1, 1), (0, 2)),
)


def evaluation(
    opened: str, data: str = TEST_SPLIT, **others: int
) -> evaluations.RecordedEvaluation:
    return evaluations.RecordedEvaluation(
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


@pytest.mark.slow
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


def test_classes_without_sequences_are_not_called_the_worst(tmp_path: Path) -> None:
    names = [f"intent {number:02}" for number in range(30)]
    labels = np.array([28, 28, 29, 29], np.int32)
    probabilities = np.eye(30, dtype=np.float32)[[28, 28, 29, 7]]
    figures = figures_of(probabilities, labels, names)
    recorded = append_evaluation(
        RunFolder(tmp_path), evaluation("now").model_copy(update={"figures": figures})
    )
    (kept,) = read_test_log(RunFolder(tmp_path))
    assert list(kept.figures.classes)[:3] == ["intent 29", "intent 28", "intent 00"]
    lines = evaluation_lines(recorded)
    place = next(n for n, line in enumerate(lines) if line.startswith("macro F1"))
    assert lines[place] == (
        "macro F1   0.5556 of the 3 classes that occur, of 30; those of lowest F1:"
    )
    assert lines[place + 1].startswith("intent 29: precision 1.0000, recall 0.5000")


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


@pytest.mark.parametrize(
    ("step", "reason"), [("lock_file", "No locks available"), ("can_be_made", "may not be written")]
)
def test_a_folder_that_cannot_record_an_evaluation_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, reason: str
) -> None:
    def refuse(*_: object, **__: object) -> bool:
        if step == "can_be_made":
            return False
        raise OSError(errno.ENOLCK, "No locks available")

    check_recordable(RunFolder(tmp_path))
    monkeypatch.setattr(evaluations, step, refuse)
    with pytest.raises(RunFolderError, match=rf"no test evaluation .* \(.*{reason}\); copy it"):
        check_recordable(RunFolder(tmp_path))


def test_a_log_may_be_larger_than_a_file_that_a_person_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    labels = np.arange(MOST_CLASSES, dtype=np.int32)
    names = [f"a class of a long name, {label}" for label in labels]
    figures = figures_of(np.eye(MOST_CLASSES, dtype=np.float32), labels, names)
    large = evaluation("now").model_copy(update={"figures": figures})
    append_evaluation(folder, large)
    size = folder.tests.stat().st_size
    assert 1000 * size < 10_000_000  # so many evaluations are read
    monkeypatch.setattr(yaml_files, "_MAX_BYTES", size // 3)
    monkeypatch.setattr(yaml_files, "_MAX_NODES", 200)
    append_evaluation(folder, large)
    assert [each.figures for each in read_test_log(folder)] == [figures, figures]


def reader(folder: RunFolder) -> Callable[[str], bytes | None]:
    def read(name: str) -> bytes | None:
        path = folder.path / name
        return path.read_bytes() if path.is_file() else None

    return read


def test_evaluations_of_another_copy_are_added_and_those_here_stay(tmp_path: Path) -> None:
    here, there = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "there")
    for folder in (here, there):
        folder.path.mkdir()
        append_evaluation(folder, evaluation("2026-01-01"))
    append_evaluation(here, evaluation("2026-01-03"))
    append_evaluation(there, evaluation("2026-01-02"))
    for _ in range(2):
        merge_evaluations(here, reader(there))
        assert [each.opened[-1] for each in read_test_log(here)] == ["1", "2", "3"]
    assert len(read_test_log(here)[2].before) == 2
    merge_evaluations(here, lambda name: None)
    assert len(read_test_log(here)) == 3


def test_tables_of_classes_are_merged_under_free_names(tmp_path: Path) -> None:
    here, there = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "there")
    labels = np.arange(30, dtype=np.int32)
    figures = figures_of(np.eye(30, dtype=np.float32), labels, [str(label) for label in labels])
    for number, folder in enumerate((here, there)):
        each = evaluation(str(number)).model_copy(update={"figures": figures})
        assert append_evaluation(folder, each).per_class == "tests/1.csv"
    merge_evaluations(here, reader(there))
    assert [each.per_class for each in read_test_log(here)] == ["tests/1.csv", "tests/2.csv"]
    assert (here.path / "tests/2.csv").read_bytes() == (there.path / "tests/1.csv").read_bytes()


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "run.yaml", "tests/../x.csv"])
def test_another_copy_cannot_name_other_files_as_tables(tmp_path: Path, name: str) -> None:
    here, there = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "there")
    append_evaluation(there, evaluation("1"))
    text = there.tests.read_text().replace("left_out: 0", f"left_out: 0\n  per_class: {name}")
    there.tests.write_text(text)
    asked = []

    def read(wanted: str) -> bytes | None:
        asked.append(wanted)
        return reader(there)(wanted)

    merge_evaluations(here, read)
    assert asked == ["tests.yaml"]
    assert read_test_log(here)[0].per_class is None


def test_a_run_with_a_copy_in_storage_has_its_evaluations_there_too(
    tmp_path: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "cache"))
    config = make_config({"space": space, "out": f"file://{tmp_path}/copy", "name": "x"})
    folder, there = RunFolder(config.folder), RunFolder(tmp_path / "copy" / "x")
    append_evaluation(there, evaluation("1"))  # from another machine
    append_evaluation(folder, evaluation("2"))
    record_evaluations(folder, config)
    for each in (folder, there):
        assert [one.opened for one in read_test_log(each)] == ["1", "2"]
    record_evaluations(RunFolder(tmp_path), config)  # a run that was copied by hand
    assert not RunFolder(tmp_path).tests.exists()
