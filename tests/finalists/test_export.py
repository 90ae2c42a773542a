"""Finalists as models: the written folder, and the refusals that leave nothing behind."""

import dataclasses
import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from support.commands import run_tuner
from support.confirmed_run import Confirmed

from tuner.data import Split, load_dataset
from tuner.errors import ConfigError, RunFolderError, UsageError
from tuner.export import model
from tuner.export.classifier import Classifier
from tuner.export.description import Description
from tuner.export.model import Member, check_writable, model_place, write_model
from tuner.finalists.card import model_card
from tuner.finalists.choice import check_threshold, chosen_finalists, load_chosen
from tuner.finalists.model_choice import ModelChoice
from tuner.run import Run
from tuner.run.train_on import TrainOn, rows_of
from tuner.search.kept_reference import train_on_rows
from tuner.settings.data import DataConfig
from tuner.settings.hyperparameters import resolve
from tuner.training.spec import LinearShape
from tuner.training.temperature import tempered

pytestmark = pytest.mark.keras


def test_an_ensemble_predicts_the_mean(confirmed: Confirmed, tmp_path: Path) -> None:
    texts = confirmed.texts(confirmed.dataset.splits[Split.CONFIRMATION])
    classifier = confirmed.export(tmp_path / "model", confirmed.finalists)
    members = [finalist.members[0].model.probabilities for finalist in confirmed.finalists]
    assert classifier.probabilities(texts) == pytest.approx(np.mean(members, axis=0), abs=1e-6)


