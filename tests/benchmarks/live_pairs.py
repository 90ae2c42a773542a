"""Do real searches gain what replayed ones do? Pairs of searches on the data, space and rows of a recorded table.

Of a pair, plain random search trains ten configurations to their ends and hands over the best one by validation; then
tuner's search has as much time and hands over its average. Both have one core; a pair's second search runs beside the
next pair's first one, so that both share the machine with the same. A pair draws its rows anew: as many as the table
has to learn from, to validate, to confirm and to measure.

The last lines compare every pair's gain with the middle nine tenths of the replays of that table.
"""

import argparse
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from benchmark_io import show, write_rows
from replay.arms import RANDOM, TODAY
from replay.draw import CONFIRMATION, VALIDATION
from replay.outcomes import CHOSEN, SINGLE
from replay.replays import measure
from replay.table import Table, load_table

from tuner.data.load import read_rows
from tuner.run import Run
from tuner.run.evaluations import read_test_log
from tuner.run.folder import RunFolder
from tuner.settings.data import DataConfig
from tuner.settings.yaml_files import to_yaml

TABLES = Path(__file__).parent / "replay" / "tables"
# What the tables were recorded on, and how many rows their trainings learned from.
DATA = {
    "rotten_tomatoes_seed": ("rotten-tomatoes", 4000),
    "imdb_train_quickstart": ("imdb-train", 7000),
}
TRAININGS = 10
REPLAYS = 300
COMMON = ("--max-concurrent", "1", "--no-reference")
PLAIN_RANDOM = ("--sampler", "random", "--pruner", "none", "--patience", "off", "--ensemble", "1")


@dataclass(frozen=True)
class Searched:
    """A search that has ended.

    Args:
        before_s: from the command to the start of its first trial.
        seconds: from then to the end of its last trial.
        accuracy: of what it hands over, on the rows that chose nothing.
    """

    run: Run
    before_s: float
    seconds: float
    accuracy: float


def main() -> None:
    """Prints one row per pair, and the replays' range."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=DATA, default="rotten_tomatoes_seed")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    asked = parser.parse_args()
    table = load_table(TABLES / f"{asked.table}.npz")
    low, middle, high = _replayed(table)
    folder = asked.out / "live_pairs" / asked.table
    rows = [
        {
            "pair": pair,
            "random_s": random.seconds,
            "random_single": random.accuracy,
            "ours_s": ours.seconds,
            "ours_trials": len(ours.run.leaderboard()),
            "ours_average": ours.accuracy,
            "points": 100 * (ours.accuracy - random.accuracy),
        }
        for pair, (random, ours) in enumerate(_pairs(table, asked.pairs, folder))
    ]
    show(f"live_pairs_{asked.table}", rows, asked.out)
    gains = [float(str(row["points"])) for row in rows]
    inside = sum(low <= gain <= high for gain in gains)
    print(
        f"{inside} of {len(gains)} pairs are inside the replays' 90 % range, {low:+.2f} to {high:+.2f} points; "
        f"their mean {np.mean(gains):+.2f}, that of {REPLAYS} replays {middle:+.2f}"
    )


def _replayed(table: Table) -> tuple[float, float, float]:
    """The middle nine tenths and the mean of one replay's gain, in points."""
    measured = measure(table, (RANDOM, TODAY), replays=REPLAYS, workers=1, after=(TRAININGS,))
    moment_s = measured.moments_s[TRAININGS]
    ours = measured.arms[TODAY.name].course(CHOSEN).at(moment_s)
    gains = 100 * (ours - measured.arms[RANDOM.name].course(SINGLE).at(moment_s))
    low, high = np.quantile(gains, (0.05, 0.95))
    return float(low), float(gains.mean()), float(high)


def _pairs(table: Table, count: int, folder: Path) -> list[tuple[Searched, Searched]]:
    """Of each pair, random search and then tuner's, beside the next pair's random search."""
    folder.mkdir(parents=True, exist_ok=True)
    space = folder / "space.yaml"
    space.write_text(to_yaml({**table.space.to_mapping(), "baselines": []}), encoding="utf-8")
    pending: list[tuple[Searched, Future[Searched]]] = []
    with ThreadPoolExecutor(1) as beside:
        for pair in range(count):
            data = _write_rows(table, pair, folder / f"{pair}.csv")
            command = [str(space), "--data", str(data), "--out", str(folder), "--seed", str(pair)]
            random = _search(
                folder / f"random-{pair}", *command, *PLAIN_RANDOM, "--trials", str(TRAININGS)
            )
            budget = ("--time-budget", f"{random.before_s + random.seconds:.0f}")
            ours = beside.submit(_search, folder / f"ours-{pair}", *command, *budget)
            pending.append((random, ours))
    return [(random, ours.result()) for random, ours in pending]


def _search(run: Path, *command: str) -> Searched:
    began = time.time()
    program = Path(sys.executable).with_name("tuner")
    subprocess.run(
        [program, "search", *command, *COMMON, "--name", run.name],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    board = Run(run).leaderboard().dropna(subset=["started"])
    starts = [datetime.fromisoformat(str(started)) for started in board["started"]]
    ends = [
        start + timedelta(seconds=seconds)
        for start, seconds in zip(starts, board["seconds"].fillna(0), strict=True)
    ]
    subprocess.run(
        [program, "test", str(run), "--members", "trials", "--no-reference"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    first = min(starts)
    return Searched(
        Run(run),
        max(0.0, first.timestamp() - began),
        (max(ends) - first).total_seconds(),
        read_test_log(RunFolder(run))[-1].figures.accuracy,
    )


def _write_rows(table: Table, pair: int, path: Path) -> Path:
    """Rows of the table's data, drawn anew, with a split each."""
    source, learned = DATA[table.name]
    rows = read_rows(DataConfig(source=source))
    splits = np.repeat(
        ["train", "validation", "confirmation", "test"],
        [
            learned,
            round(VALIDATION * table.n_pool),
            round(CONFIRMATION * table.n_pool),
            table.n_pool - round(VALIDATION * table.n_pool) - round(CONFIRMATION * table.n_pool),
        ],
    )
    order = np.random.default_rng(pair).permutation(len(rows.labels))
    return write_rows(path, rows, order, splits)


if __name__ == "__main__":
    main()
