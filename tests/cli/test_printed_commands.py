"""Commands that are printed for a run with an architecture of a person's own name its module, without which they are
refused.
"""

import re
import shlex
from pathlib import Path

import pytest
from support.commands import Call, MakeRun

from tuner.execution.plan import SearchOutcome
from tuner.finalists.ranking import confirm_command
from tuner.report import summary
from tuner.report.reading import read_run
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.run.sessions import SessionEnd
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace
from tuner.terminal.outcome import print_outcome
from tuner.training import own_modules

MODULE = "my_models"


@pytest.fixture
def run(folder: Path, make_run: MakeRun) -> Run:
    """A run whose architecture is a person's own."""
    architectures = {f"{MODULE}:build": {"units": {"int": [1, 2]}}, "lstm": {}}
    space = SearchSpace.from_mapping({"name": "x", "architectures": architectures}, "x.yaml")
    path = make_run("mine", 0.5, 0.6, space=space)
    config = make_config({"space": space, "data": {"source": "empty.csv"}})
    write_run_file(RunFolder(folder / path), config, "data")
    (folder / "empty.csv").write_text("text,label\n", "utf-8")
    return Run(path)


def test_each_printed_command_is_accepted(
    run: Run, call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_outcome(SearchOutcome(run, SessionEnd.BUDGET_USED), run.recorded.config)
    printed = capsys.readouterr().out + call("status", str(run.folder)).out
    printed += "\n".join(summary.commands(read_run(run, "mine")))
    found = re.findall(r"tuner (?:confirm|search) [^(#\n]*", printed)
    assert len(found) == 4
    for command in found:
        arguments = shlex.split(command)[1:]
        for is_named in (False, True):
            monkeypatch.setattr(own_modules, "_named", set())
            at = arguments.index("--module")
            given = arguments if is_named else arguments[:at] + arguments[at + 2 :]
            ended = call(*given)  # which is refused for its data where its module is named
            assert ("is run only if you name it" in ended.err) is not is_named
            assert ("empty.csv" in ended.err) is is_named


def test_the_command_of_a_refusal_names_it(run: Run) -> None:
    assert confirm_command(run) == f"tuner confirm {run.folder} --module {MODULE}"
