"""The page in a real browser: it fetches nothing, runs no text of users' data as script, and its table works."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.run_files import SCRIPT, MakeRun

from tuner.report.page import page
from tuner.report.reading import Reading, read_run, read_runs
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 24, 12, 0)


class Tab:
    """A page that was opened, with the requests and errors that it caused."""

    def __init__(self, tab: Any) -> None:
        self.page = tab
        self.complaints: list[str] = []
        self.requests: list[str] = []
        tab.on("console", lambda message: self._note(message.type, message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("dialog", lambda dialog: self._refuse(dialog))
        tab.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path, readings: list[Reading]) -> None:
        path.write_text(page(readings, NOW), encoding="utf-8")
        self.page.goto(path.as_uri())

    def look_at_everything(self) -> None:
        """Scrolls every figure into view, waits until it is drawn, and shows each of its panels."""
        for place in self.page.locator("[data-drawing]").all():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for()
        for select in self.page.locator("select[data-figure]").all():
            for value in reversed(options_of(select)):
                select.select_option(value)
        self.page.wait_for_timeout(100)

    def rows(self, column: int) -> list[str]:
        return self.page.locator(f"#board tbody tr td:nth-child({column})").all_inner_texts()

    def is_quiet(self, path: Path) -> bool:
        local = [path.as_uri()]
        others = [url for url in self.requests if url.split("#")[0] not in local]
        others = [url for url in others if not url.startswith(("data:", "blob:"))]
        assert (self.complaints, others) == ([], [])
        return True

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def _refuse(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def options_of(select: Any) -> list[str]:
    """The values of a list to choose from."""
    values: list[str] = select.locator("option").evaluate_all("all => all.map(o => o.value)")
    return values


DESK = {"width": 1280, "height": 900}


@pytest.fixture
def desk(browser: Any) -> Iterator[Tab]:
    """A page on a desk."""
    with browser.new_context(viewport=DESK) as context:
        yield Tab(context.new_page())


@pytest.fixture(scope="module")
def report(whole: Reading) -> Path:
    """A report with all its figures."""
    path = whole.folder.path / "report.html"
    path.write_text(page([whole], NOW), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def read_on_a_desk(browser: Any, report: Path) -> Iterator[Tab]:
    """That report, which was looked through from its beginning to its end."""
    with browser.new_context(viewport=DESK, color_scheme="light") as context:
        tab = Tab(context.new_page())
        tab.page.goto(report.as_uri())
        tab.look_at_everything()
        yield tab


@pytest.fixture
def read(read_on_a_desk: Tab) -> Iterator[Tab]:
    """The same, with its table as it was in the beginning."""
    yield read_on_a_desk
    read_on_a_desk.page.locator("#filter").fill("")
    read_on_a_desk.page.locator('[data-column="rank"]').click()


def test_a_report_draws_all_its_figures_without_any_request(read: Tab, report: Path) -> None:
    check_whole(read, report)


def test_so_it_does_on_a_phone_at_night(browser: Any, report: Path) -> None:
    phone = {"width": 390, "height": 900}
    with browser.new_context(viewport=phone, color_scheme="dark") as context:
        tab = Tab(context.new_page())
        tab.page.goto(report.as_uri())
        tab.look_at_everything()
        check_whole(tab, report)


def check_whole(tab: Tab, report: Path) -> None:
    assert tab.is_quiet(report)
    assert tab.page.locator(".main-svg").count() > 10
    width = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0  # tables and wide figures scroll by themselves


def test_text_of_users_data_stays_text(desk: Tab, hostile: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    desk.open(path, [read_run(Run(hostile.path), "hostile")])
    desk.look_at_everything()
    assert desk.is_quiet(path)
    tested = desk.page.locator("#summary table").last
    assert tested.locator("tbody th").first.inner_text() == SCRIPT
    assert SCRIPT in desk.page.locator("#failures").inner_text()
    assert SCRIPT in desk.page.locator("#parallel-coordinates").text_content()
    assert SCRIPT in desk.page.locator("#slices").text_content()
    assert SCRIPT in desk.page.locator("#timeline").text_content()
    assert SCRIPT in desk.page.locator("#board").inner_text()
    assert desk.page.locator("b, img").count() == 0
    assert desk.page.locator("script").count() == 3


def test_a_click_on_a_heading_sorts(read: Tab) -> None:
    trial = read.page.locator('[data-column="trial"]')
    assert read.rows(1) == [str(rank) for rank in range(1, 25)]
    trial.click()
    assert read.rows(2) == [str(number) for number in range(24)]
    assert trial.locator("..").get_attribute("aria-sort") == "ascending"
    trial.click()
    assert read.rows(2) == [str(number) for number in range(23, -1, -1)]
    score = read.page.locator('[data-column="score"]')
    score.click()
    assert read.rows(3)[:-1] == sorted(read.rows(3)[:-1], key=float)
    assert read.rows(3)[-1] == ""  # empty cells last, whichever way
    score.click()
    assert read.rows(3)[-1] == ""


FILTERS: dict[str, Callable[[Any], bool]] = {
    "pruned": lambda row: row["status"] == "pruned",
    "PRUNED lstm": lambda row: row["status"] == "pruned" and "lstm" in row["architecture"],
    "-pruned": lambda row: row["status"] != "pruned",
    "score>=0.7": lambda row: row["score"] is not None and row["score"] >= 0.7,
    "architecture=lstm": lambda row: row["architecture"] == "lstm",
    "trial<3 trial!=1": lambda row: row["trial"] in {0, 2},
    "baseline=true": lambda row: row["baseline"],
    "constructor=1": lambda row: False,  # a name that every JavaScript object has
    "trial!=1": lambda row: row["trial"] != 1,
    "nothing-like-that": lambda row: False,
    "": lambda row: True,
}


def test_the_filter_leaves_the_rows_that_it_names(read: Tab, whole: Reading) -> None:
    board = whole.board.astype("object").where(whole.board.notna(), None)
    for asked, passes in FILTERS.items():
        read.page.locator("#filter").fill(asked)
        wanted = [str(row["trial"]) for row in board.to_dict(orient="records") if passes(row)]
        assert read.rows(2) == wanted, asked
        count = f"{len(wanted)} of 24 trials" if len(wanted) < 24 else "24 trials"
        assert read.page.locator("#count").inner_text() == count


def test_the_theme_can_be_switched_and_print_is_light(read: Tab, report: Path) -> None:
    drawings = read.page.locator("[data-drawing]")
    dark, light = "rgb(21, 24, 30)", "rgb(255, 255, 255)"
    assert background(drawings.first) == light
    read.page.locator("#theme").click()
    assert background(drawings.first) == dark
    read.page.emulate_media(media="print")
    read.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert [background(each) for each in drawings.all()] == [light] * drawings.count()  # drawn, too
    boxes = [each.locator(".main-svg").first.bounding_box() for each in drawings.all()]
    assert all(box is not None and 300 < box["width"] <= 700 for box in boxes)  # shown, on a sheet
    read.page.emulate_media(media="screen")
    read.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert background(drawings.first) == dark
    assert read.is_quiet(report)


def background(drawing: Any) -> str:
    """The background colour of a figure."""
    colour: str = drawing.locator(".main-svg").first.evaluate("svg => svg.style.background")
    return colour


def test_several_runs_are_side_by_side_and_their_26_trials_on_two_pages(
    desk: Tab, make_run: MakeRun, some: Reading, tmp_path: Path
) -> None:
    other_space = SearchSpace.from_mapping(
        {
            "name": "other",
            "max_epochs": 4,
            "shared": {"output_dropout": {"float": [0.0, 0.5]}},
            "architectures": {"bilstm": {}},
        },
        "other.yaml",
    )
    other = make_run((0.95,), (0.6,), name="other", space=other_space)
    empty = make_run(name="empty")
    path = tmp_path / "report.html"
    folders = (some.folder, other, empty)
    desk.open(path, read_runs([str(folder.path) for folder in folders]))
    desk.look_at_everything()
    assert desk.is_quiet(path)
    rows = desk.page.locator("#summary table tbody th").all_inner_texts()
    assert rows == ["mine", "other", "empty"]
    assert desk.rows(2)[:2] == ["other", "mine"]
    assert desk.page.locator("[data-drawing]").count() == 2
    assert len(desk.rows(1)) == 25
    desk.page.get_by_role("button", name="Next").click()
    assert desk.rows(1) == ["26"]
    desk.page.locator("#filter").fill("trial<27")
    assert desk.page.locator("#where").inner_text() == "1 of 2"
    assert desk.page.get_by_role("button", name="host").count() == 0
    desk.page.get_by_role("button", name="All columns").click()
    assert desk.page.get_by_role("button", name="host").count() == 1


@pytest.mark.parametrize("trials", [(), (None, None), ((0.5,),)], ids=["none", "failed", "one"])
def test_reports_of_small_runs_are_no_error(
    desk: Tab, make_run: MakeRun, tmp_path: Path, trials: Any
) -> None:
    path = tmp_path / "report.html"
    desk.open(path, [read_run(Run(make_run(*trials).path), "mine")])
    desk.look_at_everything()
    assert desk.is_quiet(path)
    text = desk.page.locator("main").inner_text()
    assert re.search(r"No trial (has been started yet|reached a score)|The best is trial 0", text)
