"""Runs a search again and again, killed every time, until it ends, and checks its study then."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from support.commands import TUNER
from support.forked import Forked

from tuner.errors import RunFolderError
from tuner.kill_points import VARIABLE
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.records import (
    StudyReader,
    counts_as_finished,
    is_baseline,
    is_interrupted,
    ranked,
)
from tuner.search.kept_models import CHOSEN_FROM
from tuner.settings.config import TrainerName
from tuner.settings.space import SearchSpace

_LONGEST_S = 280.0  # a search that hangs; other tests may run beside this one


def toy(epoch_seconds: float) -> SearchSpace:
    """A space of toy trials whose epochs last so long."""
    architecture = "tuner.training.toy:curve"
    return SearchSpace.from_mapping(
        {
            "name": "toy",
            "max_epochs": 9,
            "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
            "architectures": {architecture: {"epoch_seconds": epoch_seconds}},
            "baselines": [
                {
                    "architecture": architecture,
                    "learning_rate": rate,
                    "epoch_seconds": epoch_seconds,
                }
                for rate in (1e-3, 2e-3)
            ],
        },
        "toy.yaml",
    )


@dataclass
class Tally:
    """The results of the kills."""

    kills: int = 0
    lost: int = 0  # finished trials that a later study no longer had
    doubled: int = 0  # configurations that finished twice
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.kills} kills survived, {self.lost} trials lost, {self.doubled} doubled"


@dataclass
class Search:
    """One `tuner search`, in a folder of its own."""

    folder: Path  # the current folder of the command; its run lies in runs/x
    arguments: Sequence[str]
    trials: int  # its budget
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = field(default_factory=lambda: TUNER)
    limit_s: float = _LONGEST_S
    run_folder: Path | None = None  # where that is not so
    without_ray: bool = False

    def start(self, kill_at: str | None = None) -> "subprocess.Popen[str] | Forked":
        """Runs the command; the process kills itself at `kill_at`, a kill point and how often it is passed."""
        words = ["search", *self.arguments, "--name=x", f"--trials={self.trials}"]
        environment = {**self.environment, VARIABLE: kill_at or ""}
        if self.without_ray:
            return Forked(words, self.folder, environment)
        return subprocess.Popen(
            [*self.command, *words],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def enlarge(self) -> None:
        """Gives it a larger budget, because it has used up the one that it had."""
        self.trials += max(1, self.trials // 3)

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.run_folder or self.folder / "runs" / "x"

    def finished(self) -> dict[int, tuple[object, ...]]:
        """The record of each trial that counts toward the budget."""
        try:
            trials = Run(self.run).study.get_trials(deepcopy=False)
        except RunFolderError:  # killed before it had a study
            return {}
        return {t.number: _content(t) for t in trials if counts_as_finished(t)}


def kill_at_points(search: Search, points: Sequence[str], tally: Tally) -> None:
    """Lets the search kill itself at each point in turn, then run to its end."""
    for point in points:
        _one_kill(search, tally, point=point)
    end(search, tally)


def kill_at_random(search: Search, kills: int, seed: int, within_s: float, tally: Tally) -> None:
    """Kills the search `kills` times after up to `within_s` seconds, then lets it run to its end.

    Where it ends before it is killed, its budget becomes larger: so a fast machine gets as many kills.
    """
    moments = random.Random(seed)
    wanted = tally.kills + kills
    while tally.kills < wanted and not tally.problems:
        before = tally.kills
        _one_kill(search, tally, after_s=moments.uniform(0, within_s))
        if tally.kills == before:
            search.enlarge()
    end(search, tally)


def kill_workers(
    search: Search, chance: random.Random, every_s: float, most: int = 100
) -> Callable[[], int]:
    """Kills a process of the search's trials every so often until its budget is used; gives how many."""
    killed = 0

    def work() -> None:
        nonlocal killed
        until = time.monotonic() + 500
        while killed < most and len(search.finished()) < search.trials and time.monotonic() < until:
            time.sleep(every_s)
            killed += kill_worker(search, chance)

    threading.Thread(target=work, daemon=True).start()
    return lambda: killed


def kill_worker(search: Search, chance: random.Random) -> bool:
    """Kills one process that trains a trial of this search; False where there is none."""
    listed = subprocess.run(
        ["pgrep", "-f", "^ray::(TrialActor|ResourceTrainable)"], capture_output=True, text=True
    )
    logs = str(search.run / "logs")  # which they write to
    pids = [int(pid) for pid in listed.stdout.split()]
    workers = [pid for pid in pids if _output_of(pid).startswith(logs)]
    if not workers:
        return False
    with suppress(ProcessLookupError):  # it ended just now
        os.kill(chance.choice(workers), signal.SIGKILL)
        return True
    return False


def _output_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/1")
    except OSError:
        return ""


