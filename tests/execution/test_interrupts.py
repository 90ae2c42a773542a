"""Signals, a closed terminal, `tuner stop`: a search ends at once, in good order, and can be continued."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.searches import TUNER, begin, make, toy_command, toy_space, wait_for_trial

from tuner.execution.search import run_search
from tuner.run import Run
from tuner.run.records import StudyReader, counts_as_finished
from tuner.run.sessions import SessionEnd
from tuner.run.state import Activity, read_run_state

pytestmark = pytest.mark.ray


def _session_ends(run: Run) -> list[SessionEnd | None]:
    return [session.record.reason for session in StudyReader(run.study).sessions]


def _has_forked_workers(driver: int) -> bool:
    """Whether a process that trains was forked, and not started by Ray; where there is no fork, always."""
    if sys.platform != "linux":
        return True
    servers = [pid for pid, parent, name in _processes() if parent == driver and "python" in name]
    return any(parent in servers and name.startswith("ray::") for _, parent, name in _processes())


def _processes() -> Iterator[tuple[int, int, str]]:
    """The id, the parent's id and the name of each process."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            pid, _, rest = file.read_text(encoding="utf-8").partition(" (")
            name, _, more = rest.rpartition(") ")
            yield int(pid), int(more.split()[1]), name


@pytest.fixture
def hangups_are_not_ignored() -> Iterator[None]:
    """Also where the tests run under `nohup`: a process inherits the signals that its parent ignores."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_an_interrupted_search_ends_at_once_keeps_finished_trials_and_continues(
    sentences: Path, tmp_path: Path, without_ray: None
) -> None:
    """Ctrl-C, then the same command again, then what `timeout` does, then the rest; SIGHUP is below."""
    command = [*toy_command(tmp_path, sentences, epoch_seconds=0.1), "--max-concurrent=1"]
    kept: set[int] = set()
    ends: list[SessionEnd] = []
    for signal_number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        search = begin([*command, "--trials", "500"], tmp_path, start_new_session=True)
        wait_for_trial(len(kept) + 2, search)
        os.killpg(search.pid, signal_number)  # as a terminal's Ctrl-C does
        out, error = search.communicate(timeout=240)
        assert search.returncode == code, error
        assert "type the same command again to continue" in out
        assert error == ""
        run = Run(tmp_path / "runs" / "x")
        assert "running" not in set(run.leaderboard()["status"])
        ends.append(SessionEnd.INTERRUPTED)
        assert _session_ends(run) == ends
        before, kept = kept, {t.number for t in run.study.trials if counts_as_finished(t)}
        assert before < kept
    space = toy_space(epoch_seconds=0.1)
    again = run_search(make(space, sentences, tmp_path / "runs", name="x", trials=len(kept) + 3))
    trials = again.run.study.trials
    counted = {trial.number for trial in trials if counts_as_finished(trial)}
    assert kept <= counted
    assert len(counted) == len(kept) + 3
    retried = {trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs}
    assert retried == {trial.number for trial in trials} - counted
    assert _session_ends(again.run) == [*ends, SessionEnd.BUDGET_USED]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12, with threads
@pytest.mark.usefixtures("hangups_are_not_ignored")
def test_a_terminal_that_goes_ends_the_search_in_good_order(
    sentences: Path, tmp_path: Path
) -> None:
    command = toy_command(tmp_path, sentences, epoch_seconds=0.1)
    process, terminal = pty.fork()
    if not process:
        os.chdir(tmp_path)
        os.execv(command[0], [*command, "--trials", "500", "--max-concurrent", "1"])
    seen = b""
    while b"3 complete" not in seen:  # the live table
        seen += os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    run = Run(tmp_path / "runs" / "x")
    assert read_run_state(run).activity is Activity.STOPPED
    assert "running" not in set(run.leaderboard()["status"])
    assert _session_ends(run) == [SessionEnd.INTERRUPTED]


@pytest.mark.parametrize("after_s", [0.0, 1.5])
def test_a_sigterm_while_ray_starts_ends_the_search_with_143_and_leaves_nothing(
    sentences: Path, tmp_path: Path, after_s: float
) -> None:
    search = begin(toy_command(tmp_path, sentences, epoch_seconds=0.5), tmp_path)
    assert search.stdout is not None
    assert search.stdout.readline().startswith("reading the data and starting Ray")
    while not (tmp_path / "runs" / "x").exists():  # the data is read
        time.sleep(0.02)
    time.sleep(after_s)
    search.terminate()
    out, error = search.communicate(timeout=240)
    assert search.returncode == 143, error
    assert error == "tuner: stopped before the first trial\n" or "Stopped." in out
    assert (tmp_path / "runs" / "x").exists() == ("Stopped." in out)


def test_another_terminal_stops_a_search_and_it_continues(sentences: Path, tmp_path: Path) -> None:
    command = toy_command(tmp_path, sentences, epoch_seconds=0.1)
    search = begin([*command, "--trials", "500", "--max-concurrent", "1"], tmp_path)
    wait_for_trial(2, search)
    assert _has_forked_workers(search.pid)
    stop = subprocess.run(
        [*TUNER, "stop", "runs/x"], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    out, error = search.communicate(timeout=240)
    assert (search.returncode, error) == (0, "")
    assert "type the same command again to continue" in out
    assert stop.stdout.startswith(f"Stopped runs/x (process {search.pid} on ")
    state = read_run_state(Run(tmp_path / "runs" / "x"))
    assert state.activity is Activity.STOPPED
    assert state.running == ()
    assert _session_ends(Run(tmp_path / "runs" / "x")) == [SessionEnd.STOPPED]