def test_an_export_has_the_temperature_and_the_threshold_of_its_confirmation(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    measured = confirmed.finalists[0].members[0].probabilities

    def fitted(probabilities: np.ndarray, labels: np.ndarray) -> float:
        assert (probabilities == measured).all()
        assert (labels == held_out.labels).all()
        return 2.5

    monkeypatch.setattr("tuner.finalists.export.fit_temperature", fitted)
    monkeypatch.setattr("tuner.finalists.export.fit_threshold", lambda *_: 0.625)
    classifier = confirmed.export(tmp_path / "model")
    assert classifier.probabilities_of(held_out) == pytest.approx(tempered(measured, 2.5), abs=1e-5)
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "the temperature 2.5, fitted on the confirmation split" in card
    assert "labelled `positive` where the probability of that is above 0.625, which gave" in card
    predicted = classifier.predict(confirmed.texts(held_out))
    assert ((predicted["label"] == "positive") == (predicted["p(positive)"] > 0.625)).all()
    description = (tmp_path / "model" / "model.json").read_text(encoding="utf-8")
    assert '"weight": 1.0' in description
    for figure in ("0.625", "2.5", "1.0"):
        for damaged in ("0", "NaN", '"hot"', "null"):
            with pytest.raises(RunFolderError, match="no exported model of this version"):
                Description.from_json(description.replace(figure, damaged), "model.json")


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


@pytest.mark.parametrize("choice", [ModelChoice(finalist=3), ModelChoice(finalist=2, ensemble=2)])
def test_missing_finalists_are_refused(confirmed: Confirmed, choice: ModelChoice) -> None:
    with pytest.raises(UsageError, match="this run has 2 finalists"):
        chosen_finalists(confirmed.finalists, choice)


def test_a_model_that_does_not_reproduce_its_predictions_is_not_written(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    """As if the code of a person's own architecture had changed after the confirmation."""
    finalist = confirmed.finalists[0]
    measured = finalist.members[0].model
    other = dataclasses.replace(
        measured, weights=tuple(weight + 0.5 for weight in measured.weights)
    )
    member = Member(
        model=other,
        hyperparameters=resolve(finalist.record.architecture, dict(finalist.record.parameters)),
        seed=1,
        trial=0,
    )
    with pytest.raises(RunFolderError, match="does not reproduce the measured predictions"):
        write_model(
            tmp_path / "model",
            run="mine",
            dataset=confirmed.dataset,
            measured_on=Split.CONFIRMATION,
            members=[member],
            card="",
        )
    assert list(tmp_path.iterdir()) == []


def test_a_reference_that_learned_from_unknown_words_is_written_as_it_was_measured(
    tmp_path: Path,
) -> None:
    rows = ["text,label,split"]
    for number in range(20):  # each row has a word of its own; of validation rows it is unknown
        rows += [f"good rare{number},yes,train", f"bad dull{number},no,train"]
        rows += [f"new{number} good,yes,validation", "bad,no,validation"]
        rows += [f"rare{number},yes,confirmation", f"other{number},no,confirmation"]
        rows += [f"good {number},yes,test", f"bad {number},no,test"]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    dataset = load_dataset(DataConfig(source=str(tmp_path / "data.csv")))
    learned = rows_of(dataset, TrainOn.BOTH)
    shape = LinearShape(int(learned.lengths.max()))
    reference = train_on_rows(dataset, learned)
    assert len(np.unique(reference.probabilities)) > 2  # rare words are not unknown ones
    out = write_model(
        tmp_path / "model",
        run="mine",
        dataset=dataset,
        measured_on=Split.CONFIRMATION,
        members=[Member(reference, shape, seed=0, trial=None)],
        card="",
    )
    held_out = dataset.splits[Split.CONFIRMATION]
    assert Classifier(out).probabilities_of(held_out) == pytest.approx(
        reference.probabilities, abs=1e-5
    )


def test_a_model_in_a_folder_that_cannot_be_written_to_is_refused_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write anywhere
    with pytest.raises(RunFolderError, match="cannot be made or written to"):
        check_writable(tmp_path / "model")


def test_the_old_model_comes_back_where_the_new_one_cannot_take_its_place(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    confirmed.export(out)
    before = (out / "model.json").read_text()
    rename = os.rename

    def fails_for_new(source: Path, target: Path) -> None:
        if Path(source).name == "model" and target == out:
            raise OSError("the disk is full")
        rename(source, target)

    monkeypatch.setattr("os.rename", fails_for_new)
    with pytest.raises(OSError, match="the disk is full"):
        confirmed.export(out)
    assert (out / "model.json").read_text() == before


def test_notes_beside_a_model_are_not_a_models(confirmed: Confirmed, tmp_path: Path) -> None:
    confirmed.export(tmp_path / "model")
    (tmp_path / "model" / "member-notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"member-notes\.txt is in it"):
        confirmed.export(tmp_path / "model")


def test_data_that_has_changed_since_is_refused(confirmed: Confirmed, tmp_path: Path) -> None:
    shutil.copytree(confirmed.folder.path, tmp_path / "mine")
    run = tmp_path / "mine" / "run.yaml"
    rows = Path(shutil.copy(confirmed.config.data.source, tmp_path / "sentences.csv"))
    run.write_text(run.read_text().replace(confirmed.config.data.source, str(rows)))
    assert load_chosen(Run(run.parent), ModelChoice()).finalists
    rows.write_text(rows.read_text() + "quite another,positive\n")
    with pytest.raises(
        RunFolderError, match=r"sentences\.csv: differs from the data that .* learned from"
    ):
        load_chosen(Run(run.parent), ModelChoice())


@pytest.mark.parametrize("out", ["s3://bucket/model", ""])
def test_a_place_that_is_no_folder_here_is_refused(out: str) -> None:
    with pytest.raises(ConfigError, match=r"^--out: must be a folder of this machine"):
        model_place(out)


def test_a_sigterm_leaves_neither_half_a_model_nor_a_temporary_folder(
    confirmed: Confirmed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    half: list[Path] = []

    def sigterm(*_: object) -> None:
        half.extend(tmp_path.iterdir())
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(model, "_check_predictions", sigterm)
    monkeypatch.chdir(tmp_path)
    try:
        ended = run_tuner(["export", str(confirmed.folder.path), "--out", "model"], capsys)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.code == 128 + signal.SIGTERM, ended.err
    assert len(half) == 1  # the signal came while it was written
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_is_refused_of_more_than_two_classes_and_is_in_the_card(
    confirmed: Confirmed,
) -> None:
    with pytest.raises(
        UsageError, match=r"^threshold: decides between two classes, got 0\.3, and .* 5;"
    ):
        check_threshold(0.3, 5)
    asked = dataclasses.replace(confirmed.chosen(), choice=ModelChoice(threshold=0.3))
    card = model_card(asked, threshold=0.3)
    assert "above 0.3, as asked for." in card
    assert f"tuner export {confirmed.folder.path} --threshold=0.3\n" in card
