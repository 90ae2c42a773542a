"""The look of the figures: an architecture has one colour and one sign everywhere, in the light and the dark theme.

Text of users' data goes through `plain`, because Plotly interprets some HTML in every text.
"""

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from tuner.run.trial_status import TrialStatus

# Each stands out against white and against the dark page by 3:1 or more (WCAG 2.1, 1.4.11); a test checks that.
# No orange and no red: orange marks the best of what is drawn, red what broke.
PALETTE = (
    "#3b82d6",
    "#2f9e5b",
    "#9a63d8",
    "#0f98a6",
    "#cf4fa0",
    "#94880f",
    "#a0714f",
    "#6f7fa8",
    "#6a9628",
    "#6470e2",
)
# Colours repeat after ten architectures, signs after seven, so the pair repeats after seventy.
SIGNS = {
    "circle": "●",
    "diamond": "◆",
    "square": "■",
    "triangle-up": "▲",
    "pentagon": "⬟",
    "hexagon": "⬢",
    "star": "★",
}
BROKEN = "#d23b3b"
QUIET = "#8a909c"
BEST = "#e0700d"
LIGHT_PAGE = "#ffffff"
DARK_PAGE = "#15181e"
# From worst to best; every point stands out against both themes' backgrounds.
SCALE = ("#8a909c", "#3b82d6", BEST)
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
IN_WORDS = {status: str(status).replace("_", " ") for status in TrialStatus}


@dataclass(frozen=True)
class Look:
    """The colour and the sign of an architecture or a run in every figure."""

    colour: str
    sign: str  # Plotly's name of it

    @property
    def glyph(self) -> str:
        """The sign as a character."""
        return SIGNS[self.sign]


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each, in the order given."""
    signs = tuple(SIGNS)
    return {
        name: Look(PALETTE[number % len(PALETTE)], signs[number % len(signs)])
        for number, name in enumerate(names)
    }


def plain(text: object) -> str:
    """Text that Plotly shows literally, with the tags and entities in it."""
    return html.escape(str(text), quote=False)


def template(*, dark: bool) -> dict[str, Any]:
    """Plotly's template of a theme: text, lines and backgrounds; the colours of data are the same in both."""
    text, grid, line = (
        ("#d6dae2", "#2b303a", "#4a505c") if dark else ("#2a2e37", "#e6e8ed", "#b9bec9")
    )
    page = DARK_PAGE if dark else LIGHT_PAGE
    axis = {
        "gridcolor": grid,
        "linecolor": line,
        "tickcolor": line,
        "zerolinecolor": grid,
        "automargin": True,
        "ticks": "outside",
        "ticklen": 4,
        "title": {"standoff": 8},
    }
    return {
        "layout": {
            "font": {"family": FONT, "size": 13, "color": text},
            "paper_bgcolor": page,
            "plot_bgcolor": page,
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": "#2a2f3a" if dark else "#ffffff",
                "bordercolor": line,
                "font": {"color": text, "family": FONT, "size": 13},
                "align": "left",
            },
            "legend": {"bgcolor": "rgba(0,0,0,0)"},
            "annotationdefaults": {"font": {"color": text}},
            "colorway": list(PALETTE),
        }
    }


def layout(**changes: Any) -> Mapping[str, Any]:
    """The layout that all figures share; a template adds the colours when they are shown."""
    common: dict[str, Any] = {
        "template": None,
        "title": None,
        "margin": {"l": 10, "r": 14, "t": 12, "b": 10},
        "height": 440,
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": None},
    }
    return common | changes


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis from `low` to `high` with a few round ticks; Plotly draws many or only one."""
    steps: tuple[float, ...] = (1,)
    for ratio, finer in ((3000, (1, 3)), (300, (1, 2, 5)), (12, (1, 1.5, 2, 3, 5, 7))):
        if high / low < ratio:
            steps = finer
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    shown = [tick for tick in ticks if low / 1.02 <= tick <= high * 1.02]
    room = 0.04 * math.log10(high / low) + 0.01
    return {
        "type": "log",
        "range": [math.log10(low) - room, math.log10(high) + room],
        "tickvals": shown,
        "ticktext": [_short(tick) for tick in shown],
    }


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            scale = 1e3 if letter == "k" else size
            return f"{number / scale:g}{letter}"
    return f"{number:g}"


def empty_figure(**changes: Any) -> go.Figure:
    """A figure to add traces to."""
    return go.Figure(layout=layout(**changes))
