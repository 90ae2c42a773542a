"""A search as the first process of a container, with the 64 MB of shared memory that Docker gives one."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.searches import begin, toy_command, wait_for_trial

from tuner.run import Run
from tuner.run.records import StudyReader, counts_as_finished
from tuner.run.sessions import SessionEnd


def _can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--pid", "--mount", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(not _can_unshare(), reason="needs root's right to make namespaces"),
]

_CONTAINER = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child", "sh", "-ec"]
_SMALL = 'mount -t tmpfs -o size=64m none /dev/shm; exec "$@"'


def _children(parent: int) -> dict[int, str]:
    """The children of a process, and the letter of each one's state."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found[int(stat.parent.name)] = fields[0]
    return found


def test_a_search_as_process_1_with_64_mb_of_shared_memory_runs_and_ends_on_sigterm(
    tmp_path: Path, sentences: Path
) -> None:
    # Where a process of a trial dies, its children are the first process' to bury.
    faults = {**os.environ, "TUNER_TOY_FAULTS": "1:crash"}
    command = toy_command(tmp_path, sentences, epoch_seconds=0.05)
    command += ["--trials", "500", "--max-concurrent", "1"]
    with begin([*_CONTAINER, _SMALL, "sh", *command], tmp_path, env=faults) as container:
        wait_for_trial(3, container)
        (first,) = _children(container.pid)
        assert [pid for pid, state in _children(first).items() if state == "Z"] == []
        os.kill(first, signal.SIGTERM)
        _, error = container.communicate(timeout=240)
    assert container.returncode == 143, error
    run = Run(tmp_path / "runs" / "x")
    assert [s.record.reason for s in StudyReader(run.study).sessions] == [SessionEnd.INTERRUPTED]
    assert sum(map(counts_as_finished, run.study.trials)) >= 2
