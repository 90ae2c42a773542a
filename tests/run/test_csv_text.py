"""The text of our CSV files: other programs read it back, and spreadsheets run none of it."""

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.run.csv_text import to_csv, write_csv


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(start: str) -> None:
    frame = pd.DataFrame({"error": [f"{start}HYPERLINK(1)", None], f"{start}x": ["fine", "1-1"]})
    text = to_csv(frame)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["error", f"'{start}x"], [f"'{start}HYPERLINK(1)", "fine"], ["", "1-1"]]


def test_a_lone_sign_is_no_formula() -> None:
    assert to_csv(pd.DataFrame({"class": ["+", "-"]})) == "class\r\n+\r\n-\r\n"


def test_chosen_columns_are_written_unchanged() -> None:
    frame = pd.DataFrame({"label": ["=1+1"], "text": ["=1+1"]})
    assert to_csv(frame, unchanged={"label"}) == "label,text\r\n=1+1,'=1+1\r\n"


def test_negative_numbers_are_no_formulas() -> None:
    scores = pd.array([-1.5, None], dtype="Float64")
    assert to_csv(pd.DataFrame({"trial": [1, 2], "score": scores})) == (
        "trial,score\r\n1,-1.5\r\n2,\r\n"
    )


@given(cells=st.lists(st.text(max_size=10), min_size=1, max_size=4))
def test_any_text_reads_back_from_csv_except_formulas(cells: list[str]) -> None:
    text = to_csv(pd.DataFrame({"error": cells, "n": range(len(cells))}))
    read = [row[0] for row in list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]]
    assert [cell.removeprefix("'") for cell in read] == [
        "".join(c if c in "\t\r\n" or not _is_control(c) else "�" for c in cell).removeprefix("'")
        for cell in cells
    ]
    harmless = re.compile(r"[+-]|[+-]?\d[\d.eE+-]*")
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not harmless.fullmatch(cell)
        for cell in read
    )


def _is_control(character: str) -> bool:
    return ord(character) < 32 or 127 <= ord(character) < 160


def test_commas_quotes_line_ends_and_other_scripts_survive_in_the_file(tmp_path: Path) -> None:
    errors = ['one, "two"', "first\nsecond", "内存不足 🙂", "a\r\nb"]
    write_csv(pd.DataFrame({"error": errors}), tmp_path / "board.csv")
    assert (tmp_path / "board.csv").read_bytes().startswith(b'error\r\n"one, ""two"""\r\n')
    with open(tmp_path / "board.csv", encoding="utf-8", newline="") as file:
        assert [row["error"] for row in csv.DictReader(file, strict=True)] == errors


def test_escape_sequences_do_not_get_into_the_file() -> None:
    assert "\x1b" not in to_csv(pd.DataFrame({"error": ["\x1b[2J gone"]}))


def test_control_characters_stay_where_they_are_asked_for_and_hide_no_formula() -> None:
    cells = ["a\x0b\x85\x1bb", "\x0c=1+1", "\x0b-5"]
    text = to_csv(pd.DataFrame({"text": cells}), keeps_controls=True)
    rows = [row for (row,) in csv.reader(io.StringIO(text, newline=""))]
    assert rows == ["text", cells[0], f"'{cells[1]}", cells[2]]
