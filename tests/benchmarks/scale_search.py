"""The search of `scale.py`, watched from within: `python scale_search.py FOLDER ADDRESS SLOTS TRIALS_PER_SLOT EPOCH_S`.

The row goes to `FOLDER/row.json`.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from driver_growth_search import DATA, resident_mb

from tuner.execution.search import run_search
from tuner.run.events import Event, EventKind, SearchState
from tuner.settings.config import make_config

EPOCHS = 3


@dataclass(frozen=True)
class Moment:
    """How far the search and its driver have come."""

    wall_s: float
    cpu_s: float  # of all of the driver's threads
    trials: int
    epochs: int


class Watch:
    """A listener that reads the clock when every slot has ended a trial, and when the first slot has no next one."""

    def __init__(self, slots: int, budget: int) -> None:
        self._slots = slots
        self._budget = budget
        self._trials = 0
        self._epochs = 0
        self.first: Moment | None = None
        self.last: Moment | None = None

    def on_event(self, event: Event, state: SearchState) -> None:
        """Counts epochs and trials that ended."""
        if event.kind is EventKind.EPOCH_ENDED:
            self._epochs += 1
        if event.kind is not EventKind.TRIAL_ENDED:
            return
        self._trials += 1
        if self._trials == self._slots:
            self.first = self._now()
        if self._trials == self._budget - self._slots:
            self.last = self._now()

    def _now(self) -> Moment:
        return Moment(time.perf_counter(), time.process_time(), self._trials, self._epochs)


def main() -> None:
    folder, address, slots, trials_per_slot, epoch_s = sys.argv[1:]
    budget = int(slots) * int(trials_per_slot)
    space = {
        "name": "scale",
        "max_epochs": EPOCHS,
        "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
        "architectures": {"tuner.training.toy:curve": {"epoch_seconds": float(epoch_s)}},
    }
    watch = Watch(int(slots), budget)
    began = time.perf_counter()
    run_search(
        make_config(
            {
                "space": space,
                "data": {"source": DATA},
                "out": folder,
                "trials": budget,
                "address": address,
                "trainer": "toy",
                "pruner": "none",
            }
        ),
        watch,
    )
    first, last = watch.first, watch.last
    assert first is not None
    assert last is not None
    wall_s, trials = last.wall_s - first.wall_s, last.trials - first.trials
    busy_s = (last.epochs - first.epochs) * float(epoch_s)
    row = {
        "nodes": int(slots),
        "trials_per_second": trials / wall_s,
        "possible": int(slots) / (EPOCHS * float(epoch_s)),
        "slot_waits_s": (int(slots) * wall_s - busy_s) / trials,
        "driver_cpu": (last.cpu_s - first.cpu_s) / wall_s,
        "driver_cpu_ms_per_trial": (last.cpu_s - first.cpu_s) / trials * 1e3,
        "driver_mb": resident_mb(),
        "first_round_s": first.wall_s - began,
    }
    Path(folder, "row.json").write_text(json.dumps(row), encoding="utf-8")


if __name__ == "__main__":
    main()
