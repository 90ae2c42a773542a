"""A request that cannot be met: one line on standard error, exit code 2, nothing left behind."""

import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.commands import run_tuner

from tuner.cli import main
from tuner.errors import ConfigError
from tuner.run.folder import RunFolder
from tuner.search.starters import with_starters
from tuner.settings.config import SearchConfig

GOOD_SPACE = """
name: good
architectures:
  lstm:
    lstm_units: {int: [8, 32]}
"""


def rows(count: int = 40, label: Callable[[int], str] = lambda n: "ab"[n % 2]) -> str:
    return "text,label\n" + "".join(f"text number {n},{label(n)}\n" for n in range(count))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "good.yaml").write_text(GOOD_SPACE, encoding="utf-8")
    (work / "good.csv").write_text(rows(), encoding="utf-8")
    return work


def refusal(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> str:
    """The one line that `tuner search …` prints on standard error, with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["tuner", "search", *arguments.split()])
    with pytest.raises(SystemExit, match=r"^2$"):
        main()
    _, error = capfd.readouterr()
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (rows(), "--label-column nothing", "no column 'nothing'; its columns are 'text', 'label'"),
        (rows(), "--text-column nothing", "no column 'nothing'; its columns are 'text', 'label'"),
        ("a,b,c\n1,2,3\n", "", "bad.csv.*column"),
        ("", "", "bad.csv: the file has no rows"),
        ("text,label\n", "", "bad.csv: the file has no rows"),
        (rows(label=lambda n: "a"), "", "there must be two classes or more"),
        (rows(label=lambda n: "rare" if n == 0 else "ab"[n % 2]), "", "rare"),
        (rows().encode("utf-16")[:-1], "", "bad.csv.*UTF-8"),
        ('text,label\n"open,a\n', "", "bad.csv"),
        (rows(), "--sample 0", "--sample: must be greater"),
        (rows(), "--out s3://", "--out: must be a path, or a URL such as s3://bucket/folder"),
        (rows(), "--out s3:/bucket", "--out: must be a path, or a URL such as s3://bucket/folder"),
        (rows(), "--storage-path S3://b", "--storage-path: must be a path, or a URL"),
        (rows(), "--storage-path nonsense://x", "nonsense://x.*Protocol not known: nonsense"),
        (rows(), "--storage-path /dev/null/x", "/dev/null/x.*Not a directory"),
    ],
)
def test_data_that_cannot_be_used(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    content: str | bytes,
    arguments: str,
    message: str,
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "bad.csv").write_bytes(data)
    error = refusal(f"good.yaml --data bad.csv {arguments}", monkeypatch, capfd)

    assert re.search(message, error), error
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("name: x\narchitectures: {lstm: {lstm_units: {int: [32, 8]}}}", "low must be below high"),
        ("name: x\narchitecturs: {lstm: {}}", "architectur"),
        ("name: x\narchitectures: {lstn: {}}", "did you mean lstm"),
        ("name: x\narchitectures: {lstm: {units: 3}}", "no such parameter"),
        (GOOD_SPACE + "baselines: [{architecture: lstm, lstm_units: 64}]", "must lie inside"),
        ("name: !!python/object:os.system x", "line 1"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
                for old, new in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "aliases expand",
        ),
        ("name: [", "not valid YAML"),
    ],
)
def test_spaces_that_cannot_be_searched(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    space: str,
    message: str,
) -> None:
    (folder / "bad.yaml").write_text(space, encoding="utf-8")
    assert message in refusal("bad.yaml --data good.csv", monkeypatch, capfd)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nothing.yaml", "no such file"),
        ("good.yaml --data nothing", "no data set or file"),
        ("good.yaml --data good.csv --time-budget soon", "--time-budget: must be a duration"),
        ("good.yaml --data good.csv --max-epochs 0", "--max-epochs: must be"),
        ("good.yaml --data good.csv --objectives weights", "--objectives: must be METRIC,COST"),
        ("good.yaml --data good.csv --objectives val_accuracy,seconds", "--objectives: the second"),
        ("good.yaml --data good.csv --objectives val_f1,weights", "write val_accuracy,weights, or"),
        (
            "good.yaml --data good.csv --objectives val_accuracy,weights --pruner halving",
            "--pruner: must be none with two objectives",
        ),
        ("good.yaml --data good.csv --cpus-per-trial 0", "--cpus-per-trial: must be"),
        ("good.yaml --data good.csv --cpus-per-trial 999", "got 999"),
    ],
)
def test_requests_that_cannot_be_met(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    assert message in refusal(arguments, monkeypatch, capfd)
    assert not (folder / "runs").exists()


def test_an_architecture_that_cannot_be_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "own.yaml").write_text("name: x\narchitectures: {nowhere:build: {}}", "utf-8")
    assert "nowhere" in refusal("own.yaml --data good.csv", monkeypatch, capfd)
    assert not (folder / "runs").exists()


def test_several_runs_to_learn_from_are_asked_for_and_one_that_is_not_there_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[SearchConfig] = []

    def search(config: SearchConfig, listener: object) -> None:
        asked.append(config)
        with_starters(RunFolder(config.folder), config)
        raise ConfigError("nothing to learn from")

    monkeypatch.setattr("tuner.execution.search.run_search", search)
    monkeypatch.setattr("tuner.execution.fork_server.fork_server", nullcontext)
    error = refusal(
        "good.yaml --data good.csv --learn-from no/a --learn-from no/b", monkeypatch, capfd
    )
    assert "tuner: --learn-from: no/a: no such run folder" in error
    assert "nothing to learn from" in refusal("good.yaml --data good.csv", monkeypatch, capfd)
    several, none = [each.starters for each in asked]
    assert several is not None
    assert several.learn_from == ("no/a", "no/b")
    assert none is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("test no-run --text-column body", "--text-column: describes --data, which is not given"),
        ("test no-run --encoding cp1252", "--encoding: describes --data, which is not given"),
        ("predict no-model a --encoding cp1252", "--encoding: describes --input, which is not"),
        ("predict no-model a --text-column b", "--text-column: describes --input, which is not"),
        ("data --sample 5", "--sample: describes NAME|PATH, which is not given"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    refused = run_tuner(arguments.split(), capsys).refusal
    assert refused.startswith(message)
    assert refused.endswith("; give both, or leave this out")
