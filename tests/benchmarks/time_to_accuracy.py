"""Wall-clock until a search could hand over a model of some accuracy: tuner, Ray Tune, KerasTuner and Optuna alone.

Every system searches `space.yaml` on the same reviews with the same seed on all cores, alone on the machine, one after
the other, in another order with every seed, for the same time. The peers (in `peers/`) are written as their
documentation teaches it and train the tutorial's models in plain Keras. An incumbent is what a system would hand over
at that moment: the best model by validation reviews, and of tuner also the average that a search leaves. How often it
is right is measured afterwards, on reviews that chose nothing. tuner sets confirmation reviews aside, which its peers
learn from.

Time runs from just before a system's process starts, so imports, Ray's start and the preparation of the data count; the
start-up has a row of its own. Only the texts are tokenized beforehand for all, and every package was read from disk
once. A system that does not reach an accuracy is counted with the time limit and shown as ">limit". A run that has
ended is not repeated: the same command goes on. Needs `make benchmark-environment`, and Linux.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from benchmark_io import options, show, write_rows
from incumbents import OURS, Form, Searched, described, rows
from peers.task import Job

from tuner.data import Split, load_dataset
from tuner.data.load import read_rows
from tuner.machine import usable_cpus
from tuner.settings.data import DataConfig

NAME = "time_to_accuracy"
SYSTEMS = {  # ours first
    OURS: "ours.py",
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


SHORT = Form(
    name="short",
    reviews={"train": 4_000, "validation": 600, "confirmation": 600, "test": 3_000},
    targets=(0.80, 0.83, 0.86),
    seeds=1,
    limit_s=100,
)
FULL = Form(
    name="full",
    reviews={"train": 14_000, "validation": 1_500, "confirmation": 1_500, "test": 8_000},
    targets=(0.88, 0.90, 0.91),
    seeds=8,
    limit_s=480,
)


def main() -> None:
    """Runs every system with every seed and shows the medians."""
    given = options(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the system that runs would go on
    form = FULL if given.full else SHORT
    folder = given.out / NAME / form.name
    folder.mkdir(parents=True, exist_ok=True)
    read_packages()
    found: dict[str, list[Searched]] = {system: [] for system in SYSTEMS}
    for seed in range(form.seeds):
        with tempfile.TemporaryDirectory() as temporary:
            for system in rotated(list(SYSTEMS), seed):
                searched = run(system, Path(temporary), folder, seed, form)
                found[system].append(searched)
                say(f"seed {seed}, {system}: {described(searched, form)}")
    show(NAME, [*rows(found, form)], given.out)


def read_packages() -> None:
    """Has the first system not be the one that reads everybody's packages from disk."""
    packages = "import keras, keras_tuner, optuna, ray.tune, tensorboard, tensorflow"
    done = subprocess.run([sys.executable, "-c", packages], capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        raise SystemExit(f"{reason}; install the extra `benchmark`")


def write_reviews(folder: Path, form: Form, seed: int) -> tuple[Path, Path]:
    """The reviews of this seed: as sequences for the peers, and as texts, whose sequences tuner finds in its cache."""
    texts, data = folder / f"{seed}.csv", folder / f"{seed}.npz"
    if data.is_file():
        return data, texts
    every = read_rows(DataConfig(source="imdb-train"))
    order = np.random.default_rng(seed).permutation(len(every.labels))
    write_rows(texts, every, order, np.repeat(list(form.reviews), list(form.reviews.values())))
    splits = load_dataset(DataConfig(source=str(texts))).splits
    learned = {"train": (Split.TRAIN, Split.CONFIRMATION)}
    arrays = {}
    for name in ("train", "validation", "test"):
        parts = [splits[each] for each in learned.get(name, (Split(name),))]
        lengths = np.concatenate([part.lengths for part in parts])
        arrays[f"{name}_tokens"] = np.concatenate([part.tokens for part in parts])
        arrays[f"{name}_offsets"] = np.concatenate([[0], np.cumsum(lengths)])
        arrays[f"{name}_labels"] = np.concatenate([part.labels for part in parts])
    np.savez(data, **arrays)
    return data, texts


def rotated(systems: Sequence[str], seed: int) -> list[str]:
    """Another system goes first with every seed."""
    first = seed % len(systems)
    return [*systems[first:], *systems[:first]]


def run(system: str, temporary: Path, folder: Path, seed: int, form: Form) -> Searched:
    """Has a system search, unless it did, and measures its incumbents."""
    log = folder / f"{SYSTEMS[system].removesuffix('.py')}-{seed}.log"
    measured = log.with_suffix(".json")
    if not measured.is_file():
        data, texts = write_reviews(temporary, form, seed)
        with scratch_folder() as scratch, open(log.with_suffix(".out"), "wb") as output:
            log.write_text("")
            job = Job(
                data=str(data),
                texts=str(texts),
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
                wait(process, job)
            finally:
                end(process)
            subprocess.run(
                [sys.executable, str(PEERS / "accuracies.py"), job.to_command_line()],
                env={**os.environ, **QUIET},
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
    content = json.loads(measured.read_text(encoding="utf-8"))
    return Searched(content.pop("started"), content)


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder with a short path, because Ray's sockets lie below it."""
    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait(process: subprocess.Popen[bytes], job: Job) -> None:
    """Returns when time is up.

    Raises:
        RuntimeError: the system ended by itself, or has no incumbent: it is broken, not slow.
    """
    until = job.started + job.limit_s
    while time.time() < until:
        if process.poll() is not None and time.time() < until - GRACE_S:
            raise RuntimeError(f"it ended with {process.returncode}; see {job.log}")
        time.sleep(0.2)
    if not Path(job.log).read_text(encoding="utf-8"):
        raise RuntimeError(f"it trained nothing; see {job.log}")


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


def say(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
