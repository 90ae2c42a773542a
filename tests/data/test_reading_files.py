"""From a file to rows: every format, the choice of columns, and the refusal of each damaged file in one line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tuner.data import Split, load_dataset, read_rows
from tuner.data.cells import labelled_rows
from tuner.data.columns import choose_text_column, possible_columns
from tuner.data.files import Table, read_table
from tuner.errors import DataError
from tuner.settings.data import DataConfig, TokenMode

WriteCsv = Callable[..., str]
Rows = list[tuple[str, str]]
FORMATS = [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"]


@pytest.fixture
def as_format(tmp_path: Path) -> Callable[[Rows, str], str]:
    """Writes rows as the format that an extension stands for."""

    def write(rows: Rows, ending: str) -> str:
        path = tmp_path / f"rows{ending}"
        plain = ending.removesuffix(".gz")
        if plain == ".parquet":
            pq.write_table(
                pa.table({"text": [t for t, _ in rows], "label": [c for _, c in rows]}), path
            )
            return str(path)
        if plain in (".csv", ".tsv"):
            delimiter = "," if plain == ".csv" else "\t"
            content = "\r\n".join(delimiter.join(row) for row in [("text", "label"), *rows])
        else:
            content = "\n".join(json.dumps({"label": c, "text": t}) for t, c in rows)
        packed = gzip.compress(content.encode()) if ending.endswith(".gz") else content.encode()
        path.write_bytes(packed)
        return str(path)

    return write


@pytest.mark.parametrize("ending", [*FORMATS, ".CSV", ".csv.gz", ".tsv.gz", ".jsonl.gz"])
def test_every_format_gives_the_same_data_set(
    as_format: Callable[[Rows, str], str], forty_rows: Rows, write_csv: WriteCsv, ending: str
) -> None:
    expected = load_dataset(DataConfig(source=write_csv(forty_rows, name="expected.csv")))
    source = as_format(forty_rows, ending.lower())
    if ending.isupper():
        source = str(Path(source).rename(Path(source).with_suffix(ending)))
    assert load_dataset(DataConfig(source=source)).fingerprint == expected.fingerprint


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_understood(tmp_path: Path, forty_rows: Rows, encoding: str) -> None:
    path = tmp_path / "marked.csv"
    path.write_text("\n".join(["text,label", *(",".join(row) for row in forty_rows)]), encoding)
    assert load_dataset(DataConfig(source=str(path))).class_names == ("neg", "pos")


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_lists_of_integers_are_symbols(tmp_path: Path, ending: str) -> None:
    rows = [([7, 11 + i, 7], i % 2) for i in range(20)]
    path = tmp_path / f"lists{ending}"
    if ending == ".parquet":
        pq.write_table(
            pa.table({"tokens": [t for t, _ in rows], "label": [c for _, c in rows]}), path
        )
    else:
        path.write_text("\n".join(json.dumps({"tokens": t, "label": c}) for t, c in rows))
    dataset = load_dataset(DataConfig(source=str(path), tokens=TokenMode.CHARACTERS))
    assert dataset.vocabulary[3] == "7"
    assert set(dataset.vocabulary[4:]) <= {str(11 + i) for i in range(20)}
    assert (dataset.splits[Split.TRAIN].lengths == 4).all()


def test_a_parquet_file_with_damaged_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["good"], "label": ["1"]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"label", b"lab\xffl"))
    with pytest.raises(DataError, match="not a readable Parquet file"):
        load_dataset(DataConfig(source=str(path)))


def _jsonl(tmp_path: Path, *rows: object) -> DataConfig:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return DataConfig(source=str(path))


@pytest.mark.parametrize(
    ("labels", "names"),
    [((True, False), ("false", "true")), ((3, 11), ("3", "11")), ((1.0, 0.0), ("0", "1"))],
)
def test_labels_of_other_types_become_names(
    tmp_path: Path, labels: tuple[object, object], names: tuple[str, str]
) -> None:
    rows = [{"text": f"{i} {label}", "label": label} for i in range(6) for label in labels]
    assert load_dataset(_jsonl(tmp_path, *rows)).class_names == names


def test_half_an_emoji_in_json_does_not_break_anything(tmp_path: Path) -> None:
    rows = [{"text": f"\ud83d {i}", "label": i % 2} for i in range(20)]
    dataset = load_dataset(_jsonl(tmp_path, *rows))
    assert dataset.vocabulary[3] == "\ufffd"


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        (("Review", "Sentiment"), None, None),
        (("", "body", "class"), None, None),
        (("words", "label"), None, None),
        (("label", "words"), None, None),
        (("what", "which"), None, None),
        (("which", "what"), None, None),
        (("id", "text", "note", "target"), None, None),
        (("text", "label", "a", "b"), "a", "b"),
        (("text", "label"), "label", "text"),
    ],
)
def test_columns_are_guessed_when_their_names_make_it_plain(
    write_csv: WriteCsv, header: tuple[str, ...], text: str | None, label: str | None
) -> None:
    is_text = {name: name in ("Review", "body", "words", "what", "text") for name in header}
    if text and label:
        is_text = {name: name == text for name in header}
    rows = [
        tuple(f"t{i} {name}" if is_text[name] else str(i % 2) for name in header) for i in range(20)
    ]
    config = DataConfig(source=write_csv(rows, header), text_column=text, label_column=label)
    assert load_dataset(config).class_names == ("0", "1")


@pytest.mark.parametrize(
    ("header", "settings"),
    [
        (("text", "toxic"), {}),
        (("words", "label"), {}),
        (("words", "toxic"), {"label_column": "toxic"}),
    ],
)
def test_a_name_may_be_a_cell_of_its_column_where_it_is_surely_a_name(
    write_csv: WriteCsv, header: tuple[str, str], settings: dict[str, str]
) -> None:
    labels = [header[1], "fine"]
    rows = [(header[0] if i == 7 else f"t{i} film", labels[i % 2]) for i in range(20)]
    config = DataConfig(source=write_csv(rows, header), **settings)
    assert load_dataset(config).class_names == tuple(sorted(labels))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["id", "Review", "text2"], "Review"),
        (["words", "label"], "words"),
        (["", "class", "words", "split"], "words"),
        (["text"], "text"),
    ],
)
def test_the_column_of_texts_is_chosen_without_their_labels(names: list[str], chosen: str) -> None:
    table = Table("rows.csv", names, 0, lambda _: [])
    assert choose_text_column(table, None) == chosen


def test_columns_that_a_model_learned_from_come_before_names(write_csv: WriteCsv) -> None:
    header = ("review", "text", "label", "class")
    source = write_csv([("a review", "a text", "a label", "a class")] * 4, header)
    earlier = DataConfig(text_column="review", label_column="class")
    rows = read_rows(DataConfig(source=source), earlier=earlier)
    assert (rows.texts[0], rows.labels[0]) == ("a review", "a class")
    asked = DataConfig(source=source, text_column="text", label_column="review")
    rows = read_rows(asked, earlier=earlier)
    assert (rows.texts[0], rows.labels[0]) == ("a text", "a review")
    plain = write_csv([("a text", "a label")] * 4)
    assert read_rows(DataConfig(source=plain), earlier=earlier).texts[0] == "a text"
    table = Table("rows.csv", header, 0, lambda _: [])
    assert choose_text_column(table, None, "review") == "review"
    assert choose_text_column(table, "class", "review") == "class"
    assert choose_text_column(table, None, "body") == "text"


def test_of_many_columns_only_those_that_may_be_chosen_are_kept(write_csv: WriteCsv) -> None:
    names = ["Split", "text", "label", *(f"feature{number}" for number in range(300))]
    assert possible_columns(DataConfig(), names) == {"Split", "text", "label"}
    asked = DataConfig(text_column="feature1", label_column="feature2")
    assert possible_columns(asked, names) >= {"feature1", "feature2"}
    assert possible_columns(DataConfig(), ["", "a", "b"]) == {"a", "b"}
    header = tuple(names[1:])
    rows = [(f"text {row}", str(row % 2), *["3.25"] * 300) for row in range(20)]
    config = DataConfig(source=write_csv(rows, header))
    assert load_dataset(config).class_names == ("0", "1")


@pytest.mark.parametrize(
    ("header", "settings", "message"),
    [
        (("text", "label"), {"text_column": "txt"}, r"there is no column 'txt'.* 'text', 'label'"),
        (("text", "label"), {"label_column": "y"}, r"there is no column 'y'.* 'text', 'label'"),
        (
            ("text", "label"),
            {"text_column": "label", "label_column": "label"},
            "must be two columns",
        ),
        (("text", "label", "text"), {}, "column 'text' exists twice"),
        (
            ("a", "b", "c"),
            {},
            "cannot tell which column is the label.* 'a', 'b', 'c'.*--label-column",
        ),
        (("a", "b", "label"), {}, "cannot tell which column is the text.*--text-column"),
        (("text;label",), {}, "'text;label' .the first line of the file has to name them"),
        (("good film", "1"), {}, "the first line must name the columns.*`text,label`"),
        (
            ("a film", "x"),
            {},
            "the first line must name the columns.* 'x' is also a cell of its co",
        ),
    ],
)
def test_columns_that_are_not_plain_are_refused(
    write_csv: WriteCsv, header: tuple[str, ...], settings: dict[str, str], message: str
) -> None:
    source = write_csv([("x",) * len(header)] * 4, header)
    with pytest.raises(DataError, match=message):
        load_dataset(DataConfig(source=source, **settings))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"text,label\n", "has no rows"),
        (b"text,label\ngood,1\na, b,0\n", "line 3 has 3 cells and the first line has 2"),
        (b"text,label\ngood\n", "line 2 has 1 cell and the first line has 2"),
        (b'text,label\n"good,1\nbad,0\n', "line 3 is broken"),
        (b'text,label\n"a" b,1\n', "line 2 is broken"),
        (b"text,label\ncaf\xe9,1\n", "must be UTF-8, got byte 0xe9 on line 2; .*iconv"),
        (b"text,label\na,1\nb\0,1\n", "zero bytes on line 3"),
        (b"text,label\ngood,1\nbad, \n", r"row 2 \(line 3\): column 'label' must be a label"),
        (b"text,label\n" + b"good,1\n" * 9, "two classes or more, got only '1'"),
        (b"text,label\na,1\nb,2\nc,3\nd,4\n", "4 classes in 4 rows.*--label-column"),
        (
            b"text,label\na,1\nb,0\nA!,1\nc,0\nd,0\ne,0\n",
            "class '1' has 1 distinct texts.* needs 4",
        ),
        (b"text,label,split\na,1,train\nb,0,exam\n", r"row 2 \(line 3\): column 'split' .*'exam'"),
        (b"text,label,split\na,1,test\nb,0,test\n", "no row 'train'"),
    ],
)
def test_bad_csv_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        load_dataset(DataConfig(source=str(path)))
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        (".jsonl", b'{"text": "a", "label": 1}\n\n{"text": oops}', "line 3 is not JSON"),
        (".jsonl", b"[1, 2]", "line 1 must be an object"),
        (".jsonl", b'[\n{"text": "a"}]', "line 1 is not JSON.*one object per line"),
        (".jsonl", b"[" * 100_000, "line 1 is not JSON"),
        (
            ".jsonl",
            b'{"text": "a", "label": 1}\n{"label": 0}',
            r"row 2 \(line 2\).*'text'.*got nothing",
        ),
        (".jsonl", b'{"text": 5, "label": 1}', "must be a text, got 5"),
        (
            ".jsonl",
            b'{"text": ["good", "film"], "label": 1}',
            r"must be a list of integers, got \['good', 'film'\]; join words .* --tokens symbols",
        ),
        (
            ".jsonl",
            b'{"text": [1], "label": 1}\n{"text": "a", "label": 1}',
            "row 2 .*list of integers",
        ),
        (".jsonl", b'{"text": "a", "label": NaN}', "must be a label.*got nan"),
        (".jsonl", b'{"text": "a", "label": null}', "must be a label.*got nothing"),
        (".parquet", b"PAR1 and nothing else PAR1", "not a readable Parquet file"),
        (".parquet", b"", "not a readable Parquet file"),
        (".csv.gz", b"text,label", "not a complete gzip file"),
        (
            ".csv.gz",
            gzip.compress(b"text,label\na,1", mtime=0)[:-9],
            "not a complete gzip file",
        ),  # the same id in every process
        (".xlsx", b"", "the file has no rows"),
        (".parquet.gz", b"", "not a readable Parquet file"),
    ],
)
def test_other_bad_files_are_refused_in_one_line(
    tmp_path: Path, ending: str, content: bytes, message: str
) -> None:
    path = tmp_path / f"bad{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        load_dataset(DataConfig(source=str(path)))
    assert "\n" not in str(refused.value)


_csv_like = st.text('text,label\t\n\r"1é;{}[]:ab', max_size=80).map(
    lambda text: b"text,label\n" + text.encode()
)
_json_like = st.lists(
    st.dictionaries(
        st.sampled_from(["text", "label", "split"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.integers()),
    )
).map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode())


@pytest.mark.slow
@given(
    content=st.binary(max_size=200) | _csv_like | _json_like,
    ending=st.sampled_from([*FORMATS, ".csv.gz"]),
)
@example(content=b"\xff\xfe\x00\xd8", ending=".csv")
@example(content=b"\xff\xfe\x00\x00\x00", ending=".tsv")
@example(content=b'text,label\n"a\nb', ending=".csv")
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_rows_or_one_line_of_refusal(content: bytes, ending: str) -> None:
    refused = None
    try:
        rows = labelled_rows(read_table(content, ending, "some file"), DataConfig())
    except DataError as error:
        refused = str(error)
    if refused is not None:
        assert refused.startswith("some file: ")
        assert len(refused.splitlines()) == 1
    else:
        assert len(rows.texts) == len(rows.labels) > 0
        assert all(rows.labels)
        " ".join([*rows.texts, *rows.labels]).encode()
