"""`tuner` itself: its help, its refusals, its exit codes."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.commands import TUNER, Call, Ended

from tuner import cli
from tuner.cli import commands
from tuner.errors import SearchError
from tuner.execution import search


def test_tuner_alone_prints_its_help(call: Call) -> None:
    ended = call()
    assert (ended.code, ended.err) == (0, "")
    for command in ("search", "leaderboard", "spaces", "data", "doctor"):
        assert command in ended.out
    assert call("--help").out.split() == ended.out.split()


def test_every_command_and_option_has_help(call: Call) -> None:
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        shown = [option for option in command.params if not getattr(option, "hidden", False)]
        assert [option.name for option in shown if not option.help] == []
        assert [option.help for option in shown if not option.help.endswith(".")] == []
        ended = call(name, "--help")
        assert (ended.code, ended.err) == (0, "")
        assert "<" not in ended.out  # `<list[str]>`, where nothing else was written
        assert command.help.split()[0] in ended.out


def test_the_version_is_the_installed_one(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"1.2.3 of {name}")
    assert call("--version") == Ended(0, "tuner 1.2.3 of sequence-tuner\n", "")


def test_the_package_can_be_run() -> None:
    command = [sys.executable, "-m", "tuner", "serach"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "tuner: serach: no such command; did you mean search?\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serach",), "serach: no such command; did you mean search?"),
        (("pakc",), "pakc: no such command; see `tuner --help`"),  # `pack` is hidden
        (("--loud",), "--loud: no such option; see `tuner --help`"),
        (("search", "-x"), "-x: no such option; see `tuner search --help`"),
        (("search", "seed", "--trails", "3"), "--trails: no such option; did you mean --trials?"),
        (("search", "--trainr", "toy"), "--trainr: no such option; did you mean --"),
        (("search", "seed", "--trials", "many"), "--trials: must be a whole number, got 'many'"),
        (("search", "seed", "--cpus-per-trial", "x"), "--cpus-per-trial: must be a number, got"),
        (("search", "seed", "--trials"), "--trials: needs a value; write one after it"),
        (("confirm",), "RUN: is missing; see `tuner confirm --help`"),
        (("confirm", "x", "--top", "0"), "--top: must be greater than or equal to 1, got '0'"),
        (
            ("confirm", "x", "--train-on", "all"),
            "--train-on: must be 'train' or 'train+validation', got 'all'",
        ),
        (("search", "--tensorboard=yes"), "--tensorboard: takes no value; leave it out"),
        (("train",), "CONFIG: is missing; see `tuner train --help`"),
        (("confirm", "a", "b c"), "b c: is one argument too many; put an argument with"),
        (("search",), "a search needs a space; name a YAML file or a built-in, e.g. seed"),
        (("search", "sed"), "'sed' is neither a file nor a built-in space; did you mean seed?"),
        (
            ("search", "seed", "--trials", "0"),
            "--trials: must be greater than or equal to 1, got '0'",
        ),
        (("search", "seed", "--time-budget", "0"), "--time-budget: must be above zero, got '0'"),
        (("search", "seed", "--name", "../x"), "--name: must be letters, digits"),
        (("search", "seed", "--name", "a/b"), "--name: must be letters, digits"),
        (("search", "seed", "--tokens", "bytes"), "--tokens: must be 'words', 'characters' or"),
        (
            ("search", "seed", "--sampler", "grid"),
            "--sampler: must be 'mixed', 'tpe' or 'random', got 'grid'",
        ),
        (
            ("search", "seed", "--mlflow", "ftp://x"),
            "--mlflow: must be http://host:port, sqlite:///",
        ),
        (("search", "seed", "--config", "no.yaml"), "no.yaml: cannot be read: No such file"),
        (("search", "x\ny\x1b[2J.yaml"), "x y�[2J.yaml: no such file; write a YAML file's path"),
        (("spaces", "nope"), "'nope' is neither a file nor a built-in space; write a YAML file's"),
        (("spaces", "no.yaml"), "no.yaml: no such file; write a YAML file's path or one of"),
        (("leaderboard",), "name one or several run folders; `tuner search` makes one"),
        (("leaderboard", "runs/no"), "runs/no: no such run folder; `tuner search` makes one"),
        (("leaderboard", "."), ".: not a run folder (no study.journal in it)"),
        (
            ("leaderboard", "x", "--format", "xml"),
            "--format: must be one of 'table', 'csv', 'json'",
        ),
        (("leaderboard", "x", "--top", "0"), "--top: must be greater than or equal to 1, got"),
        (("report",), "name one or several run folders; `tuner search` makes one"),
        (("report", "runs/no"), "runs/no: no such run folder; `tuner search` makes one"),
        (("report", "x", "--format", "xml"), "--format: must be one of 'html', 'markdown', 'png'"),
        (("report", "x", "--figure", "slices"), "--figure: html has all of them; write --format"),
        (("data", "no.csv"), "no.csv: there is no such file"),
        (("data", "--tokens", "foo"), "--tokens: must be 'words', 'characters' or 'symbols'"),
        (("data", "imdb-trian"), "did you mean imdb-train?"),
        (("data", "imdb-train", "--sample", "0"), "--sample: must be greater than or equal to 1"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_and_leaves_nothing(
    call: Call, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in call(*arguments).refusal
    assert list(folder.iterdir()) == []


def test_a_misspelt_flag_never_names_a_hidden_one(call: Call) -> None:
    for flag in ("--trainr", "--trane", "--trainers"):
        assert "--trainer?" not in call("search", flag, "x").refusal


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SearchError("every trial\nfailed \x1b[31mthe same way"), 1, "every trial failed �[31mthe"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 0, ""),
        (OSError(errno.EIO, "Input/output error", "/mnt/x"), 1, "[Errno 5] Input/output error"),
    ],
)
def test_the_exit_code_shows_how_a_command_ended(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    def fail(**options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(commands.os, "dup2", lambda *descriptors: None)
    ended = call("search")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"tuner: {line}" if line else "")
    assert ended.err.count("\n") == (1 if line else 0)


@pytest.mark.slow
@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [["spaces"], ["search", "--help"]])
def test_a_reader_that_goes_early_is_no_failure(arguments: list[str], buffering: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": buffering}
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        ended = subprocess.run(
            [*TUNER, *arguments], stdout=gone, stderr=subprocess.PIPE, env=environment
        )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_bug_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_data_is_read_ends_a_search_in_good_order(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    monkeypatch.setattr(search, "load_dataset", lambda *_, **__: os.kill(os.getpid(), number))
    try:
        ended = call("search", "seed")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert (ended.code, ended.err) == (code, "tuner: stopped before the first trial\n")
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_python_m_tuner_imports_nothing_of_the_current_folder(tmp_path: Path) -> None:
    for name in ("random", "typing", "keras", "pydantic", "typer", "yaml"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the folder's {name}.py')")
    command = [sys.executable, "-m", "tuner", "spaces"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "quickstart" in ended.stdout
    # With `-P` no folder comes first, and none is left out.
    safe = subprocess.run(
        [sys.executable, "-P", *command[1:]], cwd=tmp_path, capture_output=True, text=True
    )
    assert (safe.returncode, safe.stdout) == (0, ended.stdout)
