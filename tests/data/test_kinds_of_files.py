"""Every kind of file that people have, through every reader of files: the same rows, or the same refusal."""

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import os
import string
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.data import load_dataset, read_rows
from tuner.data.files import read_table
from tuner.errors import DataError
from tuner.export import prediction
from tuner.export.classifier import Classifier
from tuner.export.formats import PredictionFormat
from tuner.export.prediction import predict_file, predict_texts
from tuner.files import STANDARD_INPUT
from tuner.settings.data import DataConfig

Rows = list[tuple[str, str]]

TEXTS = [
    "plain", "with, comma", 'say "hi"', "two\nlines", " blank before", "semi;colon", "a\ttab", "a|b", "café 很好",
    "it's", "NA", "-1",
]  # fmt: skip
ROWS: Rows = [
    (f"{text} {number}", ("down", "up")[number % 2]) for number, text in enumerate(TEXTS * 2)
]
PLAIN: Rows = [(f"bright day {number}", ("down", "up")[number % 2]) for number in range(24)]


def written(
    rows: Rows,
    delimiter: str = ",",
    end: str = "\n",
    header: Sequence[str] = ("text", "label"),
    quoting: int = csv.QUOTE_MINIMAL,
) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([header, *rows])
    return file.getvalue()


def json_of(rows: Rows) -> str:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)


def zstd(content: bytes) -> bytes:
    return cast(bytes, pa.compress(content, codec="zstd", asbytes=True))


def damaged_gzip(instead: bytes) -> bytes:
    """Rows beyond what is read at once, the first with these bytes `instead` of its text."""
    packed = gzip.compress(written([*ROWS, *PLAIN * 1000]).encode(), compresslevel=0)
    assert len(instead) == len(b"plain 0")
    return packed.replace(b"plain 0", instead)


def frame_of(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["text", "label"])


def parquet_of(rows: Rows) -> bytes:
    return frame_of(rows).to_parquet()


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("rows.csv", written(ROWS))
    return file.getvalue()


