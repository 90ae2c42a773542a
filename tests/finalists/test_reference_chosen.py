"""The linear reference as a model: together with finalists, their seeds or trials, and alone."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.confirmed_run import Confirmed
from support.grouped_data import write_groups
from support.other_programs import others_predict
from support.searches import make
from support.studies import open_study

from tuner.data import Split
from tuner.errors import RunFolderError, UsageError
from tuner.execution.search import run_search
from tuner.export.classifier import Classifier
from tuner.export.formats import ExportFormat
from tuner.finalists.card import model_card
from tuner.finalists.choice import Chosen, load_chosen
from tuner.finalists.export import export_model
from tuner.finalists.model_choice import MembersOf, ModelChoice
from tuner.finalists.testing import evaluate_test
from tuner.run import Run
from tuner.search.kept_reference import read_reference
from tuner.settings.space import SearchSpace
from tuner.terminal.finalists import choice_lines
from tuner.training.evaluation import mean_probabilities
from tuner.training.spec import TrainedModel
from tuner.training.temperature import fit_temperature, tempered
from tuner.training.trained_model_file import to_bytes

pytestmark = pytest.mark.keras

ALONE = ModelChoice(members=MembersOf.REFERENCE)
TOGETHER = ModelChoice(with_reference=True)


@pytest.fixture
def kept(confirmed: Confirmed) -> TrainedModel:
    found = read_reference(confirmed.folder, confirmed.dataset)
    assert found is not None
    return found


@pytest.fixture
def copied(confirmed: Confirmed, tmp_path: Path) -> Run:
    """A run folder that may be changed."""
    shutil.copytree(confirmed.folder.path, tmp_path / "mine")
    return Run(tmp_path / "mine")


def expected_average(chosen: Chosen, reference: TrainedModel) -> np.ndarray:
    assert chosen.reference is not None
    weight = chosen.reference.weight
    others = mean_probabilities([member.probabilities for _, member in chosen.members])
    return mean_probabilities([others, reference.probabilities], [1 - weight, weight])


@pytest.mark.parametrize(
    ("choice", "options"),
    [
        (TOGETHER, "--with-reference"),
        (TOGETHER.model_copy(update={"ensemble": 2}), "--ensemble=2 --with-reference"),
        (
            TOGETHER.model_copy(update={"members": MembersOf.SEEDS}),
            "--members=seeds --with-reference",
        ),
        (
            TOGETHER.model_copy(update={"members": MembersOf.TRIALS, "ensemble": 1}),
            "--ensemble=1 --members=trials --with-reference",
        ),
    ],
    ids=["finalist", "two finalists", "seeds", "trials"],
)
def test_it_is_averaged_with_the_models_that_are_chosen(
    confirmed: Confirmed, kept: TrainedModel, tmp_path: Path, choice: ModelChoice, options: str
) -> None:
    chosen = load_chosen(confirmed.run, choice)
    without = load_chosen(confirmed.run, choice.model_copy(update={"with_reference": False}))
    assert without.reference is None
    assert chosen.member_names == (*without.member_names, "the linear reference")
    made = export_model(chosen, tmp_path / "model")
    classifier = Classifier(made)
    *others, last = classifier.description.members
    assert (len(others), last.is_reference) == (len(without.members), True)
    average = expected_average(chosen, kept)
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    expected = tempered(average, fit_temperature(average, held_out.labels))
    assert classifier.probabilities_of(held_out) == pytest.approx(expected, abs=1e-5)
    card = (made / "README.md").read_text(encoding="utf-8")
    assert f"tuner export {confirmed.folder.path} {options}\n" in card
    assert "The linear reference has " in card


def test_its_gain_over_the_models_without_it_is_told(confirmed: Confirmed) -> None:
    chosen = load_chosen(confirmed.run, TOGETHER)
    assert chosen.together is not None
    assert chosen.together.weight > 0
    assert chosen.gains == [chosen.together.text]
    (line,) = choice_lines(chosen)
    assert line.startswith(f"On the confirmation split: {chosen.together.text}. That split also ")
    assert line in model_card(chosen)
    seeds = load_chosen(confirmed.run, TOGETHER.model_copy(update={"members": MembersOf.SEEDS}))
    assert seeds.average is not None
    assert seeds.together is not None
    assert seeds.gains == [seeds.average.text, seeds.together.text]


def test_the_test_log_names_it(confirmed: Confirmed) -> None:
    chosen = load_chosen(confirmed.run, TOGETHER)
    evaluation = evaluate_test(chosen, with_reference=False)
    assert evaluation.members == chosen.member_names
    assert evaluation.members[-1] == "the linear reference"
    assert evaluation.reference is None  # nothing to compare with was asked for
    card = model_card(chosen, threshold=evaluation.threshold or 0.5)
    assert "## Tested" in card
    assert "## Tested" not in model_card(load_chosen(confirmed.run, ModelChoice()))


def test_one_that_adds_nothing_is_left_out_and_that_is_told(
    copied: Run, kept: TrainedModel
) -> None:
    wrong = dataclasses.replace(
        kept, probabilities=np.ascontiguousarray(kept.probabilities[:, ::-1])
    )
    copied.files.reference.write_bytes(to_bytes(wrong))
    chosen = load_chosen(copied, TOGETHER)
    assert chosen.reference is None
    told = (
        "On the confirmation split: the linear reference would add nothing to it, so it is left out"
    )
    assert choice_lines(chosen) == [told]
    assert told in model_card(chosen)
    assert "The linear reference has" not in model_card(chosen)


def test_alone_it_is_exported_in_all_formats(
    confirmed: Confirmed, kept: TrainedModel, tmp_path: Path
) -> None:
    chosen = load_chosen(confirmed.run, ALONE)
    made = export_model(chosen, tmp_path / "model", list(ExportFormat))
    classifier = Classifier(made)
    (member,) = classifier.description.members
    assert (member.is_reference, member.trial) == (True, None)
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    expected = tempered(kept.probabilities, fit_temperature(kept.probabilities, held_out.labels))
    assert classifier.probabilities_of(held_out) == pytest.approx(expected, abs=1e-5)
    view = held_out.view(vocabulary_size=member.vocabulary_size, max_length=member.max_length)
    for found in others_predict(made, view):
        assert found == pytest.approx(expected[:, 1:], abs=1e-5)


def test_alone_it_is_tested_and_its_card_tells_what_it_is(confirmed: Confirmed) -> None:
    chosen = load_chosen(confirmed.run, ALONE)
    assert chosen.of_reference is not None
    recorded = confirmed.run.reference
    assert recorded is not None
    assert chosen.of_reference.mean == pytest.approx(recorded.score, abs=1e-6)
    evaluation = evaluate_test(chosen)
    assert evaluation.members == ("the linear reference",)
    assert evaluation.reference is None  # it is not compared with itself
    (line,) = choice_lines(chosen)
    assert line.startswith("The linear reference alone, no trial of the search: ")
    card = model_card(chosen, threshold=evaluation.threshold or 0.5)
    assert "One model; classifies sequences as `negative` or `positive`." in card
    assert "a logistic regression on the presence of n-grams of up to 3 tokens" in card
    assert f"Against it, {recorded.compared[0].text}." in card
    assert "## Tested" in card
    assert "## Parameters" not in card
    assert "tuner confirm" not in card
    assert f"tuner export {confirmed.folder.path} --members=reference\n" in card


def test_alone_it_needs_no_trial(confirmed: Confirmed, tmp_path: Path) -> None:
    run = Run(confirmed.folder.path)
    folder = tmp_path / "begun"
    folder.mkdir()
    for file in (run.files.run_file, run.files.reference):
        shutil.copy(file, folder)
    open_study(folder / run.files.journal.name, confirmed.config.space)
    begun = Run(folder)
    chosen = load_chosen(begun, ALONE)
    assert export_model(chosen, tmp_path / "model") == tmp_path / "model"
    with pytest.raises(RunFolderError, match="no trial to confirm; --members reference takes"):
        load_chosen(begun, TOGETHER)


@pytest.mark.parametrize(
    ("setting", "value", "match"),
    [
        (
            "finalist",
            2,
            "^finalist: names one of the finalists, got 2, but the linear reference alone",
        ),
        ("ensemble", 1, "^ensemble: is a number of finalists or trials, got 1, but the linear"),
        ("with_reference", True, "^with_reference: adds it to finalists or trials, but the"),
    ],
)
def test_alone_it_takes_no_choice_among_models(
    confirmed: Confirmed, setting: str, value: object, match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        load_chosen(confirmed.run, ALONE.model_copy(update={setting: value}))


@pytest.mark.parametrize(
    "choice", [ALONE, TOGETHER, TOGETHER.model_copy(update={"members": MembersOf.TRIALS})]
)
def test_a_run_without_it_is_refused_in_one_line(
    copied: Run, kept: TrainedModel, choice: ModelChoice
) -> None:
    file = copied.files.reference
    for vocabulary_size, match in ((3, "is naive Bayes, because 2 classes are"), (0, "no n-gram")):
        without = dataclasses.replace(kept, weights=(), vocabulary_size=vocabulary_size)
        file.write_bytes(to_bytes(without))
        with pytest.raises(RunFolderError, match=match):
            load_chosen(copied, choice)
    file.unlink()
    with pytest.raises(RunFolderError, match=r"reference\.npz: .* is missing, damaged or of an ea"):
        load_chosen(copied, choice)
    recorded = copied.files.run_file
    recorded.write_text(recorded.read_text().replace("no_reference: false", "no_reference: true"))
    with pytest.raises(RunFolderError, match="was searched with --no-reference; continue its"):
        load_chosen(Run(copied.folder), choice)


@pytest.mark.slow
def test_rows_of_one_group_choose_no_part_and_say_so_of_it_alone(
    without_ray: None, space: SearchSpace, tmp_path: Path
) -> None:
    source = write_groups(tmp_path, confirmation=1)
    data = {"source": str(source), "group_column": "customer"}
    config = make(space, tmp_path, tmp_path, data=data, trials=1, trainer="keras", max_epochs=1)
    run = Run(run_search(config).run.folder)
    asked = TOGETHER.model_copy(update={"members": MembersOf.TRIALS})
    with pytest.raises(UsageError, match=r"^with_reference: its part is chosen on two halves of"):
        load_chosen(run, asked)
    alone = load_chosen(run, ALONE)
    assert choice_lines(alone)[1] in model_card(alone)
    assert choice_lines(alone)[1].startswith("All confirmation rows are of one group:")
