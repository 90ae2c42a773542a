"""The search's own trials as a model, without a confirmation."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.confirmed_run import Confirmed

from tuner.data import Split
from tuner.errors import RunFolderError, UsageError
from tuner.export.classifier import Classifier
from tuner.finalists.choice import Chosen, load_chosen
from tuner.finalists.export import export_model
from tuner.finalists.model_choice import MembersOf, ModelChoice
from tuner.finalists.testing import evaluate_test
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.terminal.finalists import choice_lines

pytestmark = pytest.mark.keras

TRIALS = ModelChoice(members=MembersOf.TRIALS)


@pytest.fixture
def chosen(confirmed: Confirmed) -> Chosen:
    return load_chosen(confirmed.run, TRIALS)


def test_they_are_the_members_that_the_search_recorded(chosen: Chosen) -> None:
    assert chosen.trials is not None
    recorded = chosen.run.ensemble
    assert chosen.trials.ensemble == recorded
    assert recorded is not None
    assert len(recorded.members) > 1
    assert tuple(record.number for record, _ in chosen.members) == recorded.members
    assert recorded.weights == sum(record.weights or 0 for record, _ in chosen.members)
    assert chosen.members[0][1].score == pytest.approx(recorded.single, abs=1e-6)
    assert [member.validated for _, member in chosen.members] == [
        record.score for record, _ in chosen.members
    ]
    assert recorded.seconds_per_text is not None


def test_continued_without_an_ensemble_it_is_that_of_before(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    shutil.copytree(confirmed.run.folder, tmp_path / "mine")
    run_file = tmp_path / "mine" / "run.yaml"
    text = run_file.read_text(encoding="utf-8")
    without = re.sub(r"^ensemble: \d+$", "ensemble: 'off'", text, flags=re.MULTILINE)
    assert without != text
    run_file.write_text(without, encoding="utf-8")
    run = Run(tmp_path / "mine")
    recorded = run.ensemble
    assert recorded is not None
    fewer = recorded.model_copy(update={"members": recorded.members[:2]})  # of three that are kept
    run.study.set_user_attr(Attribute.ENSEMBLE, fewer.model_dump(mode="json"))
    chosen = load_chosen(Run(tmp_path / "mine"), TRIALS)
    assert len(chosen.members) == 2


def test_exported_they_predict_the_mean_and_the_card_tells_how_good_it_is(
    confirmed: Confirmed, chosen: Chosen, tmp_path: Path
) -> None:
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    classifier = Classifier(export_model(chosen, tmp_path / "model"))
    members = [member.model.probabilities for _, member in chosen.members]
    probabilities = classifier.probabilities(confirmed.texts(held_out))
    assert chosen.reference is not None  # these sentences are easy for it
    weight = chosen.reference.weight
    assert weight >= 0.5
    reference = chosen.reference.model.probabilities
    expected = (1 - weight) * np.mean(members, axis=0) + weight * reference
    assert probabilities == pytest.approx(expected, abs=1e-5)
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert chosen.trials is not None
    assert chosen.trials.ensemble.text in card
    assert f"T{chosen.trials.ensemble.cost_text.removeprefix('t')}." in card
    assert "not confirmed with fresh seeds" in card
    assert f"The linear reference has {weight:.0%} of the average, the other models" in card
    assert "tuner confirm" not in card
    assert f"tuner export {confirmed.folder.path} --members=trials\n" in card
    (line, _) = choice_lines(chosen)
    assert line.startswith("The search's own trials, not confirmed: 3 trials averaged ")


def test_they_are_tested_like_finalists(confirmed: Confirmed, chosen: Chosen) -> None:
    evaluation = evaluate_test(chosen)
    assert evaluation.members == chosen.member_names
    assert evaluation.members[-1] == "the linear reference"
    assert len(evaluation.members) == len(chosen.members) + 1
    assert evaluation.figures.sequences == len(confirmed.dataset.splits[Split.TEST])


def test_finalists_are_taken_where_a_confirmation_was_asked_for(
    confirmed: Confirmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_chosen(confirmed.run, ModelChoice()).trials is None
    monkeypatch.setattr(Run, "confirmation", None)
    assert load_chosen(confirmed.run, ModelChoice()).trials is not None
    with pytest.raises(RunFolderError, match="no finalists yet; tuner confirm"):
        load_chosen(confirmed.run, ModelChoice(members=MembersOf.FINALISTS))


def test_fewer_can_be_chosen_but_not_more(confirmed: Confirmed) -> None:
    fewer = load_chosen(confirmed.run, TRIALS.model_copy(update={"ensemble": 1}))
    (member,) = fewer.members
    assert fewer.reference is None
    assert confirmed.run.ensemble is not None
    assert member[0].number == confirmed.run.ensemble.members[0]
    with pytest.raises(
        UsageError, match=r"^ensemble: .* has the weights of \d trials, got 7; ask for"
    ):
        load_chosen(confirmed.run, TRIALS.model_copy(update={"ensemble": 7}))
    with pytest.raises(UsageError, match=r"^finalist: names one of the finalists, got 2"):
        load_chosen(confirmed.run, TRIALS.model_copy(update={"finalist": 2}))


def test_a_missing_file_is_left_out_and_named(confirmed: Confirmed, tmp_path: Path) -> None:
    shutil.copytree(confirmed.folder.path, tmp_path / "mine")
    run = Run(tmp_path / "mine")
    assert run.ensemble is not None
    best = run.ensemble.members[0]
    run.files.trial_model(best).unlink()
    chosen = load_chosen(run, TRIALS)
    assert chosen.reference is not None
    run.files.reference.unlink()
    assert load_chosen(run, TRIALS).reference is None
    assert best not in {record.number for record, _ in chosen.members}
    assert f"without trial {best}, whose weights are missing" in choice_lines(chosen)[1]
    for path in run.files.trial_models.iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(RunFolderError, match="trials: holds no model of an ended trial"):
        load_chosen(run, TRIALS)
