"""The README and docs/ are true: commands parse and run, spaces load, Python runs, links lead somewhere."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.commands import run_tuner
from support.confirmed_run import Confirmed
from typer.main import get_command

from tuner.cli import app
from tuner.run.finalists_file import FinalistRow
from tuner.run.leaderboard import _AFTER_PARAMETERS, _BEFORE_PARAMETERS, PARETO
from tuner.settings.builtin import builtin_space_names
from tuner.settings.space import SearchSpace

ROOT = Path(__file__).parent.parent
PATHS = [ROOT / "README.md", ROOT / "cluster" / "README.md"]
PATHS += sorted((ROOT / "docs").rglob("*.md"))
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PATHS}
README = PAGES["README.md"]
EVERYTHING = "\n".join(PAGES.values())
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]

# Pages whose commands are typed one after the other, beside the runs that they name. A line runs unless it searches,
# trains, needs a search that is running, a network or a browser.
TYPED_PAGES = [
    "README.md",
    "docs/guides/data.md",
    "docs/guides/long-searches.md",
    "docs/guides/model.md",
    "docs/guides/reports.md",
    "docs/guides/spaces.md",
]
NOT_TYPED = re.compile(
    r"^tuner (search|confirm|train|dashboard|stop|submit|fetch) |--format (png|savedmodel) "
)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def shell_lines(page: str) -> list[str]:
    """Every `tuner …` line of a page's shell blocks."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("tuner ")]


ALL_LINES = sorted({line for page in PAGES for line in shell_lines(page)})


def test_there_are_blocks_to_test() -> None:
    assert len(ALL_LINES) >= 50
    assert len(PAGES) >= 12


@pytest.mark.parametrize("line", ALL_LINES)
def test_every_command_line_parses(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0], comments=True)
    context = COMMANDS[words[1]].make_context(words[1], words[2:])  # refuses unknown options
    assert context.info_name == words[1]


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    used = set(re.findall(r"(?:^|`)make ([a-z]+)", EVERYTHING, re.MULTILINE))
    assert {"search", "winner", "check", "test"} <= used <= targets


def test_every_command_is_in_the_readme() -> None:
    for name in (name for name, command in COMMANDS.items() if not command.hidden):
        assert f"`tuner {name}" in README


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_every_builtin_space_and_data_set_is_described() -> None:
    from tuner.data import SOURCES

    for name in (*builtin_space_names(), *SOURCES):
        assert f"| `{name}` |" in PAGES["docs/reference/data-and-spaces.md"]


def test_the_columns_are_those_of_the_reference() -> None:
    flat = " ".join(PAGES["docs/reference/run-folder.md"].split())
    assert ", ".join(_BEFORE_PARAMETERS) in flat
    assert ", ".join(_AFTER_PARAMETERS) in flat
    assert f"`{PARETO}`, after `{_BEFORE_PARAMETERS[-1]}`" in flat
    assert ", ".join(FinalistRow.model_fields) in flat


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", PAGES[page])
    for target in (link or source for link, source in targets):
        if not target.startswith("https://"):
            path, _, heading = target.partition("#")
            file = (ROOT / page).parent / path if path else ROOT / page
            assert file.exists(), target
            if heading:
                assert heading in headings(file.read_text(encoding="utf-8")), target


def headings(text: str) -> set[str]:
    """Where links into a page can lead, by GitHub's rule."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index() -> None:
    index = PAGES["docs/README.md"] + PAGES["docs/decisions/README.md"]
    for page in PAGES:
        if page.startswith("docs/") and not page.endswith("README.md"):
            assert f"{Path(page).name})" in index, page


def test_the_architecture_page_names_existing_files_and_definitions() -> None:
    """Files of `tuner/`, and what they define: `` `run/folder.py`: `RunFolder` ``."""
    page = " ".join(PAGES["docs/architecture.md"].split())
    files = set(re.findall(r"`([a-z_/]+\.py)`", page))
    assert len(files) > 30
    for file in files:
        assert (ROOT / "tuner" / file).exists() or (ROOT / file).exists(), file
    definitions = re.findall(r"`([a-z_/]+\.py)`: `([\w.]+)`", page)
    assert len(definitions) > 20
    for file, name in definitions:
        source = (ROOT / "tuner" / file).read_text(encoding="utf-8")
        for part in name.split("."):
            assert re.search(rf"(class|def) {part}\b", source), (file, name)


@pytest.mark.parametrize("page", PAGES)
def test_files_of_the_repository_exist(page: str) -> None:
    for path in re.findall(r"`((?:tuner|tests|cluster|search_spaces)/[\w/.-]+)`", PAGES[page]):
        assert (ROOT / path).exists(), path


def test_the_tests_that_hold_an_audits_findings_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGES["docs/security-audit.md"])
    assert len(named) > 40
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_the_spaces_load() -> None:
    spaces = [(page, block) for page in PAGES for block in blocks(page, "yaml")]
    assert spaces
    for page, block in spaces:
        assert SearchSpace.from_text(block, page).architectures


@pytest.mark.keras
@pytest.mark.parametrize("page", TYPED_PAGES)
def test_the_commands_of_a_page_run(
    page: str,
    confirmed: Confirmed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are typed beside runs of the names that they use, each a copy of one confirmed run."""
    monkeypatch.chdir(tmp_path)
    for name in set(re.findall(r"\bruns/([\w-]+)", PAGES[page])):
        shutil.copytree(confirmed.folder.path, tmp_path / "runs" / name)
    (tmp_path / "reviews.csv").write_text(
        "review,sentiment\n" + "".join(f"film number {n} is {n % 2},{n % 2}\n" for n in range(40))
    )
    (tmp_path / "texts.csv").write_text("text\na good film\n")
    lines = [line for line in shell_lines(page) if not NOT_TYPED.search(line)]
    assert lines
    for line in lines:
        command, _, file = line.partition(" > ")
        ended = run_tuner(shlex.split(command)[1:], capsys)
        assert ended.code == 0, (line, ended)
        if file:
            Path(file).write_text(ended.out, encoding="utf-8")


@pytest.mark.ray
def test_the_python_blocks_run(tmp_path: Path, sentences: Path) -> None:
    """The architecture of the guide is searched through the README's Python call, with its data's name."""
    (call,) = blocks("README.md", "python")
    (models,) = blocks("docs/guides/spaces.md", "python")
    (tmp_path / "my_models.py").write_text(models, encoding="utf-8")
    space = blocks("docs/guides/spaces.md", "yaml")[1]
    (tmp_path / "gru.yaml").write_text(space, encoding="utf-8")
    (tmp_path / "reviews.csv").write_text(sentences.read_text(encoding="utf-8"), encoding="utf-8")
    assert 'search("seed", data="reviews.csv", trials=30)' in call
    call = call.replace('"seed"', '"gru.yaml"')
    call = call.replace("trials=30", "trials=1, max_epochs=1, max_concurrent=1")
    call = call.replace("top=3, seeds=3", "top=1, seeds=1, max_concurrent=1")
    program = f"if __name__ == '__main__':\n{_indented(call)}\n    print(len(run.leaderboard()), run.best)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert ended.returncode == 0, ended.stderr
    last = ended.stdout.splitlines()[-1]
    assert last.startswith("1 TrialRecord(")
    assert "architecture='my_models:build'" in last
    assert ended.stderr == ""
    run = tmp_path / "runs" / "gru-reviews"
    assert len(pd.read_csv(run / "finalists.csv")) == 1
    assert (run / "tests.yaml").is_file()
    assert (run / "model" / "README.md").is_file()


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())
