"""The commands that only read must start at once: they load neither Ray nor Keras nor TensorFlow."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.studies import open_study, run_trial

from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace

HEAVY = {"ray", "keras", "tensorflow", "scipy"}

# Every command in a process forked from one that has imported what `tuner --help` imports, which is tested apart.
# Loaded modules are written when the command is through, however it ends.
_SERVER = """
import atexit, json, os, sys
from tuner.cli import main

def run(folder, arguments):
    os.chdir(folder)
    printed = os.open("printed", os.O_WRONLY | os.O_CREAT)
    os.dup2(printed, 1), os.dup2(printed, 2)
    sys.argv = ["tuner", *arguments]
    atexit.register(lambda: json.dump(sorted({m.partition(".")[0] for m in sys.modules}), open("loaded", "w")))
    sys.exit(main())

for line in sys.stdin:
    child = os.fork()
    if not child:
        run(*json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def server() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield server


Run = Callable[..., tuple[int, set[str], str]]


@pytest.fixture
def run(
    server: "subprocess.Popen[str]", tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Run:
    """Exit code, loaded top-level modules and everything printed of `tuner` with these arguments in `tmp_path`."""

    def _run(*arguments: str) -> tuple[int, set[str], str]:
        assert server.stdin
        assert server.stdout
        print(json.dumps([str(tmp_path), arguments]), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        printed, loaded = tmp_path / "printed", tmp_path / "loaded"
        ended = (code, set(json.loads(loaded.read_text())), printed.read_text())
        printed.unlink()
        loaded.unlink()
        return ended

    return _run


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("search", "--help"), ("spaces",), ("spaces", "seed"), ("data", "--help")],
)
def test_reading_commands_load_nothing_heavy(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, loaded, printed = run(*arguments)
    assert code == 0, printed
    assert not loaded & HEAVY
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["leaderboard", "status", "watch", "dashboard"])
def test_no_run_is_refused_without_loading_anything_heavy(run: Run, command: str) -> None:
    code, loaded, printed = run(command, "runs/missing")
    assert code == 2, printed
    assert "runs/missing" in printed
    assert not loaded & HEAVY


def test_watching_loads_nothing_heavy(run: Run, tmp_path: Path, space: SearchSpace) -> None:
    config = make_config({"space": space, "out": str(tmp_path), "name": "x"})
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    open_study(folder.journal, space)
    code, loaded, printed = run("watch", "x")
    assert code == 0, printed
    assert printed.startswith("No search is running in x.\nrun         x\nstate       stopped;")
    assert not loaded & HEAVY


@pytest.mark.slow
def test_a_report_loads_nothing_heavy(run: Run, tmp_path: Path, space: SearchSpace) -> None:
    run_trial(open_study(tmp_path / "mine" / "study.journal", space), 0.6)
    code, loaded, printed = run("report", "mine")
    assert (code, printed) == (0, "Report: mine/report.html\n")
    assert not loaded & (HEAVY - {"scipy"})  # Optuna's drawings import it where it is installed


def test_help_loads_neither_optuna_nor_pandas(run: Run) -> None:
    code, loaded, printed = run("--help")
    assert code == 0, printed
    assert not loaded & {"optuna", "pandas", "pyarrow", "plotly", "jinja2", "yaml"}


def test_the_package_itself_loads_nothing_heavy(tmp_path: Path) -> None:
    program = "import sys, tuner; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert not HEAVY & set(ended.stdout.split())
