"""Files of texts, predicted piece by piece."""

import os
import pty
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from support.commands import run_tuner
from support.forked_keras import KerasCommands

from tuner.errors import ConfigError, DataError
from tuner.export import prediction
from tuner.export.classifier import Classifier
from tuner.export.prediction import predict_file
from tuner.files import STANDARD_INPUT

pytestmark = pytest.mark.keras


def test_a_file_is_predicted_piece_by_piece(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "_ROWS", 7)
    source, target = tmp_path / "texts.csv", tmp_path / "predictions.csv"
    texts = [f'good "film", number {number}\nNA' for number in range(20)]
    pd.DataFrame({"id": range(20), "text": texts, "label": "x"}).to_csv(source, index=False)
    assert predict_file(classifier, source, target, None) == 20
    predictions = pd.read_csv(target, keep_default_na=False)
    assert list(predictions["text"]) == texts
    assert list(predictions["label"]) == ["x"] * 20
    whole = classifier.predict(texts)
    assert list(predictions["predicted_label"]) == list(whole["label"])
    assert predictions["p(positive)"].to_numpy() == pytest.approx(whole["p(positive)"], abs=1e-5)


@pytest.mark.parametrize("ending", ["tsv", "csv.gz", "jsonl", "json.gz", "parquet"])
def test_a_file_of_another_form_gets_the_same_predictions(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(prediction, "_ROWS", 7)
    source, target = tmp_path / f"texts.{ending}", tmp_path / "predictions.csv"
    texts = [f"good film number {number}" for number in range(20)]
    frame = pd.DataFrame({"id": range(20), "text": texts, "note": [None, *"=abcdefghijklmnopqr"]})
    if "json" in ending:
        frame.to_json(source, orient="records", lines=True)
    elif ending == "parquet":
        frame.to_parquet(source)
    else:
        frame.to_csv(source, index=False, sep="\t" if ending == "tsv" else ",")
    assert predict_file(classifier, source, target, None) == 20
    predictions = pd.read_csv(target, keep_default_na=False)
    assert list(predictions["id"]) == list(range(20))  # whole numbers stay whole
    assert list(predictions["note"][:3]) == ["", "'=", "a"]
    assert list(predictions["label"]) == list(classifier.predict(texts)["label"])


def test_other_columns_stay_as_they_are_and_none_comes_twice(
    classifier: Classifier, tmp_path: Path
) -> None:
    source, target = tmp_path / "texts.csv", tmp_path / "predictions.csv"
    source.write_text("text,x,label,predicted_label,p(negative)\ngood,-5,=1+1,b,c\n")
    predict_file(classifier, source, target, None)
    predictions = pd.read_csv(target, dtype=str)
    assert list(predictions.columns[:5]) == ["text", "x", "label", "predicted_label", "p(negative)"]
    assert list(predictions.iloc[0, 1:5]) == ["-5", "'=1+1", "b", "c"]
    assert len(set(predictions.columns)) == 8


def test_the_column_of_the_texts_is_guessed_as_a_search_does(
    classifier: Classifier, tmp_path: Path
) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("id,message,Review\n1,bad poor awful,good fine great\n")
    predict_file(classifier, source, tmp_path / "predictions.csv", None)
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert list(predictions["label"]) == list(classifier.predict(["good fine great"])["label"])
    assert predictions["label"][0] != classifier.predict(["bad poor awful"])["label"][0]


def test_lists_of_integers_are_sequences_too(classifier: Classifier, tmp_path: Path) -> None:
    source = tmp_path / "numbers.jsonl"
    source.write_text('{"sequence": [1, 2]}\n\n{"sequence": []}\n')
    assert predict_file(classifier, source, tmp_path / "predictions.csv", None) == 2
    assert list(pd.read_csv(tmp_path / "predictions.csv")["sequence"]) == ["[1, 2]", "[]"]


def test_a_bar_is_drawn_on_a_terminal_only(
    exported: Path, tmp_path: Path, keras_command: KerasCommands
) -> None:
    (tmp_path / "texts.csv").write_text("text\ngood\n")
    words = ["predict", str(exported), "--input", "texts.csv"]
    piped = keras_command(words, tmp_path)
    assert (piped.code, piped.err) == (0, "")
    assert piped.out.startswith("text,label,p(negative),p(positive)\n")
    master, slave = pty.openpty()
    shown = keras_command(words, tmp_path, errors=Path(os.ttyname(slave)))
    os.close(slave)
    drawn = os.read(master, 100_000).decode()
    os.close(master)
    assert "predicting" in drawn
    assert shown.out == piped.out


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "a.jsonl",
            b'{"text": "good"}\n{"text": 5}\n',
            r"row 2 \(line 2\): column 'text' must be .*, got 5",
        ),
        ("a.jsonl", b'{"text": "good"}\n{"id": 5}\n', "row 2 .* got nothing"),
        ("a.jsonl", b"good\n", "line 1 is not JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "must be UTF-8, got byte 0xff on line 2"),
        (
            "a.jsonl",
            b'{"text": "a"}\n' * 3 + b'{"text": "a", "b": 1}\n',
            "column 'b' comes first after 3 rows",
        ),
        ("a.csv.gz", b"good", "not a complete gzip file"),
        ("a.parquet", b"good", "not a readable Parquet file"),
        ("a.jsonl", b"", "the file has no rows"),
    ],
)
def test_other_forms_that_cannot_be_read_are_refused_and_leave_nothing(
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes,
    problem: str,
) -> None:
    monkeypatch.setattr(prediction, "_ROWS", 3)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=problem):
        predict_file(classifier, tmp_path / name, tmp_path / "predictions.csv", None)
    assert {path.name for path in tmp_path.iterdir()} == {name}


