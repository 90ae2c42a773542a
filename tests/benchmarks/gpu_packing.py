"""Trials per hour on one GPU, by how many share it, with and without NVIDIA MPS.

8,400 reviews of `imdb-train` to train on, 3 epochs, batch 64, 500 tokens, embedding 128, 128 units; `lstm`, `bilstm`
and `cnn_lstm` at random, nothing pruned. Trials per hour are epochs / 3 from the first trial's start to the last one's
end; `factor` against one trial alone. `failed` counts the trials that broke for good, not those that the time ended;
`again` the trials that ran again. Each row is a search of its own, in a new process.

The short form has fewer trials per row and ends a row after 55 s: 8 minutes at most. There the start of the processes
weighs more, so that its rates are lower than those of `--full`, and a rare failure may not show.

Needs a GPU that TensorFlow sees; exits with 3 without one.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark_io import options, show

from tuner.nvidia import ask_driver, visible_gpus
from tuner.run import Run
from tuner.run.trial_status import TrialStatus
from tuner.settings.yaml_files import to_yaml

EPOCHS = 3
SPACE = {
    "name": "packed",
    "max_epochs": EPOCHS,
    "shared": {
        "batch_size": 64,
        "max_length": 500,
        "embedding_size": 128,
        "lstm_units": 128,
        "learning_rate": {"float": [5e-4, 4e-3], "log": True},
    },
    "architectures": {"lstm": {}, "bilstm": {}, "cnn_lstm": {}},
}
SAMPLE = 12_000  # seven in ten are trained on
LIMIT_S, SHORT_LIMIT_S = 300.0, 55.0


@dataclass(frozen=True)
class Packed:
    """A search: how its trials share the GPU."""

    gpus: str
    mps: str
    trials: int
    few: int  # in the short form
    at_once: int | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return f"{self.gpus.replace('.', '_')}-{self.mps}"


SEARCHES = (
    Packed("1", "off", trials=7, few=3, at_once=1),
    Packed("auto", "auto", trials=60, few=32),
    Packed("auto", "off", trials=60, few=8),
    Packed("0.25", "auto", trials=32, few=8),
    Packed("0.25", "off", trials=32, few=8),
    Packed("0.125", "auto", trials=48, few=16),
    Packed("0.125", "off", trials=48, few=8),
)


def main() -> int:
    """Measures and prints the table."""
    given = options(__doc__)
    driver = ask_driver()
    if driver is None or not visible_gpus(driver, os.environ):
        sys.stderr.write("gpu_packing: NVIDIA's driver shows no GPU here\n")
        return 3
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "packed.yaml").write_text(to_yaml(SPACE))
        for search in SEARCHES:
            rows.append(_row(search, Path(folder), rows, full=given.full))
            sys.stdout.write(f"{rows[-1]}\n")  # where the whole is ended, these were measured
            sys.stdout.flush()
    show("gpu_packing", rows, given.out)
    return 0


def _row(
    search: Packed, folder: Path, before: Sequence[dict[str, object]], *, full: bool
) -> dict[str, object]:
    trials, limit_s = (search.trials, LIMIT_S) if full else (search.few, SHORT_LIMIT_S)
    words = ["--gpus-per-trial", search.gpus, "--mps", search.mps, "--trials", str(trials)]
    if search.at_once is not None:
        words += ["--max-concurrent", str(search.at_once)]
    started = time.monotonic()
    command = [sys.executable, "-m", "tuner", "search", "packed.yaml", "--name", search.name]
    command += f"--data imdb-train --sample {SAMPLE} --sampler random --pruner none".split()
    ended = subprocess.run(
        [*command, "--no-reference", "--time-budget", f"{limit_s:.0f}s", *words],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - started
    if ended.returncode != 0:
        sys.stderr.write(ended.stdout[-2000:] + ended.stderr[-2000:])
    records = Run(folder / "runs" / search.name).reader.records()
    spans = [(each.started, each.ended) for each in records if each.started and each.ended]
    epochs = sum(len(each.curve) for each in records if each.status.has_worked)
    rate = 0.0
    if epochs:
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        rate = epochs / EPOCHS / (last - first).total_seconds() * 3600
    alone = before[0]["trials_per_hour"] if before else rate
    assert isinstance(alone, float)
    return {
        "gpus_per_trial": search.gpus,
        "mps": search.mps,
        "at_once": _most_at_once(spans),
        "complete": sum(each.status is TrialStatus.COMPLETE for each in records),
        "failed": sum(each.status.is_broken and not each.interrupted for each in records),
        "again": sum(each.retry_of is not None for each in records),
        "trials_per_hour": rate,
        "factor": rate / alone if alone else 0.0,
        "wall_s": seconds,
    }


def _most_at_once(spans: Sequence[tuple[object, object]]) -> int:
    """How many trials ran at once at most."""
    moments = sorted(
        (moment, step) for span in spans for moment, step in zip(span, (1, -1), strict=True)
    )  # type: ignore[type-var]
    running = most = 0
    for _, step in moments:
        running += step
        most = max(most, running)
    return most


if __name__ == "__main__":
    sys.exit(main())
