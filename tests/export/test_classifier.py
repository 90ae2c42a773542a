"""Exported models, loaded: raw text in, probabilities out."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.confirmed_run import Confirmed

import tuner
from tuner.data import Split
from tuner.errors import ConfigError, DataError, RunFolderError
from tuner.export.classifier import Classifier

pytestmark = pytest.mark.keras


def test_raw_text_gets_the_probabilities_of_the_confirmation(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    classifier = confirmed.export(tmp_path / "model")
    probabilities = classifier.probabilities(confirmed.texts(held_out))
    best = confirmed.finalists[0].members[0].model
    assert probabilities == pytest.approx(best.probabilities, abs=1e-6)
    assert (probabilities.argmax(axis=1) == held_out.labels).mean() == pytest.approx(
        best.figures.accuracy
    )


def test_a_prediction_is_a_row(confirmed: Confirmed, tmp_path: Path) -> None:
    confirmed.export(tmp_path / "model")
    frame = tuner.load_model(tmp_path / "model").predict(["good fine great film", ""])
    assert list(frame.columns) == ["label", "p(negative)", "p(positive)"]
    assert set(frame["label"]) <= {"negative", "positive"}
    assert frame[["p(negative)", "p(positive)"]].sum(axis=1).to_numpy() == pytest.approx(1)
    assert len(tuner.load_model(tmp_path / "model").predict([])) == 0


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


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("good film", r"^texts: must be a list of texts, got one; write \['good film'\]"),
        (["good", None], r"^texts\[1\]: must be a text or a list of integers, got None"),
        (["good", float("nan")], r"^texts\[1\]: must be a text or a list of integers, got nan"),
        (pd.DataFrame({"text": ["good"]}), r"^texts: must be a list of texts, got DataFrame"),
        ({"text": "good"}, r"^texts: must be a list of texts, got dict"),
        (iter(["good"]), r"^texts: must be a list of texts, got list_iterator"),
        (None, r"^texts: must be a list of texts, got NoneType"),
        ([b"good"], r"^texts\[0\]: must be a text or a list of integers"),
        ([[True]], r"^texts\[0\]: must be a text or a list of integers"),
        ([["good", "film"]], r"^texts\[0\]: must be a text or a list of integers"),
    ],
)
def test_anything_but_a_list_of_texts_is_refused(
    confirmed: Confirmed, tmp_path: Path, texts: Any, message: str
) -> None:
    classifier = confirmed.export(tmp_path / "model")
    with pytest.raises(DataError, match=message):
        classifier.predict(texts)


def test_lists_of_integers_are_texts_too(confirmed: Confirmed, tmp_path: Path) -> None:
    classifier = confirmed.export(tmp_path / "model")
    given = classifier.probabilities([[1, 2], np.array([1, 2])])
    assert (given == classifier.probabilities(["1 2", "1 2"])).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_names", ["a", "b", "c"]),
        ("class_names", ["a"]),
        ("class_names", "ab"),
        ("vocabulary", "abc"),
        ("members", []),
    ],
)
def test_a_description_that_does_not_fit_its_models_is_refused(
    confirmed: Confirmed, tmp_path: Path, field: str, value: object
) -> None:
    confirmed.export(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(RunFolderError, match=r"no exported model|does not tell 3 classes apart"):
        Classifier(tmp_path / "model")


@pytest.mark.parametrize("length", [0, "x", None])
def test_a_member_without_a_length_is_refused(
    confirmed: Confirmed, tmp_path: Path, length: object
) -> None:
    confirmed.export(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    content = json.loads(file.read_text())
    content["members"][0]["max_length"] = length
    file.write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match="no exported model"):
        Classifier(tmp_path / "model")


def test_loading_a_model_runs_no_module_that_its_folder_names(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copytree(exported, tmp_path / "model")
    content = json.loads((model / "model.json").read_text())
    content["members"][0]["module"] = "planted"
    (model / "model.json").write_text(json.dumps(content))
    (model / "planted.py").write_text("raise SystemExit('the trap has shut')")
    monkeypatch.chdir(model)
    before = list(sys.path)
    assert len(tuner.load_model(".").predict(["good film"])) == 1
    assert sys.path == before
    (model / "planted.py").write_text("loaded = True")
    tuner.load_model(".", modules="planted")
    assert sys.modules.pop("planted").loaded
    with pytest.raises(ConfigError, match=r"module nowhere: cannot be imported .ModuleNotFound"):
        tuner.load_model(".", modules=["nowhere"])
