"""The last lines of a search, with commands to copy."""

import shlex
from pathlib import Path

import pytest
from support.studies import open_study, run_trial

from tuner.execution.plan import SearchOutcome
from tuner.run import Run
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialStatus
from tuner.search.opening import create_or_open_study
from tuner.search.study import SearchStudy
from tuner.settings.config import PrunerName, SamplerName, SearchConfig
from tuner.settings.objectives import Cost, make_objectives
from tuner.settings.space import SearchSpace
from tuner.terminal.outcome import print_outcome


@pytest.fixture
def study(tmp_path: Path, space: SearchSpace) -> SearchStudy:
    """The study of a run whose path has brackets, a space and is long."""
    return create_or_open_study(
        tmp_path / f"my [red]runs[{'x' * 150}]" / "a" / "study.journal",
        space,
        seed=0,
        sampler=SamplerName.RANDOM,
        pruner=PrunerName.NONE,
        max_epochs=9,
        workers=1,
        objectives=make_objectives(space.metric, None),
    )


def outcome(tmp_path: Path, reason: SessionEnd, signal: int | None = None) -> SearchOutcome:
    return SearchOutcome(Run(next(tmp_path.glob("*/a"))), reason, signal)


def finish(study: SearchStudy, status: TrialStatus, score: float) -> None:
    trial = study.ask()
    study.space.suggest(trial)
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "seconds")
    study.report(trial, 1, dict.fromkeys(names, score))
    study.finish(trial, status, "its loss is nan" if status is TrialStatus.DIVERGED else None)


def test_paths_can_be_copied_whatever_is_in_them(
    tmp_path: Path, study: SearchStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        finish(study, TrialStatus.COMPLETE, number / 20)
    ended = outcome(tmp_path, SessionEnd.BUDGET_USED)
    assert print_outcome(ended, SearchConfig(space=study.space, trials=12)) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = ended.run.folder
    assert f"Leaderboard: {folder}/leaderboard.csv" in lines
    assert f"Next:        tuner leaderboard '{folder}'" in lines
    assert f"             tuner confirm '{folder}'   # is the winner really better?" in lines
    assert any(line.endswith("/run.yaml' --trials 24   # continues it") for line in lines)
    commands = [shlex.split(line[13:], comments=True) for line in lines if " tuner " in line]
    assert commands == [
        ["tuner", "leaderboard", str(folder)],
        ["tuner", "confirm", str(folder)],
        ["tuner", "search", "--config", f"{folder}/run.yaml", "--trials", "24"],
    ]
    assert "… and 2 more" in lines
    (differences,) = (line for line in lines if line.startswith("Differences: configurations "))
    assert differences.endswith(" points (standard deviations of scores)")
    assert lines[lines.index(differences) + 1].startswith("             Twice as many trials would")


@pytest.mark.parametrize(
    ("trials", "further"), [(40, "--no-stop-when-flat"), (20, "--no-stop-when-flat --trials 40")]
)
def test_a_search_that_ended_because_it_was_flat_tells_what_continues_it(
    trials: int,
    further: str,
    tmp_path: Path,
    study: SearchStudy,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(20):
        finish(study, TrialStatus.COMPLETE, 0.7 + 0.01 * (number * number % 7))
    ended = outcome(tmp_path, SessionEnd.BUDGET_USED)
    print_outcome(ended, SearchConfig(space=study.space, trials=trials, stop_when_flat=True))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(f"/run.yaml' {further}   # continues it") for line in lines)


def test_a_search_by_two_objectives_ends_with_the_ends_of_its_front(
    tmp_path: Path, space: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    study = open_study(tmp_path / "b" / "study.journal", space, cost=Cost.WEIGHTS)
    for accuracy, weights in ((0.9, 3000), (0.8, 1000), (0.7, 2000)):
        run_trial(study, accuracy, weights=weights)
    run = Run(tmp_path / "b")
    print_outcome(SearchOutcome(run, SessionEnd.BUDGET_USED), SearchConfig(space=space, trials=3))
    lines = capsys.readouterr().out.splitlines()
    (front,) = (line for line in lines if line.startswith("Front:"))
    assert front.startswith("Front:       2 trials, 0.9000 with 3,000 weights (trial 0, lstm) to ")
    assert "0.8000 with 1,000 weights (trial 1, " in front
    assert f"Next:        tuner leaderboard {run.folder} --pareto" in lines
    assert [record.number for record in run.pareto] == [0, 1]
    assert run.best == run.pareto[0]


def test_without_a_scored_trial_there_is_nothing_to_confirm(
    tmp_path: Path, study: SearchStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = study.ask()
    study.space.suggest(trial)
    study.finish(trial, TrialStatus.FAILED, "it broke")
    ended = outcome(tmp_path, SessionEnd.BUDGET_USED)
    assert print_outcome(ended, SearchConfig(space=study.space, trials=1)) == 0
    assert "tuner confirm" not in capsys.readouterr().out


def test_a_search_by_one_objective_has_no_front(study: SearchStudy, tmp_path: Path) -> None:
    finish(study, TrialStatus.COMPLETE, 0.5)
    run = outcome(tmp_path, SessionEnd.BUDGET_USED).run
    assert (run.objectives.costs, run.pareto) == ((), [])


def test_an_interrupted_search_prints_how_to_continue(
    tmp_path: Path, study: SearchStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = outcome(tmp_path, SessionEnd.INTERRUPTED, signal=15)
    assert print_outcome(ended, SearchConfig(space=study.space)) == 143
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        f"Stopped. 0 finished trials kept in '{ended.run.folder}'; "
        "type the same command again to continue."
    )


def test_a_trial_that_broke_is_never_the_best_of_a_run(tmp_path: Path, study: SearchStudy) -> None:
    run = outcome(tmp_path, SessionEnd.BUDGET_USED).run
    assert run.best is None
    finish(study, TrialStatus.DIVERGED, 0.99)
    assert run.best is None
    finish(study, TrialStatus.COMPLETE, 0.5)
    best = run.best
    assert best is not None
    assert (best.number, best.score) == (1, 0.5)
