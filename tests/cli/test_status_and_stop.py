"""`tuner status` and `tuner stop`."""

import threading
import time
from pathlib import Path

import pytest
from support.commands import Call, MakeRun

from tuner.cli.options import shown
from tuner.run.folder import RunFolder
from tuner.run.lock import claimed, locked, owner_of


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_missing_run_is_refused(call: Call, command: str) -> None:
    assert "runs/x: no such run folder" in call(command, "runs/x").refusal


def test_a_run_without_a_search_cannot_be_stopped(call: Call, make_run: MakeRun) -> None:
    run = make_run("a")
    assert "no search is running in it" in call("stop", run).refusal
    assert not (Path(run) / "logs" / "stop").exists()


def test_a_search_that_does_not_end_in_time_is_reported(call: Call, make_run: MakeRun) -> None:
    run = make_run("a")
    with locked(RunFolder(Path(run))):
        assert "--timeout: must be a duration" in call("stop", run, "--timeout", "soon").refusal
        ended = call("stop", run, "--timeout", "0.2s")
    assert "has not ended within" in ended.refusal


def test_a_search_that_is_just_starting_can_be_stopped(call: Call, tmp_path: Path) -> None:
    """Such as one that measures the memory of a GPU."""
    folder = RunFolder(tmp_path / "new")

    def search() -> None:
        with claimed(folder):
            while not folder.stop_request.exists():
                time.sleep(0.02)

    searching = threading.Thread(target=search)
    searching.start()
    while owner_of(folder) is None:
        time.sleep(0.02)
    assert "Stopped" in call("stop", str(folder.path)).out
    searching.join()
    assert not folder.path.exists()


def test_what_a_head_prints_cannot_command_the_terminal() -> None:
    assert shown("best\x1b]0;evil\x07 0.9\nlast\x1b[2J") == "best�]0;evil� 0.9\nlast�[2J"
