"""Many kills over everything that a search needs, in rounds that can be continued at any time.

    TUNER_FAULT_KILLS=1000 PYTHONPATH=. python tests/faults/kill_series.py FOLDER

A round is one search that is hurt some times in one way, then runs to its end and is checked. FOLDER/rounds.jsonl gets
one line per round; the same command goes on until it has so many kills, and prints the sums of all rounds. Without the
variable it is about 30 kills. TUNER_FAULT_SEARCHES rounds (3) run at once. TUNER_FAULT_KINDS names some of the ways
alone, with spaces between. They are:

    driver    SIGKILL of the search
    worker    of a process that trains a trial
    raylet    of Ray's daemon on this node
    head      of Ray's head, the GCS
    host      of all processes at once, in a namespace of their own; needs root
    storage   S3, which run folder and checkpoints are copied to, gives no answer for a while
    database  MLflow's SQLite file is locked by somebody else for a while
"""

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.killing import (
    Search,
    Tally,
    end,
    kill_at_random,
    kill_worker,
    toy,
)
from faults.outages import locked, mirror_problems, mlflow_problems, s3_server
from support.commands import TUNER
from support.searches import write_sentences

from tuner.run import Run
from tuner.settings.places import working_copy

KILLS = int(os.environ.get("TUNER_FAULT_KILLS", "30"))
LIMIT_S = 900.0  # of a search that hangs; the machine may be busy
SEARCHES = int(os.environ.get("TUNER_FAULT_SEARCHES", "3"))
WITHIN_S = 16.0  # of a search's start; of a daemon's, as much less as Ray needs to start
_A_HOST = (*["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"], *TUNER)


@dataclass(frozen=True)
class Round:
    """One search to hurt."""

    search: Search
    kills: int
    seed: int
    tally: Tally

    @property
    def chance(self) -> random.Random:
        """The round's own."""
        return random.Random(self.seed)


def drivers(this: Round) -> None:
    """Kills the search at any moment."""
    kill_at_random(this.search, this.kills, this.seed, WITHIN_S, this.tally)


def hosts(this: Round) -> None:
    """The same, with all its processes: when the first one of a namespace ends, all others do."""
    this.search.command = _A_HOST
    drivers(this)


def raylets(this: Round) -> None:
    """See `_daemons`."""
    _daemons("raylet", this)


def heads(this: Round) -> None:
    """See `_daemons`."""
    _daemons("gcs_server", this)


def _daemons(name: str, this: Round) -> None:
    """Kills a daemon of the search's own Ray, which ends the search with a message."""
    search, tally, chance = this.search, this.tally, this.chance
    while tally.kills < this.kills and not tally.problems:
        before = search.finished()
        process = search.start()
        while not (daemons := _children(process.pid, name)) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(chance.uniform(0.0, WITHIN_S - 4))
        with suppress(IndexError, ProcessLookupError):  # it was over before
            if process.poll() is None:
                os.kill(daemons[0], signal.SIGKILL)
                tally.kills += 1
        _, error = process.communicate(timeout=search.limit_s)
        if process.returncode == 0:
            search.enlarge()
        elif process.returncode != 1 or "Traceback" in error or not error.startswith("tuner: "):
            tally.problems.append(f"{name}: ended with {process.returncode}: {error[-1000:]}")
        after = search.finished()
        tally.lost += sum(after.get(number) != content for number, content in before.items())
    end(search, tally)


def _children(parent: int, name: str) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, rest = stat.read_text().split(" (", 1)
            comm, fields = rest.rsplit(") ", 1)
            if comm == name and int(fields.split()[1]) == parent:
                found.append(int(pid))
    return found


def workers(this: Round) -> None:
    """Kills processes of trials, none of which may be a trial's end."""
    chance = this.chance

    def hurt() -> bool:
        time.sleep(chance.uniform(0.5, 4.0))
        return kill_worker(this.search, chance)

    _hurt_while_it_runs(this, hurt)


def storage(this: Round) -> None:
    """Takes S3 away, where a search has everything that must outlive its machine."""
    chance, search = this.chance, this.search
    with s3_server() as s3:
        place = f"s3://{s3.bucket}/{search.folder.name}"
        search.environment = {**search.environment, **s3.environment}
        search.arguments = [*search.arguments, "--out", place, "--storage-path", place]
        search.run_folder = _working_copy(f"{place}/x", search.environment["TUNER_CACHE"])

        def hurt() -> bool:
            time.sleep(chance.uniform(0.5, 2.5))  # a write that is tried again needs some
            return s3.out_for(chance.choice((0.5, 1.0, 3.0)), is_silent=chance.random() < 0.5)

        _hurt_while_it_runs(this, hurt)
        this.tally.problems += mirror_problems(search.run, s3, f"{search.folder.name}/x")
    _check_that_none_ran_again(this)


def _working_copy(url: str, cache: str) -> Path:
    return Path(cache) / "runs" / working_copy(url).parent.name / "x"


def databases(this: Round) -> None:
    """Locks MLflow's database."""
    chance, search = this.chance, this.search
    database = search.folder / "m.db"
    search.arguments = [*search.arguments, "--mlflow", str(database)]

    def hurt() -> bool:
        time.sleep(chance.uniform(0.3, 0.8))
        lasts_s = chance.choice(
            (1.0, 1.0, 1.0, 1.0, 1.0, 7.0)
        )  # MLflow writes every second, and waits for 5
        return database.exists() and locked(database, lasts_s)

    _hurt_while_it_runs(this, hurt)
    search.start().communicate(timeout=search.limit_s)  # adds what is missing, if anything is
    this.tally.problems += mlflow_problems(search.run, database)
    _check_that_none_ran_again(this)


