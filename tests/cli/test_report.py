"""`tuner report`."""

from pathlib import Path

import pytest
from support.commands import Call, MakeRun


def test_report_writes_a_page_beside_the_run(call: Call, make_run: MakeRun, folder: Path) -> None:
    run = make_run("a", 0.5, 0.9, None, 0.7)
    ended = call("report", f"{run}/")
    assert (ended.code, ended.out, ended.err) == (0, "Report: runs/a/report.html\n", "")
    assert (folder / run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_report_compares_several_runs(call: Call, make_run: MakeRun, folder: Path) -> None:
    runs = make_run("a", 0.5), make_run("b", 0.9)
    assert call("report", *runs).out == "Report: report.html\n"
    assert call("report", *runs, "--out", "x/y.html").out == "Report: x/y.html\n"
    assert "<h1>2 runs</h1>" in (folder / "x" / "y.html").read_text(encoding="utf-8")


def test_report_prints_markdown(call: Call, make_run: MakeRun, folder: Path) -> None:
    run = make_run("a", 0.5, 0.9)
    printed = call("report", run, "--format", "markdown").out
    assert printed.startswith("# a\n\nSearched 3 parameters")
    assert call("report", run, "--format", "markdown", "--out", "a.md").out == "Report: a.md\n"
    assert (folder / "a.md").read_text(encoding="utf-8") == printed


def test_report_refuses_a_figure_that_is_not_there(call: Call, make_run: MakeRun) -> None:
    run = make_run("a", 0.5, 0.9)
    refusal = call("report", run, "--format", "png", "--figure", "slice").refusal
    assert refusal.startswith("--figure: no figure 'slice'; write one of optimisation-history,")


def test_a_report_that_cannot_be_written_is_refused_before_it_is_drawn(
    call: Call, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("a", 0.5, 0.9)
    monkeypatch.setattr("os.access", lambda path, mode: path.name != "a")  # root may write anywhere
    for format in ("html", "png"):
        refusal = call("report", run, "--format", format).refusal
        assert refusal.endswith("cannot be written; name another place with --out"), refusal
        assert refusal.startswith("runs/a/")
    assert call("report", run, "--format", "markdown").code == 0
    assert call("report", run, "--format", "markdown", "--out", "a.md").code == 0
