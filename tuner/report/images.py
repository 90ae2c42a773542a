"""Writes figures as image files, drawn by Kaleido in this machine's Chrome or Chromium, without a network."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuner.errors import UsageError
from tuner.extras import Extra, require
from tuner.files import write_bytes_atomically
from tuner.report.figure import Arrangement, Figure, Panel
from tuner.report.style import template

_WIDTH = 800  # pixels; a PNG has three times as many
_GRID_WIDTH = 640
_LEGEND_HEIGHT = 70  # for a panel that has no legend on the page
_SCALE = 3


def write_images(figures: Sequence[Figure], folder: Path, kind: str) -> list[Path]:
    """Writes one file per panel into `folder`; returns their paths.

    Raises:
        UsageError: Kaleido or a browser is missing.
    """
    require(Extra.IMAGES, f"--format {kind}")
    import kaleido
    from kaleido.errors import BrowserFailedError, ChromeNotFoundError

    logging.getLogger("kaleido").setLevel(logging.ERROR)
    logging.getLogger("choreographer").setLevel(logging.ERROR)
    names = [f"{file_name(f, panel)}.{kind}" for f in figures for panel in f.panels]
    with tempfile.TemporaryDirectory() as temporary:
        jobs = [
            {
                "fig": _drawing(panel),
                "path": Path(temporary) / name,
                "opts": _options(figure, panel, kind),
            }
            for name, (figure, panel) in zip(
                names, ((f, panel) for f in figures for panel in f.panels), strict=True
            )
        ]
        try:
            # Without MathJax, which Kaleido would fetch from a network.
            kaleido.write_fig_from_object_sync(jobs, kopts={"mathjax": False, "n": 1})
        except ChromeNotFoundError as cause:
            raise UsageError(
                f"--format {kind}: needs a Chrome or Chromium; on Debian and Ubuntu: apt-get install chromium (or name "
                "one in BROWSER_PATH)"
            ) from cause
        except BrowserFailedError as cause:
            raise UsageError(
                f"--format {kind}: the browser ended at once; write the path of another Chrome or Chromium "
                "into BROWSER_PATH"
            ) from cause
        for name in names:
            write_bytes_atomically(folder / name, (Path(temporary) / name).read_bytes())
    return [folder / name for name in names]


def file_name(figure: Figure, panel: Panel) -> str:
    """The name of a panel's file, without its ending."""
    return figure.name if len(figure.panels) == 1 else f"{figure.name}-{panel.name}"


def _drawing(panel: Panel) -> Any:
    drawing = panel.drawing.to_plotly_json()
    drawing["layout"]["template"] = template(dark=False)
    return drawing


def _options(figure: Figure, panel: Panel, kind: str) -> dict[str, Any]:
    layout = panel.drawing.layout
    is_grid = figure.arrangement is Arrangement.GRID
    least = (layout.meta or {}).get("minimum_width", 0)
    return {
        "format": kind,
        "scale": _SCALE if kind == "png" else 1,
        "width": max(_GRID_WIDTH if is_grid else _WIDTH, least),
        "height": int(layout.height) + (_LEGEND_HEIGHT if is_grid else 0),
    }
