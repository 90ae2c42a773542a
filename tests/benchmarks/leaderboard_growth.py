"""How long `tuner leaderboard` takes, and how that grows with the trials in the study.

The journal of a search of toy trials of up to three epochs is made up, entry by entry, and its files are written as a
search writes them at its end. The table shows the seconds of whole commands, `tuner leaderboard RUN --top 10`
and `--format csv`, with the snapshot that the search left, and of the first one without it, as
after a search that was killed: then the journal is replayed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark_io import options, show
from leaderboard_journal import write_journal

from tuner.execution.run_files import LeaderboardFiles
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.search.opening import create_or_open_study
from tuner.settings.config import PrunerName, SamplerName, make_config

SPACE = Path(__file__).with_name("space.yaml")
TRIALS = (1000, 10_000)
TRIALS_FULL = (1000, 10_000, 100_000)
REPETITIONS = 3


def main() -> None:
    asked = options(__doc__)
    counts = TRIALS_FULL if asked.full else TRIALS
    show("leaderboard_growth", [_measure(trials) for trials in counts], asked.out)


def _measure(trials: int) -> dict[str, float]:
    """One row."""
    with tempfile.TemporaryDirectory() as place:
        folder = _make_run(Path(place), trials)
        replayed = _best_of("--top", "10", folder=folder, repetitions=1)
        reader = Run(folder.path).reader
        began = time.perf_counter()
        LeaderboardFiles(folder, reader, time.monotonic).write()
        written = time.perf_counter() - began
        table = _best_of("--top", "10", folder=folder)
        csv = _best_of("--format", "csv", folder=folder)
        return {
            "trials": trials,
            "journal_mb": folder.journal.stat().st_size / 1e6,
            "replayed_s": replayed[0],
            "replayed_cpu_s": replayed[1],
            "top_10_s": table[0],
            "top_10_cpu_s": table[1],
            "csv_s": csv[0],
            "csv_cpu_s": csv[1],
            "search_writes_files_s": written,
        }


def _make_run(place: Path, trials: int) -> RunFolder:
    settings = {"space": str(SPACE), "out": str(place), "name": "long", "trainer": "toy"}
    config = make_config({**settings, "trials": trials})
    folder = RunFolder(config.folder)
    folder.logs.mkdir(parents=True)
    write_run_file(folder, config, "none")
    create_or_open_study(
        folder.journal,
        config.space,
        seed=0,
        sampler=SamplerName.RANDOM,
        pruner=PrunerName.NONE,
        max_epochs=config.epochs,
        workers=1,
        objectives=config.compared_by,
    )
    write_journal(folder.journal, config.space, trials)
    return folder


def _best_of(
    *arguments: str, folder: RunFolder, repetitions: int = REPETITIONS
) -> tuple[float, float]:
    """Wall-clock and CPU seconds of the fastest of some equal commands."""
    command = [Path(sys.executable).with_name("tuner"), "leaderboard", str(folder.path), *arguments]
    times = []
    for _ in range(repetitions):
        before, began = os.times(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall_s, after = time.perf_counter() - began, os.times()
        cpu_s = after.children_user + after.children_system
        times.append((wall_s, cpu_s - before.children_user - before.children_system))
    return min(times)


if __name__ == "__main__":
    main()
