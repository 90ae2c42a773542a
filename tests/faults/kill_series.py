"""Many kills over everything that a search needs, in rounds that can be continued at any time.

    TUNER_FAULT_KILLS=1000 PYTHONPATH=. python tests/faults/kill_series.py FOLDER

A round is one search that is hurt some times in one way, then runs to its end and is checked. FOLDER/rounds.jsonl gets
one line per round; the same command goes on until it has so many kills, and prints what all rounds came to. Without the
variable it is 28 kills, four of each kind. The ways:

    driver    SIGKILL of the search
    worker    of a process that trains a trial
    raylet    of Ray's daemon on this node
    head      of Ray's head, the GCS
    host      of all processes at once, in a namespace of their own; needs root
    storage   S3, which the checkpoints go to, answers nothing for some seconds
    database  MLflow's SQLite file is locked by somebody else for some seconds
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.killing import Search, Tally, kill_at_random
from faults.test_kills import TOY, kill_workers
from moto.server import ThreadedMotoServer
from support.commands import TUNER
from support.searches import write_sentences

from tuner.run import Run

KILLS = int(os.environ.get("TUNER_FAULT_KILLS", "28"))
A_ROUND = 4
TRIALS = 12
WITHIN_S = 12.0  # of a search's start, Ray's start included
OUTAGE_S = 6.0
_LIMIT_S = 280.0


# A host of its own: with its first process all others end.
ON_A_HOST = [*["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"], *TUNER]


def kill_daemon(search: Search, name: str, chance: random.Random, tally: Tally) -> None:
    """Kills a daemon of the search's own Ray, which ends the search with a message."""
    before = search.finished()
    process = search.start()
    time.sleep(chance.uniform(3.0, WITHIN_S))
    daemons = [pid for pid, comm in _children(process.pid) if comm == name]
    if daemons:
        os.kill(daemons[0], signal.SIGKILL)
    _, error = process.communicate(timeout=_LIMIT_S)
    if process.returncode == 1 and daemons:
        tally.kills += 1
    elif process.returncode == 0:
        search.trials += TRIALS // 3  # it was over before
    elif daemons or process.returncode != 0:
        tally.problems.append(f"{name}: ended with {process.returncode}: {error[-500:]}")
    after = search.finished()
    tally.lost += sum(after.get(number) != content for number, content in before.items())


def _children(parent: int) -> list[tuple[int, str]]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, rest = stat.read_text().split(" (", 1)
            comm, fields = rest.rsplit(") ", 1)
            if int(fields.split()[1]) == parent:
                found.append((int(pid), comm))
    return found


def outages(hurt: Callable[[], None], chance: random.Random, tally: Tally) -> threading.Event:
    """Hurts again and again, until the event that this gives is set."""
    is_over = threading.Event()

    def work() -> None:
        while tally.kills < A_ROUND and not is_over.wait(chance.uniform(8.0, WITHIN_S)):
            hurt()
            tally.kills += 1

    threading.Thread(target=work, daemon=True).start()
    return is_over


