"""The driver's time and memory per trial, and how they grow with the trials in the study.

Toy trials, which train nothing, so that nearly all of the time is the driver's: Optuna's sampler and pruner, the
journal, Ray Tune's loop, the leaderboard's files. One search of `space.yaml` goes through all counts; at each the last
trials before it (`STRETCHES`) give the figures. Times of a trial hold all of its epochs, and pruning makes trials
shorter as a study grows, so the epochs are shown beside them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmark_io import options, show

STRETCHES = {100: 50, 300: 100, 1000: 200, 3000: 300, 10_000: 500}  # trials -> how many of the last
TRIALS, TRIALS_FULL = 3000, 10_000
LIMIT_S, LIMIT_FULL_S = 1800.0, 14_400.0


def main() -> None:
    asked = options(__doc__)
    trials = TRIALS_FULL if asked.full else TRIALS
    limit_s = LIMIT_FULL_S if asked.full else LIMIT_S
    rows = _measure({n: last for n, last in STRETCHES.items() if n <= trials}, limit_s)
    first = rows[0]["wall_ms_per_trial"]
    show(
        "driver_growth",
        [row | {"wall_ratio": row["wall_ms_per_trial"] / first} for row in rows],
        asked.out,
    )


def _measure(stretches: dict[int, int], limit_s: float) -> list[dict[str, float]]:
    """The rows of one search, run in a process of its own."""
    script = Path(__file__).with_name("driver_growth_search.py")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(script), folder, json.dumps(stretches)]
        subprocess.run(command, timeout=limit_s, check=True)
        return json.loads(Path(folder, "rows.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
