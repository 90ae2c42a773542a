"""From finalists to a model that takes raw text."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

import tuner
from tuner.config import DataConfig, SearchConfig, make_config
from tuner.data import Dataset, EncodedSequences, Split, load_dataset, pad
from tuner.driver.progress import SilentListener
from tuner.driver.search import run_search
from tuner.errors import ConfigError, DataError, RunFolderError, UsageError
from tuner.finalists.classifier import Classifier
from tuner.finalists.confirmation import run_confirmation
from tuner.finalists.export import Choice, chosen_finalists, export_model
from tuner.finalists.formats import ExportFormat
from tuner.finalists.prediction import predict_file
from tuner.finalists.ranking import Finalist, read_finalists
from tuner.finalists.request import Request, confirmation_config
from tuner.finalists.testing import ClassFigures, figures_of, open_test
from tuner.run_folder import RunFolder
from tuner.space import SearchSpace


class Confirmed:
    """A run with two finalists of two seeds each, from real training on easy sentences."""

    def __init__(self, folder: Path) -> None:
        rows = [
            f"{words} film number {number},{label}"
            for number in range(60)
            for words, label in (("good fine great", "positive"), ("bad poor awful", "negative"))
        ]
        (folder / "sentences.csv").write_text("\n".join(["text,label", *rows]) + "\n")
        space = SearchSpace.from_mapping(
            {
                "name": "small",
                "max_epochs": 2,
                "shared": {"lstm_units": {"int": [4, 8]}, "learning_rate": 0.02},
                "architectures": {"lstm": {}, "cnn_lstm": {"filters": {"int": [4, 8]}}},
            },
            "small.yaml",
        )
        self.config: SearchConfig = make_config(
            {
                "space": space,
                "data": {"source": str(folder / "sentences.csv")},
                "out": str(folder),
                "name": "mine",
                "trials": 3,
            }
        )
        run_search(self.config)
        self.folder = RunFolder(folder / "mine")
        asked = confirmation_config(self.folder, {})
        run_confirmation(self.folder, Request(top=2, seeds=2), asked, SilentListener())
        self.dataset: Dataset = load_dataset(self.config.data, seed=self.config.seed)
        self.finalists = read_finalists(self.folder, self.dataset)

    def export(self, out: Path, finalists: Sequence[Finalist] | None = None) -> Classifier:
        chosen = finalists or self.finalists[:1]
        return Classifier(export_model(self.folder, self.config, self.dataset, chosen, out))

    def texts(self, sequences: EncodedSequences) -> list[str]:
        """The sequences as a person would have typed them; words that nobody knew stay unknown."""
        starts, ends = sequences.offsets[:-1] + 1, sequences.offsets[1:]
        return [
            " ".join(
                "neverseen" if token < 3 else self.dataset.vocabulary[token]
                for token in sequences.tokens[start:end]
            )
            for start, end in zip(starts, ends, strict=True)
        ]


@pytest.fixture(scope="module")
def confirmed(shared_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Confirmed:
    return Confirmed(tmp_path_factory.mktemp("confirmed"))


pytestmark = pytest.mark.ray


def test_raw_text_gets_the_probabilities_of_the_confirmation(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    classifier = confirmed.export(tmp_path / "model")
    said = classifier.probabilities(confirmed.texts(held_out))
    best = confirmed.finalists[0].members[0].model
    assert said == pytest.approx(best.probabilities, abs=1e-6)
    assert (said.argmax(axis=1) == held_out.labels).mean() == pytest.approx(best.figures.accuracy)


def test_an_ensemble_says_the_mean(confirmed: Confirmed, tmp_path: Path) -> None:
    texts = confirmed.texts(confirmed.dataset.splits[Split.CONFIRMATION])
    classifier = confirmed.export(tmp_path / "model", confirmed.finalists)
    members = [finalist.members[0].model.probabilities for finalist in confirmed.finalists]
    assert classifier.probabilities(texts) == pytest.approx(np.mean(members, axis=0), abs=1e-6)


def test_an_export_replaces_a_model_but_nothing_else(confirmed: Confirmed, tmp_path: Path) -> None:
    for _ in range(2):
        confirmed.export(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        *("member-1.keras", "model.json", "README.md")
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(RunFolderError, match="is not empty and no exported model"):
        confirmed.export(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("model_json", ['{"mine": 1}', None], ids=["another's", "ours"])
def test_an_export_removes_nothing_that_is_not_a_models(
    confirmed: Confirmed, tmp_path: Path, model_json: str | None
) -> None:
    out = tmp_path / "project"
    if model_json is None:
        confirmed.export(out)
    else:
        out.mkdir()
        (out / "model.json").write_text(model_json)
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="is not empty and no exported model"):
        confirmed.export(out)
    assert (out / "thesis.txt").read_text() == "mine"


def test_keras_alone_takes_the_file_in_its_safe_mode(confirmed: Confirmed, tmp_path: Path) -> None:
    confirmed.export(tmp_path / "model")
    model = keras.models.load_model(tmp_path / "model" / "member-1.keras", safe_mode=True)
    assert model.input_shape == (None, None)


_SERVE = """
import json, sys
sys.modules["tuner"] = None  # not to be imported
import numpy as np, tensorflow as tf
ids = np.load(sys.argv[2])["ids"]
loaded = tf.saved_model.load(sys.argv[1])
print(json.dumps(loaded.serve(tf.constant(ids)).numpy().tolist()))
"""


def test_programs_without_tuner_say_the_same(confirmed: Confirmed, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    made = export_model(
        confirmed.folder,
        confirmed.config,
        confirmed.dataset,
        confirmed.finalists,
        tmp_path / "model",
        [ExportFormat.SAVED_MODEL, ExportFormat.ONNX],
    )
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    for number, (finalist, known) in enumerate(
        zip(confirmed.finalists, Classifier(made).description.members, strict=True), start=1
    ):
        view = held_out.view(vocabulary_size=known.vocabulary_size, max_length=known.max_length)
        ids = pad(view, np.arange(len(view)))
        np.savez(tmp_path / "ids.npz", ids=ids)
        expected = finalist.members[0].model.probabilities[:, 1:]
        place = [str(made / f"member-{number}.savedmodel"), str(tmp_path / "ids.npz")]
        served = subprocess.run(
            [sys.executable, "-c", _SERVE, *place], capture_output=True, text=True, check=True
        )
        assert np.array(json.loads(served.stdout)) == pytest.approx(expected, abs=1e-5)
        session = onnxruntime.InferenceSession(made / f"member-{number}.onnx")
        (said,) = session.run(None, {"ids": ids})
        assert said == pytest.approx(expected, abs=1e-5)
    card = (made / "README.md").read_text(encoding="utf-8")
    assert "the probability of `positive`" in card
    assert "--format=onnx --format=savedmodel" in card


def test_a_format_whose_package_is_missing_is_refused_before_anything_is_made(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = (confirmed.folder, confirmed.config, confirmed.dataset, confirmed.finalists)
    with pytest.raises(ConfigError, match=r'pip install "sequence-tuner\[onnx\]"'):
        export_model(*arguments, tmp_path / "model", [ExportFormat.ONNX])
    assert list(tmp_path.iterdir()) == []


def test_the_card_says_how_sure_it_is(confirmed: Confirmed, tmp_path: Path) -> None:
    confirmed.export(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    best = confirmed.finalists[0]
    assert (
        f"| {best.record.number} | {best.record.architecture} | 2 | {best.spread.mean:.4f} |"
        in card
    )
    assert "`negative` or `positive`" in card
    assert confirmed.dataset.fingerprint[:16] in card
    assert f"- lstm_units: {best.record.parameters['lstm_units']}" in card
    assert "keras 3" in card


def test_the_card_says_how_it_was_confirmed_and_tested(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    opening = open_test(
        confirmed.folder, confirmed.config, confirmed.dataset, confirmed.finalists[:1]
    )
    confirmed.export(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    confirmed.folder.tests.unlink()
    assert "--top=2 --seeds=2 --train-on=train" in card
    assert f"- On the test split, {opening.figures.sequences} sequences: accuracy" in card
    assert f"opened {opening.opened}." in card


def test_other_columns_stay_as_they_are_and_none_comes_twice(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    source, target = tmp_path / "texts.csv", tmp_path / "said.csv"
    source.write_text("text,x,label,predicted_label,p(negative)\ngood,-5,=1+1,b,c\n")
    predict_file(confirmed.export(tmp_path / "model"), source, target, None)
    said = pd.read_csv(target, dtype=str)
    assert list(said.columns[:5]) == ["text", "x", "label", "predicted_label", "p(negative)"]
    assert list(said.iloc[0, 1:5]) == ["-5", "'=1+1", "b", "c"]
    assert len(set(said.columns)) == 8


@pytest.mark.parametrize("choice", [Choice(3), Choice(1, 3), Choice(0), Choice(1, 0)])
def test_finalists_that_there_are_not_are_refused(confirmed: Confirmed, choice: Choice) -> None:
    with pytest.raises(UsageError, match="this run has 2 finalists"):
        chosen_finalists(confirmed.finalists, choice)


def test_a_prediction_is_a_row(confirmed: Confirmed, tmp_path: Path) -> None:
    confirmed.export(tmp_path / "model")
    frame = tuner.load_model(tmp_path / "model").predict(["good fine great film", ""])
    assert list(frame.columns) == ["label", "p(negative)", "p(positive)"]
    assert set(frame["label"]) <= {"negative", "positive"}
    assert frame[["p(negative)", "p(positive)"]].sum(axis=1).to_numpy() == pytest.approx(1)
    assert len(tuner.load_model(tmp_path / "model").predict([])) == 0


def test_a_file_is_predicted_piece_by_piece(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.finalists.prediction._ROWS", 7)
    classifier = confirmed.export(tmp_path / "model")
    source, target = tmp_path / "texts.csv", tmp_path / "said.csv"
    texts = [f'good "film", number {number}\nNA' for number in range(20)]
    pd.DataFrame({"id": range(20), "text": texts, "label": "x"}).to_csv(source, index=False)
    assert predict_file(classifier, source, target, None) == 20
    said = pd.read_csv(target, keep_default_na=False)
    assert list(said["text"]) == texts
    assert list(said["label"]) == ["x"] * 20
    whole = classifier.predict(texts)
    assert list(said["predicted_label"]) == list(whole["label"])
    assert said["p(positive)"].to_numpy() == pytest.approx(whole["p(positive)"], abs=1e-5)


@pytest.mark.parametrize("ending", ["tsv", "csv.gz", "jsonl", "json.gz", "parquet"])
def test_a_file_of_another_form_gets_the_same_predictions(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("tuner.finalists.prediction._ROWS", 7)
    classifier = confirmed.export(tmp_path / "model")
    source, target = tmp_path / f"texts.{ending}", tmp_path / "said.csv"
    texts = [f"good film number {number}" for number in range(20)]
    frame = pd.DataFrame({"id": range(20), "text": texts, "note": [None, *"=abcdefghijklmnopqr"]})
    if "json" in ending:
        frame.to_json(source, orient="records", lines=True)
    elif ending == "parquet":
        frame.to_parquet(source)
    else:
        frame.to_csv(source, index=False, sep="\t" if ending == "tsv" else ",")
    assert predict_file(classifier, source, target, None) == 20
    said = pd.read_csv(target, keep_default_na=False)
    assert list(said["id"]) == list(range(20))  # whole numbers stay whole
    assert list(said["note"][:3]) == ["", "'=", "a"]
    assert list(said["label"]) == list(classifier.predict(texts)["label"])


def test_lists_of_integers_are_sequences_too(confirmed: Confirmed, tmp_path: Path) -> None:
    classifier = confirmed.export(tmp_path / "model")
    source = tmp_path / "numbers.jsonl"
    source.write_text('{"sequence": [1, 2]}\n\n{"sequence": []}\n')
    assert predict_file(classifier, source, tmp_path / "said.csv", None) == 2
    assert list(pd.read_csv(tmp_path / "said.csv")["sequence"]) == ["[1, 2]", "[]"]


def test_a_bar_is_drawn_on_a_terminal_only(confirmed: Confirmed, tmp_path: Path) -> None:
    confirmed.export(tmp_path / "model")
    (tmp_path / "texts.csv").write_text("text\ngood\n")
    code = "from tuner.cli import main; main()"
    call = [sys.executable, "-c", code, "predict", "model", "--input", "texts.csv"]
    piped = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout.startswith("text,label,p(negative),p(positive)\n")
    master, slave = pty.openpty()
    with subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, stderr=slave) as shown:
        assert shown.stdout is not None
        out = shown.stdout.read().decode()
    os.close(slave)
    drawn = os.read(master, 100_000).decode()
    os.close(master)
    assert "predicting" in drawn
    assert out.replace("\r", "") == piped.stdout


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b'{"text": "good"}\n{"text": 5}\n', "row 2: column 'text' must be .*, got 5"),
        ("a.jsonl", b'{"text": "good"}\n{"id": 5}\n', "row 2: .* got nothing"),
        ("a.jsonl", b"good\n", "line 1 is not JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "line 2 must be UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n' * 3 + b'{"text": "a", "b": 1}\n', "line 4: 'b' is in none"),
        ("a.csv.gz", b"good", "not a complete gzip file"),
        ("a.parquet", b"good", "not a readable Parquet file"),
    ],
)
def test_other_forms_that_cannot_be_read_are_refused_and_leave_nothing(
    confirmed: Confirmed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes,
    problem: str,
) -> None:
    monkeypatch.setattr("tuner.finalists.prediction._ROWS", 3)
    (tmp_path / name).write_bytes(content)
    classifier = confirmed.export(tmp_path / "model")
    with pytest.raises(DataError, match=problem):
        predict_file(classifier, tmp_path / name, tmp_path / "said.csv", None)
    assert {path.name for path in tmp_path.iterdir()} == {"model", name}


@pytest.mark.parametrize(
    ("content", "column", "problem"),
    [
        ("a,b\n1,2\n", None, "which column has the texts"),
        ("a,b\n1,2\n", "c", "no column 'c'; name it with --text-column"),
        ("text\nA film, really good\n", None, "rows have more cells than its first line"),
        ("text\n", None, "no rows in it"),
        ("", None, "cannot be read as a table"),
        ('text\n"open\n', None, "cannot be read as a table"),
        (None, None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_predicted_is_refused_and_leaves_nothing(
    confirmed: Confirmed, tmp_path: Path, content: str | None, column: str | None, problem: str
) -> None:
    classifier = confirmed.export(tmp_path / "model")
    source = tmp_path / "texts.csv"
    if content is not None:
        source.write_text(content)
    with pytest.raises(DataError, match=problem):
        predict_file(classifier, source, tmp_path / "said.csv", column)
    assert {path.name for path in tmp_path.iterdir()} <= {"model", "texts.csv"}


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"format": 9}'])
def test_a_folder_without_a_model_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(RunFolderError, match="no exported model"):
        Classifier(tmp_path)


def test_a_damaged_model_is_refused(confirmed: Confirmed, tmp_path: Path) -> None:
    confirmed.export(tmp_path / "model")
    file = tmp_path / "model" / "member-1.keras"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunFolderError, match=r"member-1\.keras: cannot be loaded"):
        Classifier(tmp_path / "model")


def test_the_test_split_is_opened_and_written_down(confirmed: Confirmed) -> None:
    chosen = confirmed.finalists[:1]
    first, second = (
        open_test(confirmed.folder, confirmed.config, confirmed.dataset, chosen) for _ in range(2)
    )
    assert first.before == ()
    assert second.before == (first.opened,)
    assert second.figures == first.figures
    figures = first.figures
    test = confirmed.dataset.splits[Split.TEST]
    assert figures.sequences == len(test) == sum(map(sum, figures.confusion))
    right = sum(figures.confusion[number][number] for number in (0, 1))
    assert figures.accuracy == pytest.approx(right / len(test))
    content = yaml.safe_load(confirmed.folder.tests.read_text())
    assert [each["opened"] for each in content["openings"]] == [first.opened, second.opened]


def test_other_rows_can_be_measured_and_have_the_models_classes(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    (tmp_path / "more.csv").write_text("text,label\ngood fine great film,positive\nbad,negative\n")
    more = DataConfig(source=str(tmp_path / "more.csv"))
    opening = open_test(
        confirmed.folder, confirmed.config, confirmed.dataset, confirmed.finalists, more
    )
    assert (opening.figures.sequences, len(opening.members)) == (2, 2)
    (tmp_path / "more.csv").write_text("text,label\ngood,positive\nbad,awful\n")
    with pytest.raises(DataError, match="the model knows no class 'awful'"):
        open_test(confirmed.folder, confirmed.config, confirmed.dataset, confirmed.finalists, more)


def test_the_figures_of_three_classes() -> None:
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]]
    figures = figures_of(probabilities, np.array([0, 1, 1, 1, 2], np.int32), ("a", "b", "c"))
    assert figures.accuracy == pytest.approx(0.8)
    assert figures.confusion == ((1, 0, 0), (1, 2, 0), (0, 0, 1))
    assert figures.classes["b"] == ClassFigures(1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3)
    assert figures.roc_auc is None
