"""Every kind of file that people have, through every reader of files: the same rows, or the same refusal."""

import codecs
import csv
import io
import json
import os
import string
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.kinds_of_files import CSV, READ, REFUSED, ROWS, written

from tuner.data import load_dataset, read_rows
from tuner.data.files import read_table
from tuner.errors import DataError
from tuner.export import prediction
from tuner.export.classifier import Classifier
from tuner.export.formats import PredictionFormat
from tuner.export.prediction import predict_file, predict_texts
from tuner.files import STANDARD_INPUT
from tuner.settings.data import DataConfig


class Echo:
    """A classifier whose predictions show which text they are of."""

    text_column = None

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame({"label": [f"of {text}" for text in texts], "p(of)": 1.0})


def predicted(
    source: Path, target: Path, *, encoding: str | None = None, raw: bool = True
) -> pd.DataFrame:
    classifier = cast(Classifier, Echo())
    count = predict_file(classifier, source, target, None, encoding=encoding, raw=raw)
    frame = pd.read_csv(target, dtype=str, keep_default_na=False)
    assert count == len(frame)
    return frame


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prediction, "_ROWS", 5)
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", READ)
def test_every_reader_finds_the_same_rows(tmp_path: Path, kind: str) -> None:
    name, content, expected = READ[kind]
    source = tmp_path / name
    source.write_bytes(content)
    config = DataConfig(source=str(source))
    rows = read_rows(config)
    assert list(zip(rows.texts, rows.labels, strict=True)) == expected
    frame = predicted(source, tmp_path / "predictions.csv")
    assert list(frame["predicted_label"]) == [f"of {text}" for text, _ in expected]
    assert list(zip(frame["text"], frame["label"], strict=True)) == expected


@pytest.mark.parametrize("kind", REFUSED)
def test_every_reader_refuses_for_the_same_reason(tmp_path: Path, kind: str) -> None:
    name, content, message = REFUSED[kind]
    source = tmp_path / name
    source.write_bytes(content)
    config = DataConfig(source=str(source))
    readers: list[Callable[[], object]] = [
        lambda: load_dataset(config),
        lambda: read_rows(config),
        lambda: predicted(source, tmp_path / "predictions.csv"),
    ]
    for reader in readers:
        with pytest.raises(DataError, match=message) as refused:
            reader()
        assert str(refused.value).startswith(f"{source}: ")
        assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "predictions.csv").exists()


@pytest.mark.parametrize(
    "kind",
    ["csv", "gz", "zst", "json lines", "parquet", "parquet, compressed", "utf-16", "semicolons"],
)
def test_a_pipe_is_predicted_like_a_file(tmp_path: Path, kind: str) -> None:
    _, content, expected = READ[kind]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    frame = predicted(pipe, tmp_path / "predictions.csv")
    writer.join()
    assert len(frame) == len(expected)


def test_no_other_column_is_classified_where_a_piece_lacks_the_texts(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "a", "body": "b"}\n' * 5 + '{"body": "b"}\n' * 5)
    with pytest.raises(DataError, match=r"row 6 \(line 6\): column 'text' must be .* got nothing"):
        predicted(source, tmp_path / "predictions.csv")


def test_a_pipe_that_only_has_a_number_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\ngood\n")
    end, target = os.pipe()
    predict_file(cast(Classifier, Echo()), tmp_path / "a.csv", Path(f"/dev/fd/{target}"), None)
    os.close(target)
    with open(end, encoding="utf-8") as pipe:
        assert pipe.read().splitlines()[1] == "good,of good,1.0"


@pytest.mark.parametrize(
    "content", [b"text\ngood\n", pd.DataFrame({"text": ["good"]}).to_parquet()]
)
def test_standard_input_is_read_from_where_it_stands(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(b"note\n" + content)
    before = os.dup(0)
    with open(tmp_path / "a.csv", "rb", buffering=0) as file:
        file.read(len("note\n"))
        os.dup2(file.fileno(), 0)
    try:
        frame = predicted(STANDARD_INPUT, tmp_path / "predictions.csv")
    finally:
        os.dup2(before, 0)
        os.close(before)
    assert list(frame["text"]) == ["good"]


def test_predictions_are_written_as_json_lines_with_cells_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "=1+1 caf\u00e9", "n": 1, "l": [1, NaN], "label": null}\n{"text": "b", "new": {"x": true}}\n'
    )
    target = tmp_path / "predictions.jsonl"
    form = PredictionFormat.JSON_LINES
    classifier = cast(Classifier, Echo())
    assert predict_file(classifier, tmp_path / "a.jsonl", target, None, form=form) == 2
    first, second = map(json.loads, target.read_text().splitlines())
    assert first == {
        "text": "=1+1 café", "n": 1, "l": [1, None], "label": None, "new": None,
        "predicted_label": "of =1+1 café", "p(of)": 1.0,
    }  # fmt: skip
    assert second["new"] == {"x": True}


