"""Do real searches gain what replayed ones do? Pairs of searches on the data, space and rows of a recorded table.

Of a pair, plain random search trains ten configurations to their ends and hands over the best one by validation; then
tuner's search has as much time and hands over its average. Both have one core; a pair's second search runs beside the
next pair's first one, so that both share the machine with the same. The last lines compare the pairs' gains with
those of replays of that table: how many are in the replays' middle nine tenths, the mean, the spread. A pair that has
ended is kept under `--out`, so a command that was stopped goes on.

With `--rows-of-table` a pair learns from the rows that the table's trainings learned from, and each row of the pool has
the role that it has in the replay of the pair's number. So the pairs differ from replays in nothing but being real. The
last line compares each of them with replays on the very same rows, ended as the pair is: with random search's tenth
training.

Without, a pair draws its rows anew: as many as the table has to learn from, to validate, to confirm and to measure.
Then every pair is measured on rows of its own, while replays share those of the table's pool: they are too alike, and
all of them are off by what the pool is. So these replays draw their rows with replacement, and the interval of the
means' difference counts how far the replays' mean moves with the pool. That all trainings of a table learned from the
same rows it does not count.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from benchmark_io import show, write_rows
from numpy.typing import NDArray
from replay.arms import RANDOM, TODAY, search
from replay.draw import CONFIRMATION, VALIDATION, draws, on_the_same_rows
from replay.outcomes import CHOSEN, SINGLE, courses
from replay.recording import Plan, load_rows
from replay.replays import measure
from replay.table import Table, load_table
from replay.tabular import Recorded
from replay.virtual_search import History
from scipy.stats import binomtest, chi2
from scipy.stats import t as student_t

from tuner.data import Split
from tuner.data.load import read_rows
from tuner.files import write_atomically
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
REPLAYS_OF_A_PAIR = 24
POOLS = 16
REPLAYS_OF_A_POOL = 100
COMMON = ("--max-concurrent", "1", "--no-reference")
# Writes the rows of a pair of this number, with a split each.
WritesRows = Callable[[Table, int, Path], Path]
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


@dataclass(frozen=True)
class Pair:
    """A row of the result: times in seconds, accuracies on the rows that chose nothing, the gain in points."""

    pair: int
    random_s: float
    random_single: float
    ours_s: float
    ours_trials: int
    ours_average: float
    points: float


def main() -> None:
    """Prints one row per pair, and what all of them say of the replays."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=DATA, default="rotten_tomatoes_seed")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first pair")
    parser.add_argument(
        "--rows-of-table", action="store_true", help="learn and measure on the table's own rows"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    asked = parser.parse_args()
    table = load_table(TABLES / f"{asked.table}.npz")
    name = f"{asked.table}_own" if asked.rows_of_table else asked.table
    folder = asked.out / "live_pairs" / name
    write = _write_rows_of_table if asked.rows_of_table else _write_rows
    pairs = _pairs(table, range(asked.first, asked.first + asked.pairs), folder, write)
    replayed = _replayed(table, REPLAYS, has_fresh_rows=not asked.rows_of_table)
    show(
        f"live_pairs_{name}_{asked.first}",
        [
            asdict(pair) | {"replays_below": float((replayed < pair.points).mean())}
            for pair in pairs
        ],
        asked.out,
    )
    gains = np.array([pair.points for pair in pairs])
    error_of_pool = 0.0 if asked.rows_of_table else _error_of_pool(table)
    for line in _agreement(gains, replayed, error_of_pool):
        print(line)
    if asked.rows_of_table:
        same = [_on_the_same_rows(table, pair.pair) for pair in pairs]
        apart = gains - np.mean(same, axis=1)
        reach = student_t.ppf(0.975, len(gains) - 1) * apart.std(ddof=1) / np.sqrt(len(gains))
        print(
            f"{REPLAYS_OF_A_PAIR} replays each on the very same rows gain {np.mean(same):+.2f} points on average: the "
            f"pairs differ by {apart.mean():+.2f} ({apart.mean() - reach:+.2f} to {apart.mean() + reach:+.2f})"
        )
    else:
        low, high = np.quantile(_replayed(table, REPLAYS, has_fresh_rows=False), (0.05, 0.95))
        inside = int(((low <= gains) & (gains <= high)).sum())
        print(
            f"of replays that share their rows: {inside} inside, {low:+.2f} to {high:+.2f} points"
        )


def _replayed(table: Table, replays: int, *, has_fresh_rows: bool) -> NDArray[np.float64]:
    """What each replay gains, in points."""
    measured = measure(
        table,
        (RANDOM, TODAY),
        replays=replays,
        workers=1,
        after=(TRAININGS,),
        has_fresh_rows=has_fresh_rows,
    )
    moment_s = measured.moments_s[TRAININGS]
    ours = measured.arms[TODAY.name].course(CHOSEN).at(moment_s)
    return 100 * (ours - measured.arms[RANDOM.name].course(SINGLE).at(moment_s))


def _on_the_same_rows(table: Table, pair: int) -> list[float]:
    """What replays gain whose rows have the roles that they have in a pair, in points."""
    recorded = Recorded(table.space, table.parameters)
    found = partial(courses, table, workers=1, averages=(), all_kinds=True)
    (draw,) = draws(table, range(pair, pair + 1), seed=0)
    gains = []
    for number in range(REPLAYS_OF_A_PAIR):
        same = on_the_same_rows(table, draw, number)
        searched = partial(search, table=table, recorded=recorded, draw=same, workers=1)
        random = searched(RANDOM, is_over=lambda so_far, _: len(so_far.ended_s) >= TRAININGS)
        end_s = random.ended_s[TRAININGS - 1]
        ours = searched(TODAY, is_over=partial(_is_after, end_s))
        gained = found(same, ours)[CHOSEN].at(end_s) - found(same, random)[SINGLE].at(end_s)
        gains.append(100 * gained)
    return gains


def _is_after(end_s: float, so_far: History, next_s: float) -> bool:
    return next_s > end_s


def _error_of_pool(table: Table) -> float:
    """How far the mean gain moves with the rows of the pool: its deviation over pools drawn from it, in points."""
    rng = np.random.default_rng(0)
    means = []
    for _ in range(POOLS):
        rows = rng.integers(table.n_pool, size=table.n_pool)
        assert table.probabilities is not None
        assert table.labels is not None
        pool = replace(
            table,
            right=table.right[:, :, :, rows],
            probabilities=table.probabilities[:, :, :, rows],
            labels=table.labels[rows],
            reference=None,
        )
        means.append(_replayed(pool, REPLAYS_OF_A_POOL, has_fresh_rows=False).mean())
    return float(np.std(means, ddof=1))


def _agreement(
    gains: NDArray[np.float64], replayed: NDArray[np.float64], error_of_pool: float
) -> list[str]:
    """How the pairs' gains lie among the replays': how many are in the middle nine tenths, the mean, the spread."""
    low, high = np.quantile(replayed, (0.05, 0.95))
    inside = int(((low <= gains) & (gains <= high)).sum())
    share = binomtest(inside, len(gains)).proportion_ci()
    lines = [
        f"{inside} of {len(gains)} pairs are inside the replays' 90 % range, {low:+.2f} to {high:+.2f} points "
        f"(a share of {share.low:.0%} to {share.high:.0%})"
    ]
    if len(gains) > 1:
        freedom = len(gains) - 1
        apart = gains.mean() - replayed.mean()
        error = np.sqrt(gains.var(ddof=1) / len(gains) + error_of_pool**2)
        reach = student_t.ppf(0.975, freedom) * error
        ratio = gains.std(ddof=1) / replayed.std(ddof=1)
        wide, narrow = np.sqrt(chi2.ppf((0.025, 0.975), freedom) / freedom)
        lines += [
            f"mean {gains.mean():+.2f} points, that of {len(replayed)} replays {replayed.mean():+.2f}, which moves "
            f"by {error_of_pool:.2f} with the pool: {apart:+.2f} ({apart - reach:+.2f} to {apart + reach:+.2f})",
            f"standard deviation {gains.std(ddof=1):.2f}, {ratio:.2f} times the replays' "
            f"({ratio / narrow:.2f} to {ratio / wide:.2f})",
        ]
    return lines


def _pairs(table: Table, numbers: range, folder: Path, write: WritesRows) -> list[Pair]:
    """Of each pair, random search and then tuner's, beside the next pair's random search.

    A pair that has ended is read from `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    space = folder / "space.yaml"
    space.write_text(to_yaml({**table.space.to_mapping(), "baselines": []}), encoding="utf-8")
    pairs: list[Future[Pair]] = []
    with ThreadPoolExecutor(1) as beside:
        for number in numbers:
            result = folder / f"{number}.json"
            if result.is_file():
                pairs.append(beside.submit(_read, result))
                continue
            data = write(table, number, folder / f"{number}.csv")
            command = [str(space), "--data", str(data), "--out", str(folder), "--seed", str(number)]
            random = _search(
                folder / f"random-{number}", *command, *PLAIN_RANDOM, "--trials", str(TRAININGS)
            )
            budget = ("--time-budget", f"{random.before_s + random.seconds:.0f}")
            pairs.append(beside.submit(_second, number, random, folder, *command, *budget))
    return [pair.result() for pair in pairs]


def _read(result: Path) -> Pair:
    return Pair(**json.loads(result.read_text(encoding="utf-8")))


def _second(number: int, random: Searched, folder: Path, *command: str) -> Pair:
    """Tuner's search of a pair, whose result it records."""
    ours = _search(folder / f"ours-{number}", *command)
    pair = Pair(
        number,
        random.seconds,
        random.accuracy,
        ours.seconds,
        len(ours.run.leaderboard()),
        ours.accuracy,
        100 * (ours.accuracy - random.accuracy),
    )
    write_atomically(folder / f"{number}.json", json.dumps(asdict(pair)))
    print(f"pair {number}: {pair.points:+.2f} points", file=sys.stderr, flush=True)
    return pair


def _search(run: Path, *command: str) -> Searched:
    shutil.rmtree(run, ignore_errors=True)  # what a stopped command left
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


def _write_rows_of_table(table: Table, pair: int, path: Path) -> Path:
    """The rows that the table was recorded on, each with its role in the replay of this number."""
    source, learned = DATA[table.name]
    plan = Plan(table.name, table.space, source, "words", learned, table.n_pool, 1, 1)
    rows, learn, pool = load_rows(path.parent, plan)
    names = sorted(set(rows.labels))
    assert table.labels is not None
    if [names.index(rows.labels[place]) for place in pool] != table.labels.tolist():
        raise SystemExit(f"{path.parent / 'texts.csv'}: the texts are not those of {table.name}")
    draw = next(draws(table, range(pair, pair + 1), seed=0))
    roles = {
        Split.TRAIN: learn,
        Split.VALIDATION: [pool[row] for row in draw.validation],
        Split.CONFIRMATION: [pool[row] for row in draw.confirmation],
        Split.TEST: [pool[row] for row in draw.truth],
    }
    order = [place for places in roles.values() for place in places]
    return write_rows(path, rows, order, [split for split, places in roles.items() for _ in places])


if __name__ == "__main__":
    main()
