"""`tuner status` and `tuner stop`."""

from pathlib import Path

import pytest
from support.commands import Call, MakeRun

from tuner.run.folder import RunFolder
from tuner.run.lock import locked


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
