"""Commands as they are typed, in an empty folder."""

from pathlib import Path

import pytest
from support.commands import Call, Ended, MakeRun, run_tuner

from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.opening import create_or_open_study
from tuner.settings.config import PrunerName, SamplerName
from tuner.settings.objectives import Cost, make_objectives
from tuner.settings.space import SearchSpace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    path = tmp_path / "current"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "cache"))
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `tuner` with arguments, in the empty folder."""

    def run(*arguments: str) -> Ended:
        return run_tuner(arguments, capsys)

    return run


@pytest.fixture
def make_run(folder: Path, space: SearchSpace) -> MakeRun:
    """Makes a run folder with one trial per score; None is a trial that failed."""

    def make(
        name: str,
        *scores: float | None,
        error: str = "it broke",
        space: SearchSpace = space,
        cost: Cost | None = None,
    ) -> str:
        journal = folder / "runs" / name / "study.journal"
        study = create_or_open_study(
            journal,
            space,
            seed=0,
            sampler=SamplerName.RANDOM,
            pruner=PrunerName.NONE,
            max_epochs=9,
            workers=1,
            objectives=make_objectives(space.metric, cost),
        )
        for score in scores:
            trial = study.ask()
            space.suggest(trial)
            study.record_facts(trial, TrialFacts(1, "node", "cpu", 1000 - 10 * trial.number))
            if score is None:
                study.finish(trial, TrialStatus.FAILED, error)
                continue
            names = ("loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "seconds")
            study.report(trial, 1, dict.fromkeys(names, score))
            study.finish(trial, TrialStatus.COMPLETE)
        return f"runs/{name}"

    return make
