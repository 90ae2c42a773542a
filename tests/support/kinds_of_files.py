"""One corpus of small files of every kind that people have, with the rows of each, or the words that refuse it."""

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Sequence
from typing import cast

import pandas as pd
import pyarrow as pa

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
MANY: Rows = [(f"a text of some length, number {n}", ("down", "up")[n % 2]) for n in range(400)]
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
    # More than the beginning by which a file is recognised.
    "a long bz2": ("a.csv.bz2", bz2.compress(written(MANY).encode()), MANY),
    "a long xz": ("a.csv.xz", lzma.compress(written(MANY).encode()), MANY),
    "a long zst": ("a.csv.zst", zstd(written(MANY).encode()), MANY),
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
    "lines that end with a delimiter, also the first": (
        "a.csv",
        written([(t, c, "") for t, c in ROWS], header=("text", "label", "")).encode(),  # type: ignore[misc]
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
    "a text with one comma in every row": (
        "a.csv",
        b"text,label\ngood, really,1\nbad, sadly,0\n",
        "line 2 has 3 cells .*if it is a text with the delimiter in it, put each text in double quotes",
    ),
    "text after a quote before a tab": ("a.tsv", b'text\tlabel\n"a" b\t1\n', "line 2 is broken .a tab expected after"),
    "R's write.table with commas and row names": (
        "a.csv",
        b'"text","label"\n"1","warm day","up"\n"2","dull day","down"\n',
        r"line 2 has 3 cells and the first line has 2, as every row .*write.table.*row.names = FALSE",
    ),
    "R's write.table with tabs and row names": (
        "a.csv",
        b'"text"\t"label"\n"1"\t"warm, day"\t"up"\n"2"\t"dull day"\t"down"\n',
        r"line 2 has 3 cells .*delimited by tabs.*row.names = FALSE",
    ),
    "rows that end with a delimiter": (
        "a.csv",
        b"text,label\nwarm day,up,\ndull day,down,\n",
        r"line 2 has 3 cells and the first line has 2: every row ends with a delimiter; end the first line .*commas",
    ),
    "rows that end with a delimiter, after Excel's line": (
        "a.csv",
        b"sep=;\ntext;label\nwarm day;up;\ndull day;down;\n",
        r"line 3 has 3 cells .*every row ends with a delimiter; .*semicolons",
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
