"""Whether a row was reproduced, and the report of differences."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.studies import open_study, run_trial

from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace
from tuner.terminal.single import ending, has_succeeded
from tuner.training.single.comparison import different_circumstances, different_figures
from tuner.training.single.configurations import Configuration, Settings, read_configurations
from tuner.training.single.training import Trained
from tuner.training.spec import EpochResult


@pytest.fixture
def run(space: SearchSpace, sentences: Path, tmp_path: Path) -> str:
    """A run of a complete trial of three epochs, on the host `h`, and one that diverged."""
    config = make_config({"space": space, "out": str(tmp_path), "name": "mine"})
    folder = RunFolder(config.folder)
    study = open_study(folder.journal, space)
    write_run_file(folder, config, "")
    run_trial(study, 0.6, 0.8, 0.7)
    run_trial(study, 0.5, status=TrialStatus.DIVERGED)
    return str(config.folder)


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "h")


def row(run: str, number: int = 0, **settings: Any) -> Configuration:
    (configuration,) = read_configurations([f"{run}:{number}"], Settings(**settings))
    return configuration


def trained(*accuracies: float, **changes: Any) -> Trained:
    epochs = tuple(
        EpochResult(number, 0.5, 0.8, 1 - accuracy, accuracy, accuracy, 9.0)
        for number, accuracy in enumerate(accuracies, start=1)
    )
    best = max(epochs, key=lambda each: each.val_accuracy)
    made = Trained(TrialStatus.COMPLETE, epochs, best, "cpu")
    return dataclasses.replace(made, **changes)


def test_equal_figures_are_the_rows(run: str) -> None:
    again = trained(0.6, 0.8, 0.7)
    assert different_figures(row(run), again) == []
    assert different_circumstances(row(run), again) == []
    assert has_succeeded(row(run), again)
    assert ending(row(run), again)[1:] == [
        "Reproduced: best epoch, val_accuracy and val_loss are the row's, to the last digit."
    ]


def test_different_figures_are_named_with_the_digits_that_differ(run: str) -> None:
    last_digit = trained(0.6, 0.8, 0.7)
    assert last_digit.best is not None
    best = dataclasses.replace(last_digit.best, val_loss=last_digit.best.val_loss + 1e-12)
    last_digit = dataclasses.replace(last_digit, best=best)
    assert not has_succeeded(row(run), last_digit)
    assert ending(row(run), last_digit)[1:] == [
        f"Not reproduced: val_loss {best.val_loss!r} here, {1 - 0.8!r} in the row.",
        "Machine and versions are as they were.",
    ]
    other = trained(0.6, 0.7, 0.75)
    line = ending(row(run), other)[1]
    assert "best epoch 3 here, 2 in the row; val_accuracy 0.7500 here, 0.8000 in the row" in line


def test_differences_of_the_machine_are_named(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    file = Path(run) / "run.yaml"
    text = file.read_text()
    assert "keras: 3." in text
    file.write_text(text.replace("keras: 3.", "keras: 2."))
    again = trained(0.6, 0.8, 0.7, device="H200")
    line = ending(row(run, cpus=4), again)[-1]
    assert line.startswith(
        "Changed since then: machine elsewhere here, h then; device H200 here, cpu"
    )
    assert "threads 4 here, 1 then; keras 3." in line


def test_a_row_that_diverged_is_reproduced_by_diverging(run: str) -> None:
    again = trained(0.5, status=TrialStatus.DIVERGED, error="loss became nan in epoch 2")
    assert has_succeeded(row(run, 1), again)
    assert ending(row(run, 1), again)[1:3] == [
        "diverged: loss became nan in epoch 2",
        "Reproduced: best epoch, val_accuracy and val_loss are the row's, to the last digit.",
    ]
    assert "status complete here, diverged in the row" in "".join(
        ending(row(run, 1), trained(0.5, 0.6))
    )


def test_with_another_seed_no_figures_are_compared(run: str) -> None:
    other = trained(0.6, 0.7, 0.75)
    assert has_succeeded(row(run, seed=4), other)
    assert ending(row(run, seed=4), other)[1].startswith(
        "Trained with other options: best epoch 3 here"
    )
    broken = trained(0.6, status=TrialStatus.FAILED, error="it broke")
    assert not has_succeeded(row(run, seed=4), broken)


def test_changed_code_of_an_own_architecture_is_named(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compared_models.py").write_text("def build(**values): ...\n")
    configuration = row(run)
    assert configuration.row is not None
    record = dataclasses.replace(
        configuration.row.record, architecture="compared_models:build", code="0123456789abcdef"
    )
    changed = dataclasses.replace(
        configuration, row=dataclasses.replace(configuration.row, record=record)
    )
    (found,) = different_circumstances(changed, trained(0.6, 0.8, 0.7))
    assert (found.what, found.there) == ("code", "0123456789abcdef")
