"""Test evaluations: the figures on the test split or on other rows, recorded in the test log."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from support.confirmed_run import Confirmed

from tuner.data import Split, read_rows, text_digest, text_digests
from tuner.errors import DataError, RunFolderError
from tuner.export.classifier import Classifier
from tuner.export.prediction import predict_file
from tuner.finalists.card import model_card
from tuner.finalists.export import export_model
from tuner.finalists.model_choice import ModelChoice
from tuner.finalists.testing import evaluate_test, figures_of
from tuner.run.evaluations import read_test_log
from tuner.run.ledger import Ledger
from tuner.settings.data import DataConfig
from tuner.terminal.finalists import evaluation_lines

pytestmark = pytest.mark.keras


def test_the_test_split_is_evaluated_and_the_log_records_it(confirmed: Confirmed) -> None:
    first, second = (
        evaluate_test(confirmed.chosen(), with_reference=wanted) for wanted in (True, False)
    )
    assert first.before == ()
    assert first.reference is not None
    assert first.reference.low <= first.reference.gain <= first.reference.high
    assert first.reference.gain == pytest.approx(first.figures.accuracy - first.reference.accuracy)
    assert f"reference  {first.reference.text}" in evaluation_lines(first)
    assert f"On the same sequences: {first.reference.text}." in model_card(confirmed.chosen())
    assert second.reference is None
    assert second.before == (first.opened,)
    assert second.figures == first.figures
    figures = first.figures
    test = confirmed.dataset.splits[Split.TEST]
    assert figures.sequences == len(test) == sum(map(sum, figures.confusion))
    right = sum(figures.confusion[number][number] for number in (0, 1))
    assert figures.accuracy == pytest.approx(right / len(test))
    content = yaml.safe_load(confirmed.folder.tests.read_text())
    assert [each["opened"] for each in content["openings"]] == [first.opened, second.opened]


def test_another_threshold_leaves_the_comparison_with_the_reference_as_it_is(
    confirmed: Confirmed,
) -> None:
    """A threshold for another metric costs accuracy, which says nothing about the model."""
    plain, moved = (
        evaluate_test(dataclasses.replace(confirmed.chosen(), choice=ModelChoice(threshold=asked)))
        for asked in (None, 0.999)
    )
    assert plain.reference is not None
    assert moved.reference is not None
    assert moved.figures.accuracy != plain.figures.accuracy
    assert moved.reference.gain == plain.reference.gain
    assert moved.reference.text == f"{plain.reference.text}, both with the threshold 0.5"


def test_evaluations_of_other_runs_on_the_same_rows_are_told(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path))  # other tests' runs may have these rows, too
    ledger = Ledger.of_user()
    evaluate_test(confirmed.chosen())
    own = ledger.entries()[-1]
    ledger.record(own.model_copy(update={"run": "quick", "opened": "2026-11-01T10:00:00+00:00"}))
    evaluation = evaluate_test(confirmed.chosen())
    assert [each.run for each in evaluation.others or ()] == ["quick"]
    assert read_test_log(confirmed.folder)[-1].others == evaluation.others
    told = "These rows, or some of them, were evaluated once by other runs of yours (quick), first on 2026-11-01T"
    assert evaluation_lines(evaluation)[-1].startswith(told)
    ledger.record(own.model_copy(update={"run": "later", "opened": "2026-11-30T10:00:00+00:00"}))
    card = model_card(confirmed.chosen())
    assert "evaluated 2 times by other runs of yours (later, quick), first on 2026-11-01" in card


def test_other_rows_can_be_measured_and_have_the_models_classes(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    (tmp_path / "more.csv").write_text("text,label\ngood fine great film,positive\nbad,negative\n")
    more = DataConfig(source=str(tmp_path / "more.csv"))
    evaluation = evaluate_test(confirmed.chosen(confirmed.finalists), more)
    assert (evaluation.figures.sequences, len(evaluation.members)) == (2, 2)
    (tmp_path / "more.csv").write_text("text,label\ngood,positive\nbad,awful\n")
    with pytest.raises(DataError, match="the model knows no class 'awful'"):
        evaluate_test(confirmed.chosen(), more)


def test_columns_that_were_asked_for_are_those_of_other_files_too(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    """Other rows may have columns with plainer names, which would be read in silence."""
    source = Path(confirmed.config.data.source).read_text(encoding="utf-8")
    (tmp_path / "own.csv").write_text(source.replace("text,label", "review,class", 1))
    asked = DataConfig(source=str(tmp_path / "own.csv"), text_column="review", label_column="class")
    config = confirmed.config.model_copy(update={"data": asked})
    chosen = dataclasses.replace(confirmed.chosen(), config=config)
    more = tmp_path / "more.csv"
    more.write_text("review,text,label,class\na good fine great film,a bad one,unsure,positive\n")
    evaluation = evaluate_test(chosen, DataConfig(source=str(more)))
    assert [each.count for each in evaluation.figures.classes.values()] == [0, 1]
    classifier = Classifier(export_model(chosen, tmp_path / "model"))
    assert classifier.description.text_column == "review"
    predict_file(classifier, more, tmp_path / "predictions.csv", None)
    predicted = pd.read_csv(tmp_path / "predictions.csv")["p(positive)"][0]
    of_review = classifier.predict(["a good fine great film"])["p(positive)"][0]
    assert predicted == pytest.approx(of_review, abs=1e-5)
    more.write_text("text,label\na good fine great film,positive\n")  # without such columns
    assert evaluate_test(chosen, DataConfig(source=str(more))).figures.sequences == 1
    assert predict_file(classifier, more, tmp_path / "predictions.csv", None) == 1


def test_rows_that_the_run_has_seen_are_left_out(confirmed: Confirmed, tmp_path: Path) -> None:
    seen = [
        text
        for split in (Split.TRAIN, Split.VALIDATION, Split.CONFIRMATION)
        for text in _texts(confirmed, split)[:3]
    ]
    new = ["good fine great film number 5000", "a bad one"]  # like seen ones but for a word
    rows = pd.DataFrame({"text": [*seen, *new], "label": "positive"})
    rows.loc[len(rows) - 1, "label"] = "negative"
    rows.to_csv(tmp_path / "rows.csv", index=False)
    evaluation = evaluate_test(confirmed.chosen(), DataConfig(source=str(tmp_path / "rows.csv")))
    assert (evaluation.figures.sequences, evaluation.left_out) == (2, 9)
    assert "left out   9 rows: seen by the run, or marked as no test row" in evaluation_lines(
        evaluation
    )
    rows.assign(label=["positive", "negative"] * 5 + ["positive"]).head(9).to_csv(
        tmp_path / "rows.csv", index=False
    )
    with pytest.raises(DataError, match="has learned from, or been chosen by, every row of it"):
        evaluate_test(confirmed.chosen(), DataConfig(source=str(tmp_path / "rows.csv")))


def test_rows_of_the_test_split_count_as_it_whatever_file_they_lie_in(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    test = confirmed.dataset.splits[Split.TEST]
    texts = _texts(confirmed, Split.TEST)
    labels = ["positive" if text.startswith("good") else "negative" for text in texts]
    rows = pd.DataFrame({"text": texts, "label": labels})
    pd.concat([rows, pd.DataFrame({"text": ["a bad one"], "label": ["negative"]})]).to_csv(
        tmp_path / "rows.csv", index=False
    )
    first = evaluate_test(confirmed.chosen(), DataConfig(source=str(tmp_path / "rows.csv")))
    assert (first.of_test_split, first.figures.sequences) == (len(test), len(test) + 1)
    assert f"of these   {len(test)} are in the run's own test split" in evaluation_lines(first)
    assert evaluate_test(confirmed.chosen()).before == (first.opened,)


def _texts(confirmed: Confirmed, split: Split) -> list[str]:
    """The texts of a split, as the source has them."""
    held = text_digests(confirmed.config.data)[split]
    texts = read_rows(confirmed.config.data).texts
    return [text for text in texts if text_digest(text.split()) in held]


def test_a_damaged_record_is_refused_with_the_remedy(confirmed: Confirmed) -> None:
    confirmed.folder.tests.write_text("")
    with pytest.raises(RunFolderError, match=r"tests\.yaml: .*; move it away"):
        evaluate_test(confirmed.chosen())


def test_of_a_file_with_splits_only_its_test_rows_are_measured(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    rows = {
        "text": [f"good film from elsewhere {number}" for number in range(6)],
        "label": ["positive", "negative"] * 3,
        "split": ["train", "train", "validation", "test", "test", "test"],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    evaluation = evaluate_test(confirmed.chosen(), DataConfig(source=str(tmp_path / "rows.csv")))
    assert (evaluation.figures.sequences, evaluation.left_out) == (3, 3)


def test_a_file_that_is_named_in_another_way_was_evaluated_before(
    confirmed: Confirmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more.csv").write_text("text,label\ngood film of ours,positive\nbad,negative\n")
    first = evaluate_test(confirmed.chosen(), DataConfig(source="more.csv"))
    second = evaluate_test(confirmed.chosen(), DataConfig(source=f"{tmp_path}/./more.csv"))
    assert second.before == (first.opened,)


def test_the_figures_of_two_classes_are_those_with_the_models_threshold() -> None:
    of_second = np.array([0.2, 0.4, 0.6, 0.9], np.float32)
    probabilities = np.stack([1 - of_second, of_second], axis=1)
    labels = np.array([0, 1, 1, 1], np.int32)
    assert figures_of(probabilities, labels, ("a", "b")).accuracy == 0.75
    moved = figures_of(probabilities, labels, ("a", "b"), threshold=0.3)
    assert (moved.accuracy, moved.confusion) == (1.0, ((1, 0), (0, 3)))


def test_the_figures_of_three_classes() -> None:
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]]
    figures = figures_of(probabilities, np.array([0, 1, 1, 1, 2], np.int32), ("a", "b", "c"))
    assert figures.accuracy == pytest.approx(0.8)
    assert figures.confusion == ((1, 0, 0), (1, 2, 0), (0, 0, 1))
    assert figures.classes["b"].model_dump() == pytest.approx(
        {"precision": 1.0, "recall": 2 / 3, "f1": 0.8, "count": 3}
    )
    assert figures.roc_auc is None
