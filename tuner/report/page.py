"""Writes the report as one HTML file, which opens from disk and needs no network.

Text goes through Jinja's escaping, data through JSON in which no tag can begin, Plotly's texts through `style.plain`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from tuner.report import summary, tables
from tuner.report.figure import Figure
from tuner.report.figure_list import figures_of
from tuner.report.reading import Reading
from tuner.report.style import DARK_PAGE, LIGHT_PAGE, looks, template
from tuner.report.tiles import tiles
from tuner.run.merged_board import merged_trials
from tuner.settings.objectives import PARETO

# Shown first: these fit the width of a phone.
_FIRST_COLUMNS = ("rank", "run", "trial", "score", PARETO, "architecture", "status")
# Shown on request: a phone has room for few columns.
_MINOR_COLUMNS = frozenset(
    {
        *("best_epoch", "seconds_per_epoch", "val_accuracy", "val_loss"),
        *("tries", "seed", "host", "device", "started"),
    }
)


def page(readings: Sequence[Reading], now: datetime) -> str:
    """The report of one run, or of several side by side."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["code"] = _with_code
    figures = figures_of(readings)
    only = readings[0] if len(readings) == 1 else None
    title = only.label if only is not None else f"{len(readings)} runs"
    content: dict[str, Any] = {
        "title": title,
        "only": only,
        "readings": readings,
        "summary": summary,
        "tiles": tiles,
        "tables": tables,
        "figures": figures,
        "trials": sum(len(reading.records) for reading in readings),
        "written": now.strftime("%Y-%m-%d %H:%M"),
        "version": version("sequence-tuner"),
        "css": Markup(_file("page.css")),
        "script": Markup(_file("page.js")),
        "plotly": Markup(_plotly()),
        "pages": {"light": LIGHT_PAGE, "dark": DARK_PAGE},
        "data": Markup(_json(_data(readings, figures))),
    }
    return environment.from_string(_file("page.html")).render(content)


def _with_code(line: str) -> Markup:
    """A sentence whose commands stand between backticks, as HTML."""
    parts = re.split("`([^`]+)`", line)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def _data(readings: Sequence[Reading], figures: Sequence[Figure]) -> dict[str, Any]:
    """The data for the page's script."""
    return {
        "templates": {"light": template(dark=False), "dark": template(dark=True)},
        "figures": {
            f"{figure.name}--{panel.name}": json.loads(panel.drawing.to_json())
            for figure in figures
            for panel in figure.panels
        },
        "table": _table(readings),
    }


def _table(readings: Sequence[Reading]) -> dict[str, Any]:
    board = merged_trials(
        {reading.label: reading.board for reading in readings},
        (reading.objectives for reading in readings),
    )
    is_one = len(readings) == 1
    names = readings[0].space.architectures if is_one else [reading.label for reading in readings]
    board = board[
        [*(n for n in _FIRST_COLUMNS if n in board), *(n for n in board if n not in _FIRST_COLUMNS)]
    ]
    return {
        "columns": [
            {
                "name": str(name),
                "numeric": bool(pd.api.types.is_numeric_dtype(board[name]))
                and not pd.api.types.is_bool_dtype(board[name]),
                "minor": name in _MINOR_COLUMNS,
            }
            for name in board.columns
        ],
        "cells": [_cells(board[name]) for name in board.columns],
        "coloured": "architecture" if is_one else "run",
        "colours": {name: look.colour for name, look in looks(names).items()},
    }


def _cells(column: pd.Series) -> list[Any]:
    cells = column.astype("object")
    return [_cell(cell) for cell in cells.where(column.notna(), None)]


def _cell(cell: Any) -> Any:
    return float(f"{cell:.6g}") if isinstance(cell, float) else cell


def _json(content: Mapping[str, Any]) -> str:
    """JSON that cannot end a script element, because it contains no `<`."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _plotly() -> str:
    """Plotly's script, with no end of a script element in its strings."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


@cache
def _file(name: str) -> str:
    return files("tuner.report").joinpath(name).read_text(encoding="utf-8")
