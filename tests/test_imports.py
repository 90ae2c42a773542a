"""The commands that only read must start at once: they load neither Ray nor Keras nor TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.studies import open_study, run_trial

from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.settings.config import make_config
from tuner.settings.space import SearchSpace

HEAVY = {"ray", "keras", "tensorflow", "scipy"}

# Loaded modules are printed when the command is through, however it ends.
_RUN = """
import atexit, json, sys
atexit.register(lambda: print("LOADED", json.dumps(sorted({m.partition(".")[0] for m in sys.modules}))))
sys.argv = ["tuner", *sys.argv[1:]]
from tuner.cli import main
sys.exit(main())
"""


def run(folder: Path, *arguments: str) -> tuple[int, set[str], str]:
    """Exit code, loaded top-level modules and everything printed of `tuner` with `arguments`."""
    ended = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], cwd=folder, capture_output=True, text=True
    )
    printed, _, loaded = ended.stdout.rpartition("LOADED ")
    return ended.returncode, set(json.loads(loaded)), printed + ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("search", "--help"), ("spaces",), ("spaces", "seed"), ("data", "--help")],
)
def test_reading_commands_load_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, loaded, printed = run(tmp_path, *arguments)
    assert code == 0, printed
    assert not loaded & HEAVY
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["leaderboard", "status", "watch", "dashboard"])
def test_no_run_is_refused_without_loading_anything_heavy(tmp_path: Path, command: str) -> None:
    code, loaded, printed = run(tmp_path, command, "runs/missing")
    assert code == 2, printed
    assert "runs/missing" in printed
    assert not loaded & HEAVY


def test_watching_loads_nothing_heavy(tmp_path: Path, space: SearchSpace) -> None:
    config = make_config({"space": space, "out": str(tmp_path), "name": "x"})
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    open_study(folder.journal, space)
    code, loaded, printed = run(tmp_path, "watch", "x")
    assert code == 0, printed
    assert printed.startswith("No search is running in x.\nrun         x\nstate       stopped;")
    assert not loaded & HEAVY


def test_a_report_loads_nothing_heavy(tmp_path: Path, space: SearchSpace) -> None:
    run_trial(open_study(tmp_path / "mine" / "study.journal", space), 0.6)
    code, loaded, printed = run(tmp_path, "report", "mine")
    assert (code, printed) == (0, "Report: mine/report.html\n")
    assert not loaded & (HEAVY - {"scipy"})  # Optuna's drawings import it where it is installed


def test_help_loads_neither_optuna_nor_pandas(tmp_path: Path) -> None:
    code, loaded, printed = run(tmp_path, "--help")
    assert code == 0, printed
    assert not loaded & {"optuna", "pandas", "pyarrow", "plotly", "jinja2", "yaml"}


def test_the_package_itself_loads_nothing_heavy(tmp_path: Path) -> None:
    program = "import sys, tuner; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert not HEAVY & set(ended.stdout.split())
