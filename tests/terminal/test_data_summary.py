"""The figures of a data set on the terminal."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tuner.data import summarize
from tuner.settings.data import DataConfig
from tuner.terminal.data_summary import data_summary


def shown(classes: int, width: int, folder: Path) -> list[str]:
    """The lines of `tuner data` of 1,300 rows per class, on a terminal that is so wide."""
    rows = "".join(
        f"t{number},a class with a long name {number % classes}\n"
        for number in range(1300 * classes)
    )
    (folder / "a.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    summary = summarize(DataConfig(source=str(folder / "a.csv")), cache_folder=folder)
    console = Console(file=StringIO(), width=width)
    console.print(data_summary(summary, width))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "classes"), [(160, 8), (90, 8), (80, 7), (60, 4)])
def test_classes_that_are_not_shown_are_counted_and_numbers_stay_whole(
    width: int, classes: int, tmp_path: Path
) -> None:
    lines = shown(10, width, tmp_path)
    (train,) = (line.split() for line in lines if line.startswith("train "))
    assert train == ["train", "9,100", *["910"] * classes, f"{910 * (10 - classes):,}"]
    assert f"… {10 - classes}" in " ".join(lines[:12])


def test_all_of_eight_classes_are_shown(tmp_path: Path) -> None:
    lines = shown(8, 160, tmp_path)
    assert "more" not in " ".join(lines)
    assert ["test", "1,040", *["130"] * 8] in [line.split() for line in lines]


def test_lengths_are_told_as_they_are_counted(tmp_path: Path) -> None:
    told = (
        "tokens per row, with the start token: median 2, 90 % at most 2, 99 % at most 2, longest 2"
    )
    assert told in shown(2, 160, tmp_path)