def _hurt_while_it_runs(this: Round, hurt: Callable[[], bool]) -> None:
    """Runs the search to its end and hurts it again and again meanwhile, until it was hurt often enough.

    Args:
        hurt: waits, then does it; False where there was nothing to hurt.
    """
    search, tally = this.search, this.tally

    def work(is_over: threading.Event) -> None:
        has_begun = len(search.finished())
        while not is_over.is_set() and len(search.finished()) == has_begun:
            is_over.wait(
                0.5
            )  # a search that begins is right to refuse a storage that does not answer
        while not is_over.is_set() and tally.kills < this.kills:
            tally.kills += hurt()

    while True:
        is_over = threading.Event()
        hurting = threading.Thread(target=work, args=(is_over,))
        hurting.start()
        try:
            end(search, tally)
        finally:
            is_over.set()
            hurting.join()
        if tally.kills >= this.kills or tally.problems:
            break
        search.enlarge()


def _check_that_none_ran_again(this: Round) -> None:
    trials = len(Run(this.search.run).study.get_trials(deepcopy=False))
    if trials != this.search.trials:
        this.tally.problems.append(f"{trials} trials, though no process was killed")


@dataclass(frozen=True)
class Kind:
    """A way to hurt, how much of it there is, and for which trials."""

    hurt: Callable[[Round], None]
    of_1000: int  # few where each needs a Ray of its own
    per_round: int
    trials: int = 12
    epoch_s: float = 0.05
    at_once: int = 1


KINDS = {
    "driver": Kind(drivers, 60, 10),
    "worker": Kind(workers, 130, 25, trials=40, at_once=2),
    "raylet": Kind(raylets, 60, 10),
    "head": Kind(heads, 60, 10),
    "host": Kind(hosts, 60, 10),
    "storage": Kind(storage, 300, 20, trials=20, epoch_s=0.5, at_once=2),
    "database": Kind(databases, 330, 42, trials=30, epoch_s=0.5),
}


_NAMED = os.environ.get("TUNER_FAULT_KINDS", "").split() or list(KINDS)


def wanted(kind: str) -> int:
    """How many kills of this kind the series has."""
    return -(-KILLS * KINDS[kind].of_1000 // 1000)


class Series:
    """All rounds, those of earlier starts as well; used by several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / "rounds.jsonl"
        self._lock = threading.Lock()
        self.rounds = (
            [json.loads(line) for line in self._record.open()] if self._record.exists() else []
        )
        self._begun: Counter[str] = Counter()  # kills of the rounds that run now
        self._next = len(self.rounds)

    def work(self) -> None:
        """Does rounds until none is missing."""
        while (chosen := self._choose()) is not None:
            kind, kills, number = chosen
            began = time.monotonic()
            tally = Tally()
            place = self._folder / f"{number:04}-{kind}"
            shutil.rmtree(place, ignore_errors=True)  # a round that was cut short
            try:
                _one_round(kind, kills, number, place, tally)
            except Exception as error:  # a search that does not even start is a finding
                tally.problems.append(repr(error))
            line = {"kind": kind, "seconds": round(time.monotonic() - began, 1), **vars(tally)}
            with self._lock:
                self._begun[kind] -= kills
                self.rounds.append(line)
                with self._record.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            print(number, json.dumps(line), flush=True)
            if not tally.problems and not tally.lost and not tally.doubled:
                shutil.rmtree(place)

    def _choose(self) -> tuple[str, int, int] | None:
        """The kind of which most is missing, how many kills, and the round's number."""
        with self._lock:
            done = Counter(self._begun)
            for each in self.rounds:
                done[str(each["kind"])] += int(each["kills"])
            kind = min(_NAMED, key=lambda name: done[name] / wanted(name))
            missing = wanted(kind) - done[kind]
            if missing <= 0:
                return None
            kills = min(missing, KINDS[kind].per_round)
            self._begun[kind] += kills
            self._next += 1
            return kind, kills, self._next - 1


def _one_round(kind: str, kills: int, seed: int, folder: Path, tally: Tally) -> None:
    """One search, hurt and checked."""
    how = KINDS[kind]
    folder.mkdir(parents=True)
    write_sentences(folder)
    (folder / "space.yaml").write_text(toy(how.epoch_s).to_yaml(), encoding="utf-8")
    arguments = ["space.yaml", "--data", "sentences.csv", "--trainer", "toy", "--retries", "100"]
    arguments += ["--max-concurrent", str(how.at_once)]
    environment = {"TUNER_CACHE": str(folder / "cache"), "RAY_prestart_worker_first_driver": "0"}
    search = Search(folder, arguments, how.trials, environment, limit_s=LIMIT_S)
    how.hurt(Round(search, kills, seed, tally))


def main() -> None:
    """Goes on with the rounds in the folder that the command line names."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    series = Series(folder)
    threads = [threading.Thread(target=series.work, daemon=True) for _ in range(SEARCHES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _show(series.rounds)


def _show(rounds: Sequence[Mapping[str, object]]) -> None:
    print(f"{'kind':10} {'kills':>6} {'lost':>5} {'doubled':>8} {'problems':>9} {'minutes':>8}")
    for kind in (*KINDS, "all"):
        of_kind = [each for each in rounds if kind in (each["kind"], "all")]
        kills, lost, doubled = (sum(e[n] for e in of_kind) for n in ("kills", "lost", "doubled"))  # type: ignore[misc]
        problems = sum(len(each["problems"]) for each in of_kind)  # type: ignore[arg-type]
        minutes = sum(each["seconds"] for each in of_kind) / 60  # type: ignore[misc]
        print(f"{kind:10} {kills:6} {lost:5} {doubled:8} {problems:9} {minutes:8.1f}")


if __name__ == "__main__":
    main()
