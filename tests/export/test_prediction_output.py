"""Predictions as CSV and JSON lines: every cell in a form that other programs read, and no more digits than it has."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tuner.data.files import read_table
from tuner.export.card import class_list
from tuner.export.formats import PredictionFormat
from tuner.export.prediction import predict_file


class Sure:
    """A classifier that is as sure of every text, in the type that a model's probabilities have."""

    text_column = None

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        sure = np.full(len(texts), 0.91234544, np.float32)
        return pd.DataFrame({"label": ["good"] * len(texts), "p(good)": sure})


CLASSIFIER: Any = Sure()


def predicted(folder: Path, row: dict[str, object], form: PredictionFormat) -> str:
    (folder / "rows.jsonl").write_text(json.dumps({"text": "a film", **row}), encoding="utf-8")
    predict_file(CLASSIFIER, folder / "rows.jsonl", folder / "out", None, form=form)
    return (folder / "out").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", PredictionFormat)
def test_a_probability_has_six_decimals(tmp_path: Path, form: PredictionFormat) -> None:
    out = predicted(tmp_path, {}, form)
    assert "0.912345" in out
    assert "0.9123454" not in out
    assert "0.912344" not in out


def test_objects_and_lists_are_json_in_a_csv_too(tmp_path: Path) -> None:
    cells = {"object": {"a": None, "b": [True]}, "list": ["x", "é"]}
    predicted(tmp_path, dict(cells), PredictionFormat.CSV)
    with open(tmp_path / "out", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert {name: json.loads(row[name]) for name in cells} == cells
    assert "é" in row["list"]


def test_cells_of_the_input_are_as_they_were_read_in_a_file_and_harmless_on_a_terminal(
    tmp_path: Path,
) -> None:
    cells = {"text": "a \x0b\x0c\x1c\x85\x1b[2J film\u2028", "no\x85te": "b\x7f"}
    source, target = tmp_path / "rows.jsonl", tmp_path / "out.csv"
    source.write_text(json.dumps(cells))
    predict_file(CLASSIFIER, source, target, None)
    table = read_table(target.read_bytes(), "out.csv", "out.csv")
    assert {name: table.column(name)[0] for name in cells} == cells
    ours, theirs = os.openpty()
    predict_file(CLASSIFIER, source, Path(os.ttyname(theirs)), None)
    shown = os.read(ours, 10_000).decode()
    os.close(theirs)
    os.close(ours)
    assert "film" in shown
    assert shown.translate(dict.fromkeys(map(ord, "\r\n\u2028"))).isprintable()


@pytest.mark.parametrize("text", ["\x9b2J", "\x7f", "\u202egnp.exe", "\u2028", "\ud83d"])
def test_json_lines_have_escape_sequences_for_what_a_terminal_obeys(
    tmp_path: Path, text: str
) -> None:
    out = predicted(tmp_path, {"note": text}, PredictionFormat.JSON_LINES)
    assert out[:-1].isprintable()
    assert json.loads(out)["note"] == text


def test_a_card_names_classes_that_have_backticks_and_line_ends() -> None:
    assert class_list(["a`b", "c\nd"]) == r"`` a`b `` or `c\nd`"
