"""The README's blocks do what they say: commands parse, spaces load, Python runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.main import get_command

from tuner.cli import app
from tuner.run.leaderboard import _AFTER_PARAMETERS, _BEFORE_PARAMETERS, PARETO
from tuner.settings.builtin import builtin_space_names
from tuner.settings.space import SearchSpace

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def command_lines() -> list[list[str]]:
    """Every `tuner …` line of a shell block, as a shell would split it."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    parsed = [shlex.split(line.partition(" > ")[0], comments=True) for line in lines]
    return [words for words in parsed if words and words[0] == "tuner"]


def test_there_are_blocks_to_test() -> None:
    assert len(command_lines()) >= 15
    assert len(blocks("python")) == 2
    assert len(blocks("yaml")) == 2


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_line_parses(words: list[str]) -> None:
    command = COMMANDS[words[1]]
    context = command.make_context(words[1], list(words[2:]))  # refuses unknown options
    assert context.info_name == words[1]


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    used = set(re.findall(r"`?make ([a-z]+)`?", README))
    assert used
    assert used <= targets


def test_every_command_is_in_the_readme() -> None:
    for name in (name for name, command in COMMANDS.items() if not command.hidden):
        assert f"`tuner {name}" in README


def test_every_builtin_space_and_data_set_is_in_the_readme() -> None:
    from tuner.data import SOURCES

    for name in (*builtin_space_names(), *SOURCES):
        assert f"`{name}`" in README


def test_the_columns_are_those_of_the_readme() -> None:
    flat = " ".join(README.split())
    assert ", ".join(_BEFORE_PARAMETERS) in flat
    assert ", ".join(_AFTER_PARAMETERS) in flat
    assert f"`{PARETO}`, after `{_BEFORE_PARAMETERS[-1]}`" in flat


def test_the_pictures_exist() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_the_spaces_load() -> None:
    for number, block in enumerate(blocks("yaml")):
        assert SearchSpace.from_text(block, f"README block {number}").architectures


@pytest.mark.ray
def test_the_python_blocks_run(tmp_path: Path, sentences: Path) -> None:
    """The custom architecture is searched through the Python call of the README, with its data's name."""
    models, call = blocks("python")
    (tmp_path / "my_models.py").write_text(models, encoding="utf-8")
    space = blocks("yaml")[1]
    (tmp_path / "gru.yaml").write_text(space, encoding="utf-8")
    (tmp_path / "reviews.csv").write_text(sentences.read_text(encoding="utf-8"), encoding="utf-8")
    assert 'search("seed", data="reviews.csv", trials=30)' in call
    call = call.replace('"seed"', '"gru.yaml"').replace("trials=30", "trials=2, max_epochs=1")
    call = call.replace("seeds=3", "seeds=2")
    program = f"if __name__ == '__main__':\n{_indented(call)}\n    print(len(run.leaderboard()), run.best)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    last = ended.stdout.splitlines()[-1]
    assert last.startswith("2 TrialRecord(")
    assert "architecture='my_models:build'" in last
    assert ended.stderr == ""
    run = tmp_path / "runs" / "gru-reviews"
    assert len(pd.read_csv(run / "finalists.csv")) == 2
    assert (run / "tests.yaml").is_file()
    assert (run / "model" / "README.md").is_file()


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())