@pytest.mark.parametrize("kind", READ)
def test_predictions_as_json_lines_have_the_rows_of_every_kind(tmp_path: Path, kind: str) -> None:
    name, content, expected = READ[kind]
    (tmp_path / name).write_bytes(content)
    target = tmp_path / "predictions.jsonl"
    form = PredictionFormat.JSON_LINES
    predict_file(cast(Classifier, Echo()), tmp_path / name, target, None, form=form)
    rows = read_rows(
        DataConfig(source=str(target), text_column="text", label_column="predicted_label")
    )
    assert rows.texts == [text for text, _ in expected]
    assert rows.labels == [f"of {text}".strip() for text, _ in expected]


def test_a_later_column_is_written_to_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n' * 5 + '{"text": "b", "later": "c"}\n')
    target = tmp_path / "predictions.jsonl"
    form = PredictionFormat.JSON_LINES
    predict_file(cast(Classifier, Echo()), tmp_path / "a.jsonl", target, None, form=form)
    assert json.loads(target.read_text().splitlines()[-1])["later"] == "c"


def test_columns_of_one_name_stay_two_in_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,id\n1,a,2\n")
    target = tmp_path / "predictions.jsonl"
    form = PredictionFormat.JSON_LINES
    predict_file(cast(Classifier, Echo()), tmp_path / "a.csv", target, None, form=form)
    row = json.loads(target.read_text())
    assert (row["id"], row["id_2"]) == ("1", "2")


@pytest.mark.parametrize("form", PredictionFormat)
def test_standard_output_is_utf_8_whatever_the_locale(
    form: PredictionFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_bytes = io.BytesIO()
    stdout = io.TextIOWrapper(written_bytes, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    predict_texts(cast(Classifier, Echo()), ["明るい"], None, form=form)
    stdout.flush()
    assert "明るい" in written_bytes.getvalue().decode()
    assert stdout.encoding == "ascii"


@pytest.mark.parametrize("raw", [False, True])
def test_half_an_emoji_is_written_as_an_escape_sequence(tmp_path: Path, raw: bool) -> None:
    (tmp_path / "a.jsonl").write_text(r'{"text": "a", "\ud83d": "\ud83d"}' + "\n")
    frame = predicted(tmp_path / "a.jsonl", tmp_path / "predictions.csv", raw=raw)
    assert list(frame[r"\ud83d"]) == [r"\ud83d"]


def test_a_date_that_python_cannot_hold_is_refused(tmp_path: Path) -> None:
    dates = pa.array([2**31 - 1], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"text": ["a"], "day": dates}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'day' is not readable"):
        predicted(tmp_path / "a.parquet", tmp_path / "predictions.csv")


def test_texts_are_protected_against_spreadsheets_unless_they_are_to_stay_raw(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "predictions.csv"
    rows = [("=1+1", "+"), ("@anna", "-"), ("-1", "=x"), ("+", "a")]
    source.write_text(written(rows))
    protected = predicted(source, target, raw=False)
    assert list(protected["text"]) == ["'=1+1", "'@anna", "-1", "+"]
    assert list(protected["label"][:2]) == ["+", "-"]
    raw = predicted(source, target, raw=True)
    assert list(zip(raw["text"], raw["label"], strict=True)) == rows


def test_a_predicted_label_is_the_name_of_its_class(tmp_path: Path) -> None:
    class Formula:
        text_column = None

        def predict(self, texts: Sequence[str]) -> pd.DataFrame:
            return pd.DataFrame({"label": ["=1+1", "@x"], "p(=1+1)": 1.0})

    (tmp_path / "a.csv").write_text("text,note\na,=2\nb,c\n")
    target = tmp_path / "predictions.csv"
    predict_file(cast(Classifier, Formula()), tmp_path / "a.csv", target, None)
    frame = pd.read_csv(target)
    assert list(frame["label"]) == ["=1+1", "@x"]
    assert list(frame["note"]) == ["'=2", "c"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac_roman"])
def test_an_encoding_that_is_named_is_taken(tmp_path: Path, encoding: str) -> None:
    rows = [("café très chaud", "up"), ("maïs", "down")]
    source = tmp_path / "a.csv"
    source.write_bytes(written(rows).encode(encoding))
    read = read_rows(DataConfig(source=str(source), encoding=encoding))
    assert list(zip(read.texts, read.labels, strict=True)) == rows
    frame = predicted(source, tmp_path / "predictions.csv", encoding=encoding)
    assert list(zip(frame["text"], frame["label"], strict=True)) == rows


def test_a_byte_order_mark_is_right_whatever_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(codecs.BOM_UTF8 + CSV)
    read = read_rows(DataConfig(source=str(tmp_path / "a.csv"), encoding="cp1252"))
    assert read.texts == [text for text, _ in ROWS]


def test_an_encoding_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\nmaïs,up\n".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"not ASCII throughout, got byte 0xef on line 2; .*--encoding"
    ):
        read_rows(DataConfig(source=str(tmp_path / "a.csv"), encoding="ascii"))
    with pytest.raises(DataError, match=r"not UTF-16 .*name another one with --encoding"):
        read_rows(DataConfig(source=str(tmp_path / "a.csv"), encoding="utf-16"))


def test_lines_that_a_lone_quote_joins_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "glue.tsv"
    source.write_text('label\ttext\n1\tgood\n1\t"so good\n0\tbad"\n')
    assert len(predicted(source, tmp_path / "predictions.csv")) == 2
    assert "glue.tsv: lines 3 to 4 are one row" in caplog.text
    caplog.clear()
    source.write_text(written([("two\nlines", "1"), ("a", "0")], "\t"))
    assert len(predicted(source, tmp_path / "predictions.csv")) == 2
    assert not caplog.text


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for source, message in ((tmp_path, "got a folder"), (tmp_path / "no.csv", "no such file")):
        with pytest.raises(DataError, match=message):
            read_rows(DataConfig(source=str(source)))
        with pytest.raises(DataError, match=message):
            predicted(source, tmp_path / "predictions.csv")


def test_data_from_a_pipe_are_refused_because_they_are_read_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="got a pipe or device; save it as a file"):
        read_rows(DataConfig(source=str(tmp_path / "pipe")))


def test_the_reader_loads_no_library_before_a_file_needs_it() -> None:
    code = "import sys, tuner.data.files; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"pandas", "pyarrow", "charset_normalizer"}.isdisjoint(loaded)


_cells = st.text(
    st.sampled_from(string.ascii_letters + " ,;\t|\"'\\\r\n=-+@#")
    | st.characters(codec="utf-8", exclude_characters="\0"),
    max_size=30,
)
_tables = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.tuples(*[_cells] * width), min_size=1, max_size=12)
)
_NAMES = ("text", "label", "note", "id")


