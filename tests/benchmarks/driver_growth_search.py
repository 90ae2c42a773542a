"""The search of `driver_growth.py`, watched from within: `python driver_growth_search.py FOLDER STRETCHES`.

STRETCHES is a JSON object, trials -> how many of the last ones to measure. The rows go to `FOLDER/rows.json`.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tuner.execution.search import run_search
from tuner.run.events import Event, EventKind, SearchState
from tuner.settings.config import make_config

SPACE = Path(__file__).with_name("space.yaml")
DATA = "rotten-tomatoes"
WORKERS = 2


@dataclass(frozen=True)
class Moment:
    """How much the driver has used so far."""

    wall_s: float
    cpu_s: float  # of all of the driver's threads
    epochs: int  # of all trials


class Watch:
    """A listener that notes what the driver uses while a search runs."""

    def __init__(self, journal: Path, stretches: dict[int, int], progress: TextIO) -> None:
        self.rows: list[dict[str, float]] = []
        self._journal = journal
        self._progress = progress
        self._stretches = stretches
        self._starts = {trials - last for trials, last in stretches.items()}
        self._began: dict[int, Moment] = {}
        self._epochs = 0

    def on_event(self, event: Event, state: SearchState) -> None:
        """Counts epochs; at a stretch's beginning and end, reads clock and memory."""
        if event.kind is EventKind.EPOCH_ENDED:
            self._epochs += 1
        if event.kind is not EventKind.TRIAL_ENDED:
            return
        trials = state.finished
        if trials in self._stretches:
            self._end_stretch(trials)
        if trials in self._starts:
            self._began[trials] = self._now()

    def _end_stretch(self, trials: int) -> None:
        last = self._stretches[trials]
        began, now = self._began[trials - last], self._now()
        row = {
            "trials": trials,
            "wall_ms_per_trial": (now.wall_s - began.wall_s) / last * 1e3,
            "cpu_ms_per_trial": (now.cpu_s - began.cpu_s) / last * 1e3,
            "epochs_per_trial": (now.epochs - began.epochs) / last,
            "driver_mb": resident_mb(),
            "journal_mb": self._journal.stat().st_size / 1e6,
        }
        self.rows.append(row)
        print(
            f"{trials} trials: {row['wall_ms_per_trial']:.0f} ms each",
            file=self._progress,
            flush=True,
        )

    def _now(self) -> Moment:
        return Moment(time.perf_counter(), time.process_time(), self._epochs)


def main() -> None:
    folder = Path(sys.argv[1])
    stretches = {int(trials): int(last) for trials, last in json.loads(sys.argv[2]).items()}
    config = make_config(
        {
            "space": str(SPACE),
            "data": {"source": DATA},
            "out": str(folder),
            "trials": max(stretches),
            "max_concurrent": WORKERS,
            "trainer": "toy",
        }
    )
    with os.fdopen(os.dup(2), "w") as progress:  # a search sends its own output to its logs
        watch = Watch(config.folder / "study.journal", stretches, progress)
        run_search(config, watch)
    (folder / "rows.json").write_text(json.dumps(watch.rows), encoding="utf-8")


def resident_mb() -> float:
    """This process's resident memory (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmRSS")


if __name__ == "__main__":
    main()
