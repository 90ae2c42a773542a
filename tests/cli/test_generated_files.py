"""The committed pages and keywords are those that follow from the declarations."""

from pathlib import Path

import pytest

from tuner.cli.generated_files import CHECKOUT, pages

PAGES = pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_committed_files_follow_from_the_declarations(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    assert written == PAGES[path], f"run `python -m tuner.cli.generated_files` for {path}"


def test_there_are_two_pages_and_the_keywords() -> None:
    names = [str(path.relative_to(CHECKOUT)) for path in PAGES]
    assert names == [
        "docs/reference/settings.md",
        "docs/reference/commands.md",
        "tuner/settings/keywords.py",
    ]
