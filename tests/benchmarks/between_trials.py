"""Seconds between the last epoch of a trial and the model of the next one, in the same worker slot.

The gap reaches from the end of a trial's last evaluation to the moment when the next trial begins to build its model:
the time for the driver to decide, and for a worker to be ready. Building the model and tracing its graphs, up to
the first training step, is work that either system has to do and is counted separately. One trial runs at a time, so
that the next follows the last.

tuner against a Ray Tune script as Ray's documentation teaches it: a function trainable that imports TensorFlow,
`OptunaSearch`, `ASHAScheduler`. Both build the same tiny model from the same function, which records the moments,
on the same sentences. In favour of the script: it saves no checkpoints, and its data are padded beforehand. Its graph
for evaluation is traced after its first epoch, tuner's before and so within the building and tracing shown. The first
gap of each system is left out.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_io import options, show
from between_trials_space import BUILD, EVALUATED, LOG

HERE = Path(__file__).parent
TUNER_TRIALS = 30
RAY_TRIALS, RAY_TRIALS_FULL = 6, 12
DROPPED = 1  # gaps at the beginning
LIMIT_S = 600.0  # a system


@dataclass(frozen=True)
class Change:
    """From one trial to the next."""

    gap_s: float  # the last evaluation's end to the next model
    building_s: float  # from there to the first training step


def main() -> None:
    asked = options(__doc__)
    ray_trials = RAY_TRIALS_FULL if asked.full else RAY_TRIALS
    ours = _row("tuner", "between_trials_tuner.py", TUNER_TRIALS)
    bare = _row("Ray Tune, bare", "between_trials_ray.py", ray_trials)
    ratio = {"system": "bare / tuner", "trials": ""} | {
        name: bare[name] / ours[name] for name in ours if name.endswith("_s")
    }
    show("between_trials", [ours, bare, ratio], asked.out)


def _row(system: str, script: str, trials: int) -> dict[str, object]:
    changes = _measure(script, trials)[DROPPED:]
    gaps = [change.gap_s for change in changes]
    row = {
        "system": system,
        "trials": trials,
        "gap_median_s": statistics.median(gaps),
        "gap_p90_s": float(np.percentile(gaps, 90)),
        "building_and_tracing_median_s": statistics.median(c.building_s for c in changes),
    }
    print(f"{system}: {len(gaps)} gaps, median {row['gap_median_s']:.3f} s", file=sys.stderr)
    return row


def _measure(script: str, trials: int) -> list[Change]:
    """Runs one system in a process of its own and reads the moments that its trials recorded."""
    with tempfile.TemporaryDirectory() as folder:
        moments, output = Path(folder, "moments"), Path(folder, "output")
        path = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            LOG: str(moments),
            "PYTHONPATH": os.pathsep.join(path),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with open(output, "w", encoding="utf-8") as log:
            command = [sys.executable, str(HERE / script), folder, str(trials)]
            ended = subprocess.run(
                command, env=environment, stdout=log, stderr=log, timeout=LIMIT_S, check=False
            )
        if ended.returncode != 0:
            tail = output.read_text(encoding="utf-8")[-2000:]
            raise SystemExit(f"{script} ended with {ended.returncode}:\n{tail}")
        return list(_changes(moments.read_text(encoding="ascii")))


def _changes(log: str) -> Iterator[Change]:
    """The changes of trial in a log that `between_trials_model.py` wrote: lines of seconds, process, what."""
    evaluated = built = None
    gap_s = 0.0
    for line in log.splitlines():
        text, _, what = line.split()
        seconds = float(text)
        if what == EVALUATED:
            evaluated = seconds
        elif what == BUILD:
            built = seconds if evaluated is not None else None  # no trial came before the first
            gap_s = seconds - (evaluated or 0.0)
        elif built is not None:
            yield Change(gap_s, seconds - built)
            built = None  # the first step alone counts


if __name__ == "__main__":
    main()