def _one_kill(
    search: Search, tally: Tally, *, point: str | None = None, after_s: float = _LONGEST_S
) -> None:
    before = search.finished()
    process = search.start(point)
    try:
        _, error = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        _, error = process.communicate()
    if process.returncode == -signal.SIGKILL:
        tally.kills += 1
    elif process.returncode != 0:
        tally.problems.append(f"{point or 'random'}: ended with {process.returncode}: {error}")
    elif point is not None:
        tally.problems.append(f"{point}: never reached")
    after = search.finished()
    tally.lost += sum(after.get(number) != content for number, content in before.items())


def end(search: Search, tally: Tally) -> None:
    """Lets the search end and checks everything that must hold."""
    before = search.finished()
    process = search.start()
    try:
        _, error = process.communicate(timeout=search.limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        tally.problems.append(f"the last start ended with {process.returncode}: {error}")
    study = Run(search.run).study
    trials = study.get_trials(deepcopy=False)
    counted = [trial for trial in trials if counts_as_finished(trial)]
    after = {trial.number: _content(trial) for trial in counted}
    tally.lost += sum(after.get(number) != content for number, content in before.items())
    tally.doubled += sum(n - 1 for n in Counter(_first_try(trials, t) for t in counted).values())
    if len(counted) != search.trials:
        tally.problems.append(f"{len(counted)} trials count, not {search.trials}")
    tally.problems += _baseline_problems(study, counted)
    tally.problems += _retry_problems(trials)
    tally.problems += _file_problems(search.run, trials)
    tally.problems += _ensemble_problems(Run(search.run))


def _baseline_problems(study: object, counted: Sequence[FrozenTrial]) -> list[str]:
    wanted = len(list(StudyReader(study).space.baseline_parameters()))  # type: ignore[arg-type]
    ran = [trial.number for trial in counted if is_baseline(trial)]
    return [] if len(ran) == wanted else [f"baselines {ran} count, wanted {wanted}"]


def _retry_problems(trials: Sequence[FrozenTrial]) -> list[str]:
    """A trial that was interrupted after parameters were drawn runs again once, with these parameters."""
    problems = []
    for trial in trials:
        retries = [t for t in trials if t.user_attrs.get(Attribute.RETRY_OF) == trial.number]
        drawn = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if len(retries) != (1 if is_interrupted(trial) and drawn else 0):
            problems.append(f"trial {trial.number} ran again {len(retries)} times")
        for retry in retries:
            if retry.params and not drawn.items() <= retry.params.items():
                problems.append(f"trial {retry.number} has not the parameters of {trial.number}")
        if not trial.state.is_finished():
            problems.append(f"trial {trial.number} is {trial.state.name}")
    return problems


def _file_problems(run: Path, trials: Sequence[FrozenTrial]) -> list[str]:
    board = pd.read_csv(run / "leaderboard.csv")
    problems = []
    if sorted(board["trial"]) != [trial.number for trial in trials]:
        problems.append("leaderboard.csv does not have every trial once")
    expected = {"run.yaml", "study.journal", "leaderboard.csv", "curves.csv", "logs"}
    if not Run(run).objectives.costs:  # with two objectives no weights are kept
        expected.add("trials")
    if Run(run).recorded.config.trainer is TrainerName.KERAS:
        expected.add("reference.npz")
    if (left := {path.name for path in run.iterdir()}) != expected:
        problems.append(f"in the run folder: {sorted(left)}")
    return problems


def _ensemble_problems(run: Run) -> list[str]:
    """Its members are of the best trials that have ended, whose models are there and no others.

    Of toys, whose answers on validation rows are unknown, and of few trials, they are the best five.
    """
    if run.objectives.costs:
        return []
    ended = {
        trial.number
        for trial in run.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    }
    ranks = ranked(run.reader.records(), run.space.metric)
    best = [record.number for record in ranks if record.number in ended][: 5 * CHOSEN_FROM]
    is_plain = run.recorded.config.trainer is TrainerName.TOY or len(best) <= 5
    members = [] if run.ensemble is None else list(run.ensemble.members)
    kept = {path.name for path in run.files.trial_models.iterdir()}
    problems = []
    if len(members) != min(5, len(best)) or not set(members) <= set(best):
        problems.append(f"the ensemble is {run.ensemble}, not of {best}")
    if is_plain and members != best[:5]:
        problems.append(f"the ensemble is {run.ensemble}, not of {best[:5]}")
    if kept != {run.files.trial_model(number).name for number in best}:
        problems.append(f"models of {sorted(kept)}, not of {best}")
    return problems


def _first_try(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> int:
    while (earlier := trial.user_attrs.get(Attribute.RETRY_OF)) is not None:
        trial = trials[earlier]
    return trial.number


def _content(trial: FrozenTrial) -> tuple[object, ...]:
    return (trial.state, tuple(trial.values or ()), trial.params, trial.intermediate_values)