@pytest.mark.parametrize(
    ("content", "column", "problem"),
    [
        ("a,b\n1,2\n", None, "cannot tell which column is the text"),
        ("a,b\n1,2\n", "c", "there is no column 'c'; its columns are 'a', 'b'"),
        ("text\nA film, really good\n", None, "line 2 has 2 cells and the first line has 1"),
        (
            "a film\n",
            None,
            "no rows, its columns are 'a film' .the first line names them.; write a line such as `text`",
        ),
        ("", None, "the file has no rows; write a line such as `text`, and texts below it"),
        (
            "great\nlovely\n",
            None,
            "its columns are 'great' .the first line of the file has to name them",
        ),
        ('text\n"open\n', None, "line 2 is broken"),
        (None, None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_predicted_is_refused_and_leaves_nothing(
    classifier: Classifier, tmp_path: Path, content: str | None, column: str | None, problem: str
) -> None:
    source = tmp_path / "texts.csv"
    if content is not None:
        source.write_text(content)
    with pytest.raises(DataError, match=problem):
        predict_file(classifier, source, tmp_path / "predictions.csv", column)
    assert {path.name for path in tmp_path.iterdir()} <= {"texts.csv"}


def test_standard_input_is_called_as_it_was_typed(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "piped").write_text("a gripping film\n")
    with open(tmp_path / "piped", "rb", buffering=0) as piped:
        monkeypatch.setattr(prediction, "_opened", lambda _: piped)
        with pytest.raises(
            DataError, match=r"^-: the file has no rows, its columns are 'a gripping film'"
        ):
            predict_file(classifier, STANDARD_INPUT, None, None)


def test_a_link_a_pipe_and_the_mode_of_a_file_outlive_their_predictions(
    classifier: Classifier, tmp_path: Path
) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("text\ngood\n")
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "real.csv").chmod(0o600)
    (tmp_path / "link.csv").symlink_to("real.csv")
    predict_file(classifier, source, tmp_path / "link.csv", None)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("text,label")
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o600
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        assert predict_file(classifier, source, tmp_path / "pipe", None) == 1
        assert read.result().startswith("text,label")
    assert (tmp_path / "pipe").is_fifo()


def test_a_blank_line_of_a_file_of_texts_alone_is_a_text(
    classifier: Classifier, tmp_path: Path
) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("text\ngood\n\nbad\n")
    assert predict_file(classifier, source, tmp_path / "a.csv", None) == 3
    source.write_text("id,text\n1,good\n\n2,bad\n")
    assert predict_file(classifier, source, tmp_path / "a.csv", None) == 2


def test_no_piece_repeats_a_heading_with_a_line_end(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "_ROWS", 2)
    source, target = tmp_path / "texts.csv", tmp_path / "predictions.csv"
    source.write_text('"te\nxt",b\n' + "good,x\n" * 5)
    predict_file(classifier, source, target, "te\nxt")
    assert len(pd.read_csv(target)) == 5


def test_whole_numbers_stay_whole_where_one_is_missing(
    classifier: Classifier, tmp_path: Path
) -> None:
    source, target = tmp_path / "texts.jsonl", tmp_path / "predictions.csv"
    source.write_text('{"id": 1, "text": "good"}\n{"text": "bad"}\n')
    predict_file(classifier, source, target, None)
    assert [line.split(",")[0] for line in target.read_text().splitlines()] == ["id", "1", ""]


@pytest.mark.parametrize(
    "name",
    [
        "predictions.parquet",
        "predictions.XLSX",
        "predictions.csv.gz",
        "predictions.csv.bz2",
        "predictions.csv.xz",
        "predictions.csv.zst",
    ],
)
def test_an_output_named_as_another_format_is_refused(
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run_tuner(["predict", str(exported), "good", "--output", name], capsys)
    assert ended.code == 2
    assert ended.err.startswith(
        f"tuner: --output: is written as CSV or JSON lines, got {name}; name it predictions"
    )
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "place", ["tuner.training.loading.load_model", "tuner.training.evaluation.predict"]
)
def test_a_gpu_that_others_fill_is_no_damaged_model(
    exported: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cudaSetDevice() on GPU:0 failed. Status: out of memory")

    monkeypatch.setattr(place, fail)
    with pytest.raises(ConfigError, match=r"CUDA_VISIBLE_DEVICES=-1 in front of the command"):
        Classifier(exported).predict(["good film"])