def _round(kind: str, folder: Path, seed: int, tally: Tally) -> None:
    """One search, hurt and checked."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    write_sentences(folder)
    (folder / "space.yaml").write_text(TOY.to_yaml(), encoding="utf-8")
    arguments = ["space.yaml", "--data", "sentences.csv", "--trainer", "toy", "--retries", "100"]
    arguments += ["--max-concurrent", "2"]
    environment = {"TUNER_CACHE": str(folder / "cache")}
    search = Search(folder, arguments, TRIALS, environment)
    match kind:
        case "driver":
            kill_at_random(search, A_ROUND, seed, WITHIN_S, tally)
        case "host":
            search.command = ON_A_HOST
            kill_at_random(search, A_ROUND, seed, WITHIN_S, tally)
        case "worker":
            search.trials = 4 * TRIALS
            kills = kill_workers(search, chance, every_s=2.0, most=A_ROUND)
            kill_at_random(search, 0, seed, 0.0, tally)
            tally.kills += kills()
        case "raylet" | "head":
            name = "raylet" if kind == "raylet" else "gcs_server"
            for _ in range(A_ROUND):
                kill_daemon(search, name, chance, tally)
            kill_at_random(search, 0, seed, 0.0, tally)
        case "storage":
            _storage_round(search, chance, tally)
        case "database":
            _database_round(search, chance, tally)


def _storage_round(search: Search, chance: random.Random, tally: Tally) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    aws = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    import boto3

    boto3.client(
        "s3", endpoint_url=aws["AWS_ENDPOINT_URL"], aws_access_key_id="nobody",
        aws_secret_access_key="nothing", region_name="us-east-1",
    ).create_bucket(Bucket="kills")  # fmt: skip
    search.environment = {**search.environment, **aws}
    search.arguments = [*search.arguments, "--storage-path", f"s3://kills/{search.folder.name}"]
    search.trials = 4 * TRIALS

    def stop_a_while() -> None:  # moto's servers share one memory
        nonlocal server
        server.stop()
        time.sleep(OUTAGE_S)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
        server.start()

    is_over = outages(stop_a_while, chance, tally)
    kill_at_random(search, 0, 0, 0.0, tally)
    is_over.set()
    server.stop()


def _database_round(search: Search, chance: random.Random, tally: Tally) -> None:
    database = search.folder / "m.db"
    search.arguments = [*search.arguments, "--mlflow", str(database)]
    search.trials = 4 * TRIALS

    def lock_a_while() -> None:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(OUTAGE_S)

    is_over = outages(lock_a_while, chance, tally)
    kill_at_random(search, 0, 0, 0.0, tally)
    is_over.set()
    search.start().communicate(timeout=_LIMIT_S)  # adds what is missing, if anything is
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT value FROM tags WHERE key = 'tuner.trial'").fetchall()
    numbers = [trial.number for trial in Run(search.run).study.get_trials(deepcopy=False)]
    if sorted(int(number) for (number,) in found) != numbers:
        tally.problems.append(f"MLflow has {len(found)} runs of {len(numbers)} trials")


KINDS = ("driver", "worker", "raylet", "head", "host", "storage", "database")


def main() -> None:
    """Goes on with the rounds in the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "rounds.jsonl"
    while True:
        rounds = [json.loads(line) for line in record.open()] if record.exists() else []
        if sum(each["kills"] for each in rounds) >= KILLS:
            break
        kind = KINDS[len(rounds) % len(KINDS)]
        place = folder / f"{len(rounds):04}-{kind}"
        shutil.rmtree(place, ignore_errors=True)  # a round that was cut short
        began = time.monotonic()
        tally = Tally()
        try:
            _round(kind, place, len(rounds), tally)
        except Exception as error:  # a search that does not even start is a finding
            tally.problems.append(repr(error))
        line = {"kind": kind, "seconds": round(time.monotonic() - began, 1), **vars(tally)}
        with record.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        if not tally.problems and not tally.lost and not tally.doubled:
            shutil.rmtree(place)
    _show(rounds)


def _show(rounds: list[Mapping[str, object]]) -> None:
    print(f"{'kind':10} {'kills':>6} {'lost':>5} {'doubled':>8} {'problems':>9} {'minutes':>8}")
    for kind in (*KINDS, "all"):
        of_kind = [each for each in rounds if kind in (each["kind"], "all")]
        kills, lost, doubled = (sum(e[n] for e in of_kind) for n in ("kills", "lost", "doubled"))  # type: ignore[misc]
        problems = sum(len(each["problems"]) for each in of_kind)  # type: ignore[arg-type]
        minutes = sum(each["seconds"] for each in of_kind) / 60  # type: ignore[misc]
        print(f"{kind:10} {kills:6} {lost:5} {doubled:8} {problems:9} {minutes:8.1f}")


if __name__ == "__main__":
    main()
