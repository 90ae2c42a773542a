"""`tuner report`."""

import os
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tuner.report.reading import Reading


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
            help="File to write; for figures, a folder. Default: report.html or figures in RUN, of several runs in the "
            "current folder; Markdown is printed.",
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
    from tuner.errors import UsageError
    from tuner.files import can_be_made, write_atomically
    from tuner.report.reading import read_runs
    from tuner.run.folder import runs_near

    if not runs:
        raise UsageError(f"name one or several run folders; {runs_near(Path())}")
    if figure and format in {Format.HTML, Format.MARKDOWN}:
        raise UsageError(f"--figure: {format} has all of them; write --format png, svg or pdf, too")
    readings = read_runs(runs)
    if format is Format.MARKDOWN and out is None:
        print(_text(readings, format), end="")
        return
    is_file = format in {Format.HTML, Format.MARKDOWN}
    if out is not None:
        target = Path(os.path.expanduser(out))
    else:
        folder = Path() if len(readings) > 1 else readings[0].folder.path
        target = folder / ("report.html" if is_file else "figures")
    if is_file and target.is_dir():
        name = "report.html" if format is Format.HTML else "report.md"
        raise UsageError(f"--out: must be a file, got the folder {target}; write {target / name}")
    if not can_be_made(target if is_file else target / "figure"):
        raise UsageError(f"{target}: cannot be written; name another place with --out")
    if is_file:
        write_atomically(target, _text(readings, format))
        print(f"Report: {target}")
    else:
        from tuner.report.figure_list import chosen_figures
        from tuner.report.images import write_images

        for path in write_images(chosen_figures(readings, figure or ()), target, str(format)):
            print(path)


def _text(readings: "Sequence[Reading]", format: Format) -> str:
    if format is Format.MARKDOWN:
        from tuner.report.markdown import markdown

        return markdown(readings)
    from tuner.report.page import page

    return page(readings, datetime.now())
