"""Whether a long search of real models grows: resident memory of the driver and of the processes that train.

200 tiny trials of all architectures, two at a time (`--full`: 500). One row per count, with its growth against the
first row, which is measured when everything has been imported and every architecture was built. Linux.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmark_io import options, show

from tuner.execution.search import run_search
from tuner.run.events import Event, EventKind, SearchState
from tuner.settings.config import make_config
from tuner.settings.hyperparameters import ARCHITECTURES
from tuner.settings.space import SearchSpace

COUNTS, COUNTS_FULL = (50, 100, 200), (50, 100, 200, 500)
LIMIT_S = 3600.0
SPACE = {
    "name": "tiny",
    "max_epochs": 2,
    "shared": {
        "learning_rate": {"float": [1e-3, 1e-2], "log": True},
        "lstm_units": {"int": [4, 16]},
        "embedding_size": {"int": [4, 16]},
        "max_length": 30,
        "vocabulary_size": 2000,
        "batch_size": {"choice": [16, 32]},
    },
    "architectures": {name: {} for name in ARCHITECTURES},
}


class Watch:
    """A listener that weighs the processes when so many trials have ended."""

    def __init__(self, counts: list[int]) -> None:
        self.rows: list[dict[str, float]] = []
        self._counts = counts

    def on_event(self, event: Event, state: SearchState) -> None:
        """Adds a row when a count is reached."""
        if event.kind is EventKind.TRIAL_ENDED and state.finished in self._counts:
            workers = sorted(resident_mb(pid) for pid in workers_of_this_session())
            row = {"trials": state.finished, "driver_mb": resident_mb(os.getpid())}
            self.rows.append(row | {f"worker_{n}_mb": mb for n, mb in enumerate(workers, start=1)})


def workers_of_this_session() -> list[int]:
    """The processes that train, in the session that this process leads."""
    listed = subprocess.run(
        ["pgrep", "-f", "^ray::(TrialActor|ResourceTrainable)"], capture_output=True, text=True
    )
    pids = [int(pid) for pid in listed.stdout.split()]
    return [pid for pid in pids if os.getsid(pid) == os.getsid(0)]


def resident_mb(pid: int) -> float:
    """A process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


def search(folder: Path, counts: list[int]) -> None:
    """The search itself, in a process and a session of its own."""
    config = make_config(
        {
            "space": SearchSpace.from_mapping(SPACE, "tiny"),
            "data": {"source": "rotten-tomatoes", "sample": 400},
            "out": str(folder),
            "trials": max(counts),
            "max_concurrent": 2,
        }
    )
    watch = Watch(counts)
    run_search(config, watch)
    (folder / "rows.json").write_text(json.dumps(watch.rows), encoding="utf-8")


def main() -> None:
    asked = options(__doc__)
    counts = COUNTS_FULL if asked.full else COUNTS
    with tempfile.TemporaryDirectory() as folder:
        program = f"import memory_growth, pathlib; memory_growth.search(pathlib.Path({folder!r}), {list(counts)})"
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"},
            start_new_session=True,
            timeout=LIMIT_S,
            check=True,
        )
        rows = json.loads(Path(folder, "rows.json").read_text(encoding="utf-8"))
    first = rows[0]
    grown = [
        row | {f"{name[:-3]}_ratio": row[name] / first[name] for name in first if "_mb" in name}
        for row in rows
    ]
    show("memory_growth", grown, asked.out)


if __name__ == "__main__":
    main()
