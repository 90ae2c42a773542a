"""`tuner report`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """The form in which a report is written."""

    HTML = "html"
    MARKDOWN = "markdown"
    PNG = "png"
    SVG = "svg"
    PDF = "pdf"


def report(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Run folders; several are compared.", metavar="RUN")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File to write; for figures, a folder. Default: RUN/report.html or RUN/figures; Markdown is printed.",
            metavar="PATH",
        ),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(help="One HTML page, Markdown, or figures as image files."),
    ] = Format.HTML,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help="Write this figure only; may be given several times. Not for html and markdown.",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Write a report of one or several runs. It is a page, Markdown, or figures."""
    from datetime import datetime

    from tuner.errors import UsageError
    from tuner.files import write_atomically
    from tuner.report.reading import read_runs
    from tuner.run.folder import runs_near

    if not runs:
        raise UsageError(f"name one or several run folders; {runs_near(Path())}")
    if figure and format in {Format.HTML, Format.MARKDOWN}:
        raise UsageError(f"--figure: {format} has all of them; write --format png, svg or pdf, too")
    readings = read_runs(runs)
    several = len(readings) > 1
    target = Path(os.path.expanduser(out)) if out is not None else None
    if target is not None and format in {Format.HTML, Format.MARKDOWN} and target.is_dir():
        name = "report.html" if format is Format.HTML else "report.md"
        raise UsageError(f"--out: must be a file, got the folder {target}; write {target / name}")
    if format is Format.MARKDOWN:
        from tuner.report.markdown import markdown

        text = markdown(readings)
        if target is None:
            print(text, end="")
            return
        write_atomically(target, text)
        print(f"Report: {target}")
    elif format is Format.HTML:
        from tuner.report.page import page

        if target is None:
            target = Path("report.html") if several else readings[0].folder.report
        write_atomically(target, page(readings, datetime.now()))
        print(f"Report: {target}")
    else:
        from tuner.report.figure_list import chosen_figures
        from tuner.report.images import write_images

        if target is None:
            target = Path("figures") if several else readings[0].folder.path / "figures"
        for path in write_images(chosen_figures(readings, figure or ()), target, str(format)):
            print(path)