_IN_POLARS: dict[int, Any] = {
    csv.QUOTE_MINIMAL: "necessary",
    csv.QUOTE_ALL: "always",
    csv.QUOTE_NONNUMERIC: "non_numeric",
}


def _by_csv(rows: list[tuple[str, ...]], delimiter: str, quoting: int, end: str) -> str:
    return written(rows, delimiter, end, _NAMES[: len(rows[0])], quoting)  # type: ignore[arg-type]


@given(
    rows=_tables,
    form=st.sampled_from([(".csv", ","), (".tsv", "\t")]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    writer=st.sampled_from(["csv", "pandas", "polars"]),
)
@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow])
def test_a_written_table_is_read_as_it_was_before_delimiters_were_guessed(
    rows: list[tuple[str, ...]], form: tuple[str, str], quoting: int, end: str, writer: str
) -> None:
    ending, delimiter = form
    if (
        end == "\n"
    ):  # Python's csv quotes a lone carriage return only where it is part of the line end
        rows = [tuple(cell.replace("\r", "") for cell in row) for row in rows]
    names = list(_NAMES[: len(rows[0])])
    if writer == "csv":
        content = _by_csv(rows, delimiter, quoting, end)
    elif writer == "polars":
        content = pl.DataFrame(rows, schema=names, orient="row").write_csv(
            separator=delimiter, quote_style=_IN_POLARS[quoting], line_terminator=end
        )
    else:
        content = pd.DataFrame(rows, columns=names).to_csv(
            sep=delimiter, index=False, quoting=quoting, lineterminator=end
        )
    header, *expected = csv.reader(
        io.StringIO(content, newline=""), delimiter=delimiter, strict=True
    )
    table = read_table(content.encode(), f"rows{ending}", "somewhere")
    assert list(table.names) == header == names
    assert [list(row) for row in zip(*map(table.column, names), strict=True)] == expected


@given(rows=_tables, delimiter=st.sampled_from(";|\t"))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_row_is_lost_whatever_delimits_it(rows: list[tuple[str, ...]], delimiter: str) -> None:
    content = _by_csv(rows, delimiter, csv.QUOTE_ALL, "\n")
    table = read_table(content.encode(), "rows.csv", "somewhere")
    assert [tuple(row) for row in zip(*map(table.column, table.names), strict=True)] == rows
