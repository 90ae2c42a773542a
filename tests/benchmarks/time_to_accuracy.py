"""Wall-clock until a trial reaches a validation accuracy: tuner, bare Ray Tune, KerasTuner and Optuna alone.

Every system searches `space.yaml` on the same split of the same reviews with the same seed on all cores, alone on the
machine, one after the other, in another order with every seed. The peers (in `peers/`) are written as their
documentation teaches it and train the tutorial's models in plain Keras. Time runs from just before a system's process
starts, so imports, Ray's start and the preparation of the data count; only the texts are tokenized beforehand for all,
and every package was read from disk once. A system that does not reach an accuracy is counted with the time limit and
shown as ">limit". Needs `make benchmark-environment`, and Linux.
"""

import csv
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_io import options, show
from peers.task import COLUMNS, Job

from tuner.data import Split, load_dataset
from tuner.machine import usable_cpus
from tuner.settings.data import DataConfig

NAME = "time_to_accuracy"
TARGETS = (0.80, 0.83, 0.85)
SYSTEMS = {  # ours first
    "tuner": "ours.py",
    "Ray Tune": "bare_ray_tune.py",
    "KerasTuner": "keras_tuner_hyperband.py",
    "Optuna": "optuna_alone.py",
}
PEERS = Path(__file__).resolve().parent / "peers"
GRACE_S = 10.0  # for a system to end by itself
QUIET = {
    "CUDA_VISIBLE_DEVICES": "-1",  # cores are compared
    "RAY_USAGE_STATS_ENABLED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclass(frozen=True)
class Form:
    """How much, how often and how long."""

    sample: int  # reviews: 70 % of them to train on, 10 % to validate
    seeds: int
    limit_s: float


SHORT = Form(sample=6_000, seeds=1, limit_s=140)
FULL = Form(sample=8_000, seeds=3, limit_s=80)


def main() -> None:
    """Runs every system with every seed and shows the medians."""
    given = options(__doc__)
    form = FULL if given.full else SHORT
    logs = given.out / NAME
    logs.mkdir(parents=True, exist_ok=True)
    read_packages()
    times: dict[str, list[Mapping[float, float]]] = {system: [] for system in SYSTEMS}
    for seed in range(form.seeds):
        with tempfile.TemporaryDirectory() as folder:
            data = write_reviews(Path(folder) / "reviews.npz", form.sample, seed)
            for system in rotated(list(SYSTEMS), seed):
                log = logs / f"{SYSTEMS[system].removesuffix('.py')}-{seed}.csv"
                reached = run(system, data, log, seed, form)
                times[system].append(reached)
                say(f"seed {seed}, {system}: {described(reached, form.limit_s)}")
    show(NAME, [row(target, times, form) for target in TARGETS], given.out)


def read_packages() -> None:
    """Has the first system not be the one that reads everybody's packages from disk."""
    packages = "import keras, keras_tuner, optuna, ray.tune, tensorboard, tensorflow"
    done = subprocess.run([sys.executable, "-c", packages], capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        raise SystemExit(f"{reason}; install the extra `benchmark`")


def write_reviews(path: Path, sample: int, seed: int) -> Path:
    """The split that tuner makes of this seed, for the peers; tuner finds it in its cache."""
    splits = load_dataset(DataConfig(source="imdb-train", sample=sample, seed=seed)).splits
    np.savez(
        path,
        **{
            f"{split}_{part}": getattr(splits[split], part)
            for split in (Split.TRAIN, Split.VALIDATION)
            for part in ("tokens", "offsets", "labels")
        },
    )
    return path


def rotated(systems: Sequence[str], seed: int) -> list[str]:
    """Another system goes first with every seed."""
    first = seed % len(systems)
    return [*systems[first:], *systems[:first]]


def run(system: str, data: Path, log: Path, seed: int, form: Form) -> dict[float, float]:
    """Seconds until each target was reached, those that were."""
    log.write_text(",".join(COLUMNS) + "\n")
    with scratch_folder() as scratch, open(log.with_suffix(".log"), "wb") as output:
        job = Job(
            data=str(data),
            sample=form.sample,
            seed=seed,
            cores=usable_cpus(),
            limit_s=form.limit_s,
            scratch=scratch,
            log=str(log.resolve()),
            started=time.time(),
        )
        process = subprocess.Popen(
            [sys.executable, str(PEERS / SYSTEMS[system]), job.to_command_line()],
            env={**os.environ, **QUIET, "RAY_TMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait(process, log, job.started + form.limit_s)
        finally:
            end(process)
    return seconds_to_targets(log, form.limit_s)


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder with a short path, because Ray's sockets lie below it."""
    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait(process: subprocess.Popen[bytes], log: Path, until: float) -> None:
    """Returns when the largest target is reached or time is up.

    Raises:
        RuntimeError: the system ended by itself, or trained nothing: it is broken, not slow.
    """
    while time.time() < until and max(TARGETS) not in seconds_to_targets(log, float("inf")):
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}; see {log.with_suffix('.log')}")
        time.sleep(0.2)
    if not epochs(log):
        raise RuntimeError(f"not one epoch ended in time; see {log.with_suffix('.log')}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all that it started; kills those that do not end by themselves.

    Raises:
        RuntimeError: something survived, and would slow the next system down.
    """
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    until = time.time() + GRACE_S
    while left := in_session(process.pid):
        if time.time() > until:
            raise RuntimeError(f"processes {left} cannot be ended")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()  # takes it away once it is dead
        time.sleep(0.2)


def in_session(session: int) -> list[int]:
    """Processes of a session: Ray's daemons leave the process group, but not the session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == session:
                    found.append(int(entry.name))
    return found


def epochs(log: Path) -> list[tuple[float, float]]:
    """Seconds and validation accuracy of every epoch so far."""
    with open(log, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val_accuracy"]]
    return [(float(row["seconds"]), float(row["val_accuracy"])) for row in rows]


def seconds_to_targets(log: Path, limit_s: float) -> dict[float, float]:
    """Seconds until each target was reached, those that were within the limit."""
    reached = {}
    for target in TARGETS:
        times = [s for s, accuracy in epochs(log) if accuracy >= target and s <= limit_s]
        if times:
            reached[target] = min(times)
    return reached


def row(
    target: float, times: Mapping[str, Sequence[Mapping[float, float]]], form: Form
) -> dict[str, object]:
    """A target's row: median seconds of each system, and how many times ours the best peer's are."""
    medians = {
        system: statistics.median(reached.get(target, form.limit_s) for reached in of_system)
        for system, of_system in times.items()
    }
    ours, *peers = medians.values()
    sign = ">" if min(peers) >= form.limit_s else ""
    return {
        "reviews": form.sample,
        "seeds": form.seeds,
        "val_accuracy": target,
        **{f"{system} (s)": in_words(median, form.limit_s) for system, median in medians.items()},
        "best peer / tuner": "" if ours >= form.limit_s else f"{sign}{min(peers) / ours:.1f}",
    }


def in_words(seconds: float, limit_s: float) -> str:
    """Seconds, or that the limit was too short."""
    return f"{seconds:.0f}" if seconds < limit_s else f">{limit_s:.0f}"


def described(reached: Mapping[float, float], limit_s: float) -> str:
    """The result of one run, in one line."""
    return ", ".join(
        f"{target:.2f} in {in_words(reached.get(target, limit_s), limit_s)} s" for target in TARGETS
    )


def say(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
