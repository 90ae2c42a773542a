"""`tuner predict`: which texts it takes from the command line."""

import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from support.commands import TUNER, run_tuner

from tuner.export import classifier, prediction


@pytest.mark.parametrize("text", ["- dull, not worth the fare", "-happy end", "--- dull", "-h5"])
def test_a_text_that_begins_with_a_dash_needs_two_dashes_before_it(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run_tuner(["predict", "model", text], capsys)
    assert "begins with a dash, as options do; write -- before the texts" in ended.refusal
    ended = run_tuner(["predict", "model", "--", text], capsys)
    assert ended.refusal.startswith("model: no exported model")


def test_a_dash_is_standard_input_or_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(classifier, "Classifier", lambda model, modules: model)
    monkeypatch.setattr(prediction, "predict_file", lambda *given, **_: calls.append(given))
    assert run_tuner(["predict", "m", "--input", "-", "--output", "-"], capsys).code == 0
    assert calls == [("m", Path("/dev/stdin"), None, None)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "csv"),
        (["--output=a.csv"], "csv"),
        (["--output=a.JSONL"], "jsonl"),
        (["--output=a.ndjson"], "jsonl"),
        (["--output=a.txt", "--format=jsonl"], "jsonl"),
        (["--format=jsonl"], "jsonl"),
    ],
)
def test_the_output_is_json_lines_where_its_name_or_the_person_says_so(
    options: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forms: list[object] = []
    monkeypatch.setattr(classifier, "Classifier", lambda model, modules: model)
    monkeypatch.setattr(prediction, "predict_texts", lambda *_, form, **__: forms.append(str(form)))
    assert run_tuner(["predict", "m", "a text", *options], capsys).code == 0
    assert forms == [expected]


@pytest.mark.parametrize(
    ("given", "stem"), [("a.parquet", "a"), ("a.csv.gz", "a"), ("v1.2.JSONL.zst", "v1.2")]
)
def test_other_forms_of_output_are_refused(
    capsys: pytest.CaptureFixture[str], given: str, stem: str
) -> None:
    ended = run_tuner(["predict", "m", "a text", f"--output={given}"], capsys)
    told = f"is written as CSV or JSON lines, got {given}; name it {stem}.csv or {stem}.jsonl"
    assert told in ended.refusal


def test_of_a_file_of_a_model_its_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.json").write_text("{}")
    ended = run_tuner(["predict", f"{tmp_path}/model.json", "a text"], capsys)
    assert (
        ended.refusal
        == f"{tmp_path}/model.json: must be a model's folder, got a file; write {tmp_path}"
    )


def test_an_output_in_a_folder_that_cannot_be_written_is_refused_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write anywhere
    ended = run_tuner(["predict", "m", "a text", f"--output={tmp_path}/p.csv"], capsys)
    assert ended.refusal == (
        f"--output: no file can be written in {tmp_path}; choose another folder"
    )
    ended = run_tuner(["predict", "m", "a text", "--output=/dev/null"], capsys)
    assert ended.refusal.startswith("m: no exported model")


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_end_no_command_with_a_stack_trace(closed: str) -> None:
    command = f"{shlex.join([*TUNER, 'spaces', 'quickstart'])} {closed}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(("option", "file"), [("--input", "-d.csv"), ("--output", "-a b.csv")])
def test_a_file_may_begin_with_a_dash(
    option: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run_tuner(["predict", "model", option, file, "--", "dull"], capsys)
    assert "begins with a dash" not in ended.refusal
    ended = run_tuner(["predict", "model", option, file, "-dull"], capsys)
    assert ended.refusal.startswith("'-dull': begins with a dash")


@pytest.mark.parametrize("option", ["--input=- a file.csv", "--raw"])
def test_options_are_still_options(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run_tuner(["predict", "model", option], capsys)
    assert "begins with a dash" not in ended.refusal


def test_a_text_that_is_no_unicode_is_written_as_an_escape_sequence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        def predict(self, texts: list[str]) -> pd.DataFrame:
            return pd.DataFrame({"label": ["up"]})

    monkeypatch.setattr(classifier, "Classifier", lambda *_: Model())
    ended = run_tuner(["predict", "m", "caf\udce9"], capsys)
    assert (ended.code, ended.out.splitlines()[1:]) == (0, [r"caf\udce9,up"])