CSV = written(ROWS).encode()
READ: dict[str, tuple[str, bytes, Rows]] = {
    "csv": ("a.csv", CSV, ROWS),
    "CSV in capitals": ("A.CSV", CSV, ROWS),
    "tsv": ("a.tsv", written(ROWS, "\t").encode(), ROWS),
    "tab": ("a.tab", written(ROWS, "\t").encode(), ROWS),
    "another ending": ("a.txt", CSV, ROWS),
    "no ending": ("rows", CSV, ROWS),
    "everything quoted": ("a.csv", written(ROWS, quoting=csv.QUOTE_ALL).encode(), ROWS),
    "json lines": ("a.jsonl", json_of(ROWS).encode(), ROWS),
    "json lines called csv": ("a.csv", json_of(ROWS).encode(), ROWS),
    "json lines called json": ("a.json", json_of(ROWS).encode(), ROWS),
    "json lines, blank lines": ("a.jsonl", json_of(ROWS).replace("\n", "\n\n").encode(), ROWS),
    "json lines, carriage returns": ("a.jsonl", json_of(ROWS).replace("\n", "\r").encode(), ROWS),
    "parquet": ("a.parquet", parquet_of(ROWS), ROWS),
    "parquet called csv": ("a.csv", parquet_of(ROWS), ROWS),
    "parquet, compressed": ("a.parquet.gz", gzip.compress(parquet_of(ROWS)), ROWS),
    "utf-8 with a mark": ("a.csv", codecs.BOM_UTF8 + CSV, ROWS),
    "utf-16": ("a.csv", written(ROWS).encode("utf-16"), ROWS),
    "utf-16, big end first": ("a.csv", codecs.BOM_UTF16_BE + written(ROWS).encode("utf-16-be"), ROWS),
    "utf-16 without a mark": ("a.csv", written(ROWS).encode("utf-16-le"), ROWS),
    "utf-16 without a mark, big end first": ("a.csv", written(ROWS).encode("utf-16-be"), ROWS),
    "utf-16 json lines": ("a.jsonl", json_of(ROWS).encode("utf-16"), ROWS),
    "utf-32": ("a.csv", written(ROWS).encode("utf-32"), ROWS),
    "Excel's Unicode text": ("a.txt", written(ROWS, "\t", "\r\n").encode("utf-16"), ROWS),
    "gz": ("a.csv.gz", gzip.compress(CSV), ROWS),
    "two gz in one file": ("a.csv.gz", gzip.compress(CSV[:100]) + gzip.compress(CSV[100:]), ROWS),
    "bz2": ("a.csv.bz2", bz2.compress(CSV), ROWS),
    "two bz2 in one file": ("a.csv.bz2", bz2.compress(CSV[:100]) + bz2.compress(CSV[100:]), ROWS),
    "two xz in one file": ("a.csv.xz", lzma.compress(CSV[:100]) + bytes(4) + lzma.compress(CSV[100:]) + bytes(4), ROWS),
    "xz": ("a.csv.xz", lzma.compress(CSV), ROWS),
    "zst": ("a.csv.zst", zstd(CSV), ROWS),
    "gz under another name": ("a.csv", gzip.compress(CSV), ROWS),
    "zst under another name": ("a.tsv", zstd(written(ROWS, "\t").encode()), ROWS),
    "bz2 json lines": ("a.jsonl.bz2", bz2.compress(json_of(ROWS).encode()), ROWS),
    "gz of utf-16": ("a.tsv.gz", gzip.compress(written(ROWS, "\t").encode("utf-16")), ROWS),
    "semicolons": ("a.csv", written(ROWS, ";").encode(), ROWS),
    "tabs in a .csv": ("a.csv", written(ROWS, "\t").encode(), ROWS),
    "pipes": ("a.csv", written(ROWS, "|").encode(), ROWS),
    "commas in a .tsv": ("a.tsv", CSV, ROWS),
    "semicolons, commas in texts": (
        "a.csv",
        b"text;label\n" + b"bright, warm day;up\ndull, cold, grey day;down\n" * 12,
        [("bright, warm day", "up"), ("dull, cold, grey day", "down")] * 12,
    ),
    "sep= line": ("a.csv", b"sep=;\r\n" + written(ROWS, ";", "\r\n").encode(), ROWS),
    "sep= line of an unusual delimiter": ("a.csv", b"sep=^\n" + written(ROWS, "^").encode(), ROWS),
    "crlf": ("a.csv", written(ROWS, end="\r\n").encode(), ROWS),
    "cr": ("a.csv", written(PLAIN, end="\r").encode(), PLAIN),
    "no line end at the end": ("a.csv", CSV.rstrip(b"\n"), ROWS),
    "blank lines": ("a.csv", b"\n" + CSV + b"\n  \n\n", ROWS),
    "blanks around names": ("a.csv", written(ROWS, header=(" text ", "\tlabel\xa0")).encode(), ROWS),
    "blanks after delimiters": (
        "a.csv",
        b'"text", "label"\n' + b'"warm, bright", "up"\n"dull", "down"\n' * 12,
        [("warm, bright", "up"), ("dull", "down")] * 12,
    ),
    "R's write.csv": (
        "a.csv",
        ('"","text","label"\n' + "".join(f'"{n}","{t}","{c}"\n' for n, (t, c) in enumerate(PLAIN))).encode(),
        PLAIN,
    ),
    "R's write.table with commas": (
        "a.csv",
        b'"text","label"\n' + rb'"say \"hi\", C:\dir","up"' + b"\n" + rb'"a \"b\"","down"' + b"\n",
        [(r'say "hi", C:\dir', "up"), ('a "b"', "down")],
    ),
    "Python's csv with an escape character": (
        "a.csv",
        b"text,label\n" + rb'"say \"hi\", C:\\dir",up' + b"\n" + rb'"a \"b\"",down' + b"\n",
        [(r'say "hi", C:\dir', "up"), ('a "b"', "down")],
    ),
    "backslashes that escape nothing": (
        "a.csv",
        b"text,label\n" + rb'"C:\dir, ""x""\",up' + b"\n" + rb"a\,down" + b"\n",
        [('C:\\dir, "x"\\', "up"), ("a\\", "down")],
    ),
    "a first column called as an Arrow file begins": (
        "a.csv",
        written([("x", t, c) for t, c in ROWS], header=("ARROW1", "text", "label")).encode(),  # type: ignore[misc]
        ROWS,
    ),
    "a first column called as a Feather file begins": (
        "a.csv",
        written([("x", t, c) for t, c in ROWS], header=("FEA1", "text", "label")).encode(),  # type: ignore[misc]
        ROWS,
    ),
    "a first column called as fastText's labels begin": (
        "a.csv",
        written([("x", t, c) for t, c in ROWS], header=("__label__", "text", "label")).encode(),  # type: ignore[misc]
        ROWS,
    ),
    "pandas with its index": ("a.csv", frame_of(ROWS).to_csv().encode(), ROWS),
    "names that exist twice, of other columns": (
        "a.csv",
        written([("x", t, c, "y") for t, c in ROWS], header=("id", "text", "label", "id")).encode(),  # type: ignore[misc]
        ROWS,
    ),
    "a text of 200,000 characters": (
        "a.csv",
        written([("long " * 40_000, "up"), *PLAIN]).encode(),
        [("long " * 40_000, "up"), *PLAIN],
    ),
}  # fmt: skip

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("a.csv", b"", "the file has no rows"),
    "only a mark": ("a.csv", codecs.BOM_UTF8, "the file has no rows"),
    "no rows": ("a.csv", b"text,label\n", "the file has no rows"),
    "Git LFS pointer": (
        "a.csv",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "Git LFS pointer.*git lfs pull",
    ),
    "Git LFS pointer to Parquet": (
        "a.parquet",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "Git LFS pointer.*git lfs pull",
    ),
    "workbook": ("a.xlsx", workbook(), "Excel workbook.*save the sheet as CSV"),
    "workbook called csv": ("a.csv", workbook(), "Excel workbook.*save the sheet as CSV"),
    "old workbook": ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Excel workbook"),
    "zip": ("a.zip", archive(), "ZIP archive.*unpack it"),
    "web page": ("a.csv", b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "web page.*Raw"),
    "PDF": ("a.csv", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF document"),
    "pickle": ("a.csv", b"\x80\x04\x95\x10\x00", "Python pickle"),
    "tar in gz": ("a.tar.gz", gzip.compress(bytes(257) + b"ustar\0" + bytes(300)), "tar archive"),
    "packed twice": ("a.csv.gz", gzip.compress(gzip.compress(CSV)), "compressed twice.*unpack it once"),
    "Arrow": ("a.csv", b"ARROW1\0\0" + bytes(100), "Arrow or Feather file"),
    "Feather": ("a.csv", b"FEA1\0\0\0\0" + bytes(100), "Arrow or Feather file"),
    "fastText": ("a.txt", b"__label__up bright day\n", "fastText.*columns text and label"),
    "Western European": (
        "a.csv",
        "text,label\nbright,up\ncafé très chaud,up\n".encode("cp1252"),
        r"UTF-8, got byte 0xe9 on line 3; it seems to be CP1252 .*'café très chaud,up'.*iconv -f CP1252",
    ),
    "Cyrillic": (
        "a.csv",
        ("text,label\n" + "Очень хороший фильм,да\n" * 9).encode("cp1251"),
        "on line 2; it seems to be CP1251 .*add --encoding cp1251, .*iconv -f CP1251 -t UTF-8",
    ),
    "zero bytes": ("a.csv", b"text,label\ngood,1\nba\0d,2\n", "zero bytes on line 3"),
    "half a character of utf-16": ("a.csv", written(ROWS).encode("utf-16")[:-1], "not UTF-16-LE throughout"),
    "half a gz": ("a.csv.gz", gzip.compress(CSV)[:-9], "not a complete gzip file"),
    "half a bz2": ("a.csv.bz2", bz2.compress(CSV)[:-9], "not a complete bzip2 file"),
    "nothing in a bz2": ("a.csv.bz2", bz2.compress(b""), "the file has no rows"),
    "a damaged second bz2": ("a.csv.bz2", bz2.compress(CSV) + b"BZh91AY&SX", "not a complete bzip2 file"),
    "a damaged second xz": ("a.csv.xz", lzma.compress(CSV) + b"\xfd7zXY\0" + bytes(20), "not a complete xz file"),
    "half a second xz": ("a.csv.xz", lzma.compress(CSV) + lzma.compress(CSV)[:-9], "not a complete xz file"),
    "a gz with another row": ("a.csv.gz", damaged_gzip(b"pl,in 0"), "not a complete gzip file"),
    "a gz with another letter": ("a.csv.gz", damaged_gzip(b"pl\xe4in 0"), "not a complete gzip file"),
    "half a xz": ("a.csv.xz", lzma.compress(CSV)[:-9], "not a complete xz file"),
    "half a zst": ("a.csv.zst", zstd(CSV)[:-9], "not a complete Zstandard file"),
    "plain under the name of gz": ("a.csv.gz", CSV, "not a complete gzip file.*take .gz out of its name"),
    "half a Parquet file": ("a.parquet", parquet_of(ROWS)[:-9], "not a readable Parquet file"),
    "a row too long": ("a.csv", b"text,label\na,1\nb, c,2\nd,1\n", "line 3 has 3 cells and the first line has 2"),
    "a row too short": ("a.csv", b"text,label\na,1\nb\nd,1\n", "line 3 has 1 cell and the first line has 2"),
    "a row of one empty cell": ("a.csv", b'text,label\na,1\n""\nd,1\n', "line 3 has 1 cell and"),
    "a row of one quoted blank": ("a.csv", b'text,label\na,1\n"  "\nd,1\n', "line 3 has 1 cell and"),
    "a row too long under a sep= line": (
        "a.csv",
        b"sep=;\ntext;label\na,b;1\na,b,c;1;2\n",
        "line 4 has 3 cells and the first line has 2, delimited by semicolons",
    ),
    "a row too long of semicolons": (
        "a.csv",
        b"text;label\n" + b"a, b;1\n" * 9 + b"x;y;2\n",
        "line 11 has 3 cells and the first line has 2, delimited by semicolons",
    ),
    "R's write.table with commas and row names": (
        "a.csv",
        b'"text","label"\n"1","warm day","up"\n"2","dull day","down"\n',
        r"line 2 has 3 cells and the first line has 2, as every row: .*write.table.*row.names = FALSE",
    ),
    "R's write.table with tabs and row names": (
        "a.csv",
        b'"text"\t"label"\n"1"\t"warm, day"\t"up"\n"2"\t"dull day"\t"down"\n',
        r"line 2 has 3 cells .*row.names = FALSE.*delimited by tabs",
    ),
    "R's write.table": (
        "a.txt",
        b'"text" "label"\n"1" "warm day" "up"\n"2" "dull day" "down"\n',
        r'delimited by blanks, as R.s write.table writes them; .*sep = ","',
    ),
    "an open quote": ("a.csv", b'text,label\na,1\n"b,2\nc,1\n', "line 4 is broken .*in a row that begins on line 3"),
    "text after a quote": ("a.csv", b'text,label\n"a" b,1\n', "line 2 is broken"),
    "not JSON": ("a.jsonl", b'{"text": "a", "label": "b"}\nx\n', "line 2 is not JSON"),
    "JSON with one name twice": (
        "a.jsonl",
        b'{"text": "a", "label": "b"}\n{"text": "a", "label": "b", "text": "c"}\n',
        "line 2 is not JSON .'text' is given twice",
    ),
    "JSON that is no object": ("a.jsonl", b"[1]\n", "line 1 must be an object"),
    "the column twice": (
        "a.csv",
        written([("x", t, c) for t, c in ROWS], header=("text", "text", "label")).encode(),  # type: ignore[misc]
        "column 'text' exists twice",
    ),
}  # fmt: skip


class Echo:
    """A classifier whose predictions show which text they are of."""

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
        lambda: load_dataset(config, seed=0),
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


def _by_csv(rows: list[tuple[str, ...]], delimiter: str, quoting: int, end: str) -> str:
    return written(rows, delimiter, end, _NAMES[: len(rows[0])], quoting)  # type: ignore[arg-type]


@given(
    rows=_tables,
    form=st.sampled_from([(".csv", ","), (".tsv", "\t")]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    writer=st.sampled_from(["csv", "pandas"]),
)
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
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
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_row_is_lost_whatever_delimits_it(rows: list[tuple[str, ...]], delimiter: str) -> None:
    content = _by_csv(rows, delimiter, csv.QUOTE_ALL, "\n")
    table = read_table(content.encode(), "rows.csv", "somewhere")
    assert [tuple(row) for row in zip(*map(table.column, table.names), strict=True)] == rows
