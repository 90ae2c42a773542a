"""The model card: it has every known figure and invents none."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from support.confirmed_run import Confirmed

from tuner.finalists.card import model_card
from tuner.finalists.choice import load_chosen
from tuner.finalists.model_choice import ModelChoice
from tuner.finalists.testing import evaluate_test
from tuner.run import Run
from tuner.run.requested_trainings import record_margin
from tuner.terminal.finalists import choice_lines

pytestmark = pytest.mark.keras


def test_the_card_names_scores_classes_and_data(confirmed: Confirmed, tmp_path: Path) -> None:
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


def test_the_card_records_confirmation_and_tests(confirmed: Confirmed, tmp_path: Path) -> None:
    evaluation = evaluate_test(confirmed.chosen())
    confirmed.export(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "--top=2 --seeds=2 --train-on=train" in card
    assert f"- On the test split, {evaluation.figures.sequences} sequences: accuracy" in card
    assert f"evaluated {evaluation.opened}." in card


def test_the_commands_name_the_module_of_an_own_architecture(confirmed: Confirmed) -> None:
    chosen = confirmed.chosen()
    space = chosen.config.space
    own = space.model_copy(update={"architectures": {**space.architectures, "my.own:lstm": {}}})
    config = chosen.config.model_copy(update={"space": own})
    card = model_card(dataclasses.replace(chosen, config=config))
    commands = [line for line in card.splitlines() if line.startswith("tuner ")]
    assert [line.split()[1] for line in commands] == ["search", "confirm", "export"]
    assert all(line.endswith(" --module my.own") for line in commands)


def test_the_card_repeats_the_margin_of_the_confirmation(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    shutil.copytree(confirmed.folder.path, tmp_path / "mine")
    copied = Run(tmp_path / "mine")
    assert copied.confirmation is not None
    record_margin(copied.confirmation, 0.02)
    assert "--train-on=train --margin=0.02\n" in model_card(load_chosen(copied, ModelChoice()))


def test_the_card_notes_that_rows_are_of_one_group(confirmed: Confirmed) -> None:
    note = "rows are of one group: their intervals hold for further rows of this group, not for "
    evaluation = evaluate_test(confirmed.chosen())
    assert note not in model_card(confirmed.chosen())
    of_one = [dataclasses.replace(each, clusters=1) for each in confirmed.finalists]
    assert model_card(confirmed.chosen(of_one)).count(f"\nAll confirmation {note}") == 1
    log = confirmed.folder.tests
    (sequences,) = (line for line in log.read_text().splitlines() if "sequences:" in line)
    log.write_text(log.read_text().replace(sequences, f"{sequences}\n    clusters: 1"))
    card = model_card(confirmed.chosen())
    assert f"evaluated {evaluation.opened}.\n  All tested {note}" in card


def test_the_card_notes_whether_other_models_were_tested_before(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    first, second = ([finalist] for finalist in confirmed.finalists)
    for finalists in (first, second, first):
        evaluate_test(confirmed.chosen(finalists))
    confirmed.export(tmp_path / "model", second)
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    (line,) = (line for line in card.splitlines() if line.startswith("- On the test split"))
    assert "Other models had been evaluated on the same rows 1 time before" in line
    confirmed.export(tmp_path / "model", first)
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    before, after = (line for line in card.splitlines() if line.startswith("- On the test split"))
    assert "Other models" not in before
    assert "Other models" in after


def test_the_card_notes_whether_other_thresholds_were_tested_before(confirmed: Confirmed) -> None:
    asked = [
        dataclasses.replace(confirmed.chosen(), choice=ModelChoice(threshold=threshold))
        for threshold in (0.3, 0.4)
    ]
    for chosen in asked:
        evaluate_test(chosen, with_reference=False)
    card = model_card(asked[1], threshold=0.4)
    assert "Other models or thresholds had been evaluated on the same rows 1 time before" in card
    assert "had been evaluated on the same rows" not in model_card(asked[0], threshold=0.3)


def test_the_card_notes_that_the_search_has_found_better_since(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    better = dataclasses.replace(confirmed.finalists[0].record, number=77, score=0.99)
    chosen = dataclasses.replace(confirmed.chosen(), better_since=better)
    card = model_card(chosen)
    assert "Trial 77 scored better in the search since (0.9900) and is not confirmed." in card
    assert choice_lines(chosen)[0].endswith(f"Next: tuner confirm {confirmed.folder.path}")
    assert choice_lines(confirmed.chosen()) == []
