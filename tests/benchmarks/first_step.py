"""Seconds from the command of a search to its first training step, and what they are spent on.

`quickstart` on built-in sentences into a new run folder: once with data that were encoded before, and once without.
Every process of the search notes when it comes to the moments below. A moment's time is the median of the searches, of
which the first does not count.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmark_io import options, show

HERE = Path(__file__).parent
LOG = "FIRST_STEP_LOG"  # as in first_step_moments/sitecustomize.py
SEARCHES, SEARCHES_FULL = 3, 5
LIMIT_S = 300.0
DATA = ("--data", "rotten-tomatoes", "--sample", "4000")
SEARCH = ("search", "quickstart", *DATA, "--trials", "2", "--max-concurrent", "1")
STEP = "the first step is made"
MOMENTS = {  # what a process notes: what the table calls it
    "search end": "the driver has its modules",
    "load_dataset end": "the data are read",
    "init begin": "Ray begins to start",
    "init end": "Ray runs",
    "Training.__init__ begin": "a worker is ready and builds the model",
    "make_train_step begin": "it traces the first step",
    "first_step begin": "it makes the first step",
    "first_step end": STEP,
}


def main() -> None:
    asked = options(__doc__)
    searches = SEARCHES_FULL if asked.full else SEARCHES
    encoded, not_yet = (_medians(searches, is_cold=cold) for cold in (False, True))
    rows = [
        {"moment": name, "data encoded before, s": encoded[name], "not yet, s": not_yet[name]}
        for name in MOMENTS.values()
    ]
    show("first_step", rows, asked.out)


def _medians(searches: int, *, is_cold: bool) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        found = [_measure(Path(cache), is_cold=is_cold) for _ in range(searches + 1)][1:]
    return {name: statistics.median(each[name] for each in found) for name in MOMENTS.values()}


def _measure(cache: Path, *, is_cold: bool) -> Mapping[str, float]:
    """Seconds from the command's start to each moment of one search, which ends then."""
    if is_cold:
        shutil.rmtree(cache)
        cache.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "moments")
        paths = [
            str(HERE / "first_step_moments"),
            os.environ.get("PYTHONPATH", str(HERE.parents[1])),
        ]
        environment = {
            **os.environ,
            LOG: str(log),
            "PYTHONPATH": os.pathsep.join(paths),
            "TUNER_CACHE": str(cache),
        }
        started = time.time()
        search = subprocess.Popen(
            [sys.executable, "-m", "tuner", *SEARCH, "--out", folder],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            moments: dict[str, float] = {}
            while STEP not in moments:
                if search.poll() is not None or time.time() > started + LIMIT_S:
                    raise SystemExit(f"the search ended before its first step: {moments}")
                time.sleep(0.05)
                moments = _moments(log, started)
            return moments
        finally:
            search.send_signal(signal.SIGTERM)
            search.wait()


def _moments(log: Path, started: float) -> dict[str, float]:
    found: dict[str, float] = {}
    if log.is_file():
        for line in log.read_text(encoding="ascii").splitlines():
            at, _, what = line.partition(" ")
            if what in MOMENTS:
                found.setdefault(MOMENTS[what], float(at) - started)
    return found


if __name__ == "__main__":
    main()
