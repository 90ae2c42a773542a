"""Makes the README's pictures, so that they can be made again: into docs/.

    python docs/screenshots.py leaderboard runs/quickstart-imdb-train
    python docs/screenshots.py report runs/two-hours                  after `tuner report` of it

Needs Debian's chromium and `make test-environment`. This script decides which parts are shown.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console

from tuner.run.merged_board import read_merged_board
from tuner.terminal.ensemble import board_footer
from tuner.terminal.tables import leaderboard_table, printable

HERE = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
SECTIONS = ("learning-curves",)


def main() -> None:
    """The pictures that are asked for."""
    makers = {"leaderboard": leaderboard, "report": report}
    if len(sys.argv) != 3 or sys.argv[1] not in makers:
        sys.exit(__doc__)
    with browser() as started:
        makers[sys.argv[1]](started, Path(sys.argv[2]).resolve())


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


def leaderboard(browser: Any, folder: Path) -> None:
    """What a terminal shows of a run's best ten, as `tuner leaderboard` prints it."""
    merged = read_merged_board([str(folder)])
    console = Console(file=io.StringIO(), record=True, width=150, force_terminal=True)
    console.print(f"[bold]$ tuner leaderboard runs/{folder.name} --top 10", highlight=False)
    console.print(leaderboard_table(merged.trials.head(10), merged.parameters, merged.objectives))
    for line in board_footer(merged):
        console.print(printable(line), highlight=False)
    tab = browser.new_page(viewport={"width": 1200, "height": 800}, device_scale_factor=1.5)
    tab.set_content(console.export_svg(title="tuner leaderboard"))
    tab.locator("svg").screenshot(path=HERE / "leaderboard.png")


def report(browser: Any, folder: Path) -> None:
    """A screen, single sections, and a phone by night."""
    page = (folder / "report.html").as_uri()
    tab = browser.new_page(
        viewport={"width": 1280, "height": 900}, color_scheme="light", device_scale_factor=2
    )
    tab.goto(page)
    tab.screenshot(path=HERE / "report-light.png")
    for name in SECTIONS:
        shoot(tab, name)
    phone = browser.new_page(
        viewport={"width": 390, "height": 844}, color_scheme="dark", device_scale_factor=2
    )
    phone.goto(page)
    phone.screenshot(path=HERE / "report-phone.png")


def shoot(tab: Any, name: str) -> None:
    """One section, with its figures drawn; a run may lack it."""
    section = tab.locator(f"#{name}")
    if not section.count():
        return
    for drawing in section.locator("[data-drawing]").all():
        drawing.scroll_into_view_if_needed()
        drawing.locator(".main-svg").first.wait_for()
    tab.mouse.move(0, 0)
    section.screenshot(path=HERE / f"report-{name}.png")


if __name__ == "__main__":
    main()
