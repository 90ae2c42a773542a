"""A full disk, a file in the way, a Ray that dies: the search prints why and can be continued."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.searches import begin, make, toy_command, toy_space, wait_for_trial

from tuner.errors import SearchError
from tuner.execution.search import run_search
from tuner.run import Run
from tuner.run.records import counts_as_finished
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.ray


def test_a_file_that_cannot_be_written_stops_the_search_with_the_reason(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    config = make(space, sentences, tmp_path, name="x", trials=3)
    (config.folder / "leaderboard.csv").mkdir(parents=True)
    with pytest.raises(
        SearchError, match=r"the search cannot continue: .*directory.*; finished trials are kept"
    ):
        run_search(config)
    (config.folder / "leaderboard.csv").rmdir()
    board = run_search(config).run.leaderboard()
    assert (board["status"].isin(["complete", "pruned"])).sum() >= 3


_FULL_DISK = """
import resource, sys
from pathlib import Path
from tuner.settings.config import make_config
from tuner.run.events import EventKind
from tuner.execution.search import run_search

config = make_config({"trials": 50, "out": sys.argv[3], "name": "x", "space": sys.argv[1],
                      "data": {"source": sys.argv[2]}, "trainer": "toy", "max_concurrent": 1})
journal = config.folder / "study.journal"

class FillsTheDisk:
    def on_event(self, event, state):
        if event.kind is EventKind.TRIAL_ENDED and state.finished == 4:
            size = journal.stat().st_size + 300
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

run_search(config, FillsTheDisk())
"""


def test_a_disk_that_is_full_stops_the_search_and_the_journal_stays_whole(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(space.to_yaml(), encoding="utf-8")
    arguments = [str(tmp_path / "space.yaml"), str(sentences), str(tmp_path / "runs")]
    ended = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, *arguments],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert "JournalLost: the journal cannot be written: [Errno 27] File too large" in ended.stderr
    run = Run(tmp_path / "runs" / "x")
    with open(run.folder / "leaderboard.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(None not in row and None not in row.values() for row in rows)  # no half row
    kept = {trial.number for trial in run.study.trials if counts_as_finished(trial)}
    assert len(kept) >= 4
    config = make(space, sentences, tmp_path / "runs", name="x", trials=len(kept) + 2)
    trials = run_search(config).run.study.trials
    counted = {trial.number for trial in trials if counts_as_finished(trial)}
    assert kept <= counted
    assert len(counted) == len(kept) + 2


@pytest.mark.parametrize("daemon", ["raylet", "gcs_server"])
def test_a_ray_that_dies_ends_the_search_with_a_message_and_it_continues(
    sentences: Path, tmp_path: Path, daemon: str, without_ray: None
) -> None:
    command = toy_command(tmp_path, sentences, epoch_seconds=0.1)
    search = begin([*command, "--trials", "500", "--max-concurrent", "1"], tmp_path)
    wait_for_trial(2, search)
    (pid,) = (pid for pid, name in children(search.pid) if name == daemon)
    os.kill(pid, signal.SIGKILL)
    _, error = search.communicate(timeout=240)
    assert search.returncode == 1
    assert error.startswith("tuner: Ray died (its ")
    assert error.endswith(" ended); finished trials are kept, the same command continues\n")
    kept = sum(counts_as_finished(trial) for trial in Run(tmp_path / "runs" / "x").study.trials)
    space = toy_space(epoch_seconds=0.1)
    again = run_search(make(space, sentences, tmp_path / "runs", name="x", trials=kept + 2))
    assert sum(counts_as_finished(trial) for trial in again.run.study.trials) == kept + 2


def children(parent: int) -> list[tuple[int, str]]:
    """Pids and names of a process' children (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = stat.read_text().split(" (", 1)
            name, fields = rest.rsplit(") ", 1)
            if int(fields.split()[1]) == parent:
                found.append((int(pid), name))
    return found
