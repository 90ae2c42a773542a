"""Makes the README's pictures of a report: `python docs/screenshots.py RUN/report.html`, into docs/.

Needs Debian's chromium and the extra `test`. What is shown is decided here, so that pictures can be made again.
"""

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
SECTIONS = ("learning-curves",)


def main() -> None:
    """A screen, a phone by night, and single sections."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    report = Path(sys.argv[1]).resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        tab = browser.new_page(
            viewport={"width": 1280, "height": 900}, color_scheme="light", device_scale_factor=2
        )
        tab.goto(report.as_uri())
        tab.screenshot(path=HERE / "report-light.png")
        for name in SECTIONS:
            shoot(tab, name)
        tab.close()
        phone = browser.new_page(
            viewport={"width": 390, "height": 844}, color_scheme="dark", device_scale_factor=2
        )
        phone.goto(report.as_uri())
        phone.screenshot(path=HERE / "report-phone.png")
        browser.close()


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
