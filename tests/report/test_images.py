"""Figures as files: drawn by a real browser; a missing program is reported in one line."""

import sys
from pathlib import Path

import pytest

from tuner.errors import UsageError
from tuner.report.figure_list import chosen_figures
from tuner.report.images import write_images
from tuner.report.reading import Reading

pytestmark = pytest.mark.slow  # a browser draws


def test_figures_become_files(some: Reading, tmp_path: Path) -> None:
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("no /usr/bin/chromium; on Debian: apt-get install chromium")
    paths = write_images(chosen_figures([some], ["costs"]), tmp_path / "figures", "png")
    assert [path.name for path in paths] == ["costs-time.png", "costs-weights.png"]
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert int.from_bytes(content[16:20]) == 3 * 640


def test_without_a_browser_the_message_names_the_package(
    some: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"^--format svg: needs a Chrome or Chromium; on Debian"):
        write_images(chosen_figures([some], ["costs"]), tmp_path / "figures", "svg")
    assert not (tmp_path / "figures").exists()


def test_without_kaleido_the_message_names_the_package(
    some: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(
        UsageError, match=r"^--format png: needs kaleido, which is not installed; .* -m pip install"
    ):
        write_images(chosen_figures([some], ["costs"]), tmp_path / "figures", "png")
