"""TPE with halving against random search without it, in equal time: which one finds the better model?

In two spaces, without their baselines (they would win both searches): `imdb`, narrow and built to win, on whole
reviews, and `seed`, wide, on one-sentence reviews. One trial at a time, the two side by side, so that whatever else the
machine does costs both the same. Their winners are then trained again with three fresh seeds and measured on reviews
that no search saw: a search's own best score is partly luck.
"""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
from benchmark_io import options, show, write_rows

from tuner.data.load import read_rows
from tuner.run import Run
from tuner.settings.builtin import find_space
from tuner.settings.data import DataConfig
from tuner.settings.yaml_files import to_yaml
from tuner.text import format_duration

ARMS = {
    "tpe, halving": ("--sampler", "tpe", "--pruner", "halving"),
    "random, no pruning": ("--sampler", "random", "--pruner", "none"),
}


@dataclass(frozen=True)
class Problem:
    """A space, a data set with rows for each of its splits, and minutes to search."""

    space: str
    source: str
    splits: dict[str, int]  # much to measure on, so that a difference is seen
    minutes: int
    short_minutes: int


PROBLEMS = (
    Problem(
        "imdb",
        "imdb-train",
        {"train": 6_000, "validation": 2_500, "confirmation": 8_000, "test": 8_500},
        minutes=20,
        short_minutes=4,
    ),
    Problem(
        "seed",
        "rotten-tomatoes",
        {"train": 4_000, "validation": 1_500, "confirmation": 2_500, "test": 530},
        minutes=4,
        short_minutes=1,
    ),
)


def main() -> None:
    """Prints one row per arm and seed, and the paired differences."""
    given = options(__doc__)
    for problem in PROBLEMS:
        _measure(problem, given.out / "search_quality" / problem.space, full=given.full)


def _measure(problem: Problem, folder: Path, *, full: bool) -> None:
    minutes, seeds = (problem.minutes, 3) if full else (problem.short_minutes, 1)
    folder.mkdir(parents=True, exist_ok=True)
    data = _write_data(problem, folder / "reviews.csv")
    space = _write_space(problem.space, folder / "space.yaml")
    rows = []
    for seed in range(seeds):
        names = {arm: f"{arm.split(',')[0]}-{minutes}m-{seed}" for arm in ARMS}
        common = [
            "--data",
            str(data),
            "--out",
            str(folder),
            *("--seed", str(seed)),
            *("--data-seed", str(seed)),
        ]
        budget = ["--time-budget", f"{minutes}m", "--max-concurrent", "1"]
        _side_by_side(
            ["search", str(space), *common, *budget, "--name", names[arm], *how]
            for arm, how in ARMS.items()
        )
        _side_by_side(
            ["confirm", str(folder / name), "--top", "1", "--seeds", "3", "--max-concurrent", "1"]
            for name in names.values()
        )
        rows += [_row(arm, seed, Run(folder / name)) for arm, name in names.items()]
    title = f"search quality, {problem.space} on {problem.source}, {format_duration(60 * minutes)}"
    show(title, rows, folder)
    for figure in ("search_score", "confirmed"):
        differences = [
            float(str(tpe[figure])) - float(str(random[figure]))
            for tpe, random in zip(rows[::2], rows[1::2], strict=True)
        ]
        spread = f" +- {stdev(differences):.4f}" if len(differences) > 1 else ""
        print(f"{figure}: TPE with halving less random search: {mean(differences):+.4f}{spread}")


def _write_data(problem: Problem, path: Path) -> Path:
    """The problem's reviews with a split each, in the order in which they come, one of each class after the other."""
    rows = read_rows(DataConfig(source=problem.source))
    splits = [name for name, count in problem.splits.items() for _ in range(count)]
    by_class: dict[str, list[int]] = {}
    for place, label in enumerate(rows.labels):
        by_class.setdefault(label, []).append(place)
    order = [place for places in zip(*by_class.values(), strict=False) for place in places]
    return write_rows(path, rows, order, splits)


def _write_space(name: str, path: Path) -> Path:
    mapping = {
        **find_space(name).to_mapping(),
        "name": f"{name}-without-baselines",
        "baselines": [],
    }
    path.write_text(to_yaml(mapping), encoding="utf-8")
    return path


def _side_by_side(commands: Iterable[list[str]]) -> None:
    tuner = Path(sys.executable).with_name("tuner")
    running = [
        subprocess.Popen([tuner, *command], stdout=subprocess.DEVNULL) for command in commands
    ]
    codes = [process.wait() for process in running]
    assert codes == [0] * len(codes), f"exit codes {codes}"


def _row(arm: str, seed: int, run: Run) -> dict[str, object]:
    board = run.leaderboard()
    finalists = pd.read_csv(run.folder / "finalists.csv")
    return {
        "arm": arm,
        "seed": seed,
        "trials": len(board),
        "epochs": int(board["epochs"].sum()),
        "architecture": board["architecture"][0],
        "search_score": float(board["score"][0]),
        "confirmed": float(finalists["mean"][0]),
    }


if __name__ == "__main__":
    main()
