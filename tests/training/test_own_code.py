"""The digest of an architecture's code: other code is another program, other comments are not."""

import site
import sys
from pathlib import Path

import pytest

from tuner.training.own_code import code_of

NAME = "own_code_models:build"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that one searches from, with a module that nobody may run here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_code_models.py").write_text("def build(**values):\n    return 1\n\n1 / 0\n")
    return tmp_path


def test_code_changes_the_digest_and_comments_do_not(folder: Path) -> None:
    module = folder / "own_code_models.py"
    first = code_of([NAME, "lstm"])
    assert list(first) == [NAME]
    module.write_text(f"# what it is\n\n{module.read_text().replace('1 / 0', '1 / 0  ')}")
    assert code_of([NAME]) == first
    module.write_text(module.read_text().replace("return 1", "return 2"))
    assert code_of([NAME]) != first
    assert "own_code_models" not in sys.modules


@pytest.mark.parametrize(
    "line",
    [
        "import own_code_layers",
        "from own_code_layers import Layer",
        "def later():\n    import own_code_layers as layers",
        "from own_code_between import Layer",
    ],
)
def test_modules_beside_it_belong_to_it_as_far_as_they_are_imported(
    folder: Path, line: str
) -> None:
    module = folder / "own_code_models.py"
    module.write_text(f"{line}\n{module.read_text()}")
    (folder / "own_code_between.py").write_text("from own_code_layers import Layer\n")
    (folder / "own_code_layers.py").write_text("Layer = 1\n")
    first = code_of([NAME])
    (folder / "own_code_other.py").write_text("Layer = 1\n")
    assert code_of([NAME]) == first
    (folder / "own_code_layers.py").write_text("Layer = 2\n")
    assert code_of([NAME]) != first


def test_libraries_are_not_followed_also_through_a_link_to_their_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = folder / "packages"
    packages.mkdir()
    (packages / "own_code_library.py").write_text("import own_code_another\n")
    (packages / "own_code_another.py").write_text("Layer = 1\n")
    link = folder / "environment"
    link.symlink_to(packages)
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(packages)])
    for reached in (packages, link):
        monkeypatch.setattr(sys, "path", [str(reached)])
        first = code_of(["own_code_library:build"])
        assert len(first) == 1
        (packages / "own_code_another.py").write_text(f"Layer = {reached.name!r}\n")
        assert code_of(["own_code_library:build"]) == first


def test_a_package_is_followed_through_its_own_modules(folder: Path) -> None:
    package = folder / "own_code_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text("from . import layers\nfrom .sizes import width\n")
    (package / "layers.py").write_text("Layer = 1\n")
    (package / "sizes.py").write_text("width = 1\n")
    name = "own_code_package.models:build"
    first = code_of([name])
    for other in ("layers", "sizes"):
        (package / f"{other}.py").write_text("Layer = 3\n")
        second = code_of([name])
        assert second != first
        first = second


@pytest.mark.parametrize("text", ["def build(:\n", "\0", "caf\xe9", ""])
def test_a_module_that_is_broken_has_a_digest_all_the_same(folder: Path, text: str) -> None:
    (folder / "own_code_models.py").write_text(text, encoding="latin-1")
    assert len(code_of([NAME])[NAME]) == 16


@pytest.mark.parametrize(
    "name", ["own_code_absent:build", "..evil:build", "sys:exit", ":", "a.b:c"]
)
def test_what_has_no_file_has_no_digest(name: str) -> None:
    assert code_of([name]) == {}
