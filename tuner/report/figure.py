"""A figure of the report: its name, its texts, and one or several panels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import plotly.graph_objects as go

from tuner.report.style import Look


class Arrangement(StrEnum):
    """How the page shows the panels of a figure."""

    CHOICE = "choice"  # one at a time
    GRID = "grid"  # side by side


@dataclass(frozen=True)
class Panel:
    """One drawing."""

    name: str  # part of a file's name; unique in its figure
    title: str
    drawing: go.Figure
    note: str = ""  # beside this panel only


@dataclass(frozen=True)
class Figure:
    """A section of the report that is a figure."""

    name: str
    title: str
    short: str  # the title where there is little room
    caption: str
    panels: tuple[Panel, ...]
    arrangement: Arrangement = Arrangement.CHOICE
    # For a grid, whose panels have no legend of their own on the page.
    legend: Mapping[str, Look] = field(default_factory=dict)
