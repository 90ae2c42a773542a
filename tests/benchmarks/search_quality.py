"""TPE with halving against random search without it, in equal time: who finds the better model?

Both search `search_spaces/imdb.yaml` without its baselines (they would win both searches), one trial at a time, side by
side, so that whatever else the machine does costs both the same. Their winners are then trained again with three fresh
seeds and measured on 8,000 reviews that no search saw: a search's own best score is partly luck.
"""

import csv
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
from outcome import options, show

from tuner.config import DataConfig
from tuner.data.load import read_rows
from tuner.numbers import format_duration
from tuner.run import Run
from tuner.space_files import find_space
from tuner.yaml_files import to_yaml

# Rows of each split: much to measure on, so that a difference is seen.
SPLITS = {"train": 6_000, "validation": 2_500, "confirmation": 8_000, "test": 8_500}
ARMS = {
    "tpe, halving": ("--sampler", "tpe", "--pruner", "halving"),
    "random, no pruning": ("--sampler", "random", "--pruner", "none"),
}


def main() -> None:
    """Prints a row an arm and seed, and the paired differences."""
    given = options(__doc__)
    minutes, seeds = (20, 3) if given.full else (4, 1)
    folder = given.out / "search_quality"
    folder.mkdir(parents=True, exist_ok=True)
    data, space = _write_data(folder / "reviews.csv"), _write_space(folder / "space.yaml")
    rows = []
    for seed in range(seeds):
        names = {arm: f"{arm.split(',')[0]}-{minutes}m-{seed}" for arm in ARMS}
        common = ["--data", str(data), "--out", str(folder), "--seed", str(seed)]
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
    show(f"search quality after {format_duration(60 * minutes)}", rows, given.out)
    for figure in ("search_score", "confirmed"):
        differences = [
            float(str(tpe[figure])) - float(str(random[figure]))
            for tpe, random in zip(rows[::2], rows[1::2], strict=True)
        ]
        spread = f" +- {stdev(differences):.4f}" if len(differences) > 1 else ""
        print(f"{figure}: TPE with halving less random search: {mean(differences):+.4f}{spread}")


def _write_data(path: Path) -> Path:
    """The IMDB training reviews with a split each, in the order in which they come."""
    rows = read_rows(DataConfig())
    splits = [name for name, count in SPLITS.items() for _ in range(count)]
    half = len(rows.texts) // 2  # the negative ones come first
    order = [
        place for pair in zip(range(half), range(half, 2 * half), strict=True) for place in pair
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for place, split in zip(order, splits, strict=True):
            writer.writerow([rows.texts[place], rows.labels[place], split])
    return path


def _write_space(path: Path) -> Path:
    mapping = {**find_space("imdb").to_mapping(), "name": "imdb-without-baselines", "baselines": []}
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
