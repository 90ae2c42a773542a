"""Draws parallel coordinates, which show the common values of good trials."""

import optuna
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from tuner.report.figure import Figure, Panel
from tuner.report.figures.points import thinned
from tuner.report.optuna_studies import quiet_optuna, study_of
from tuner.report.reading import Reading
from tuner.report.style import QUIET, SCALE, layout
from tuner.text import count_text

_MOST = 160  # lines
_BEST = 40
_FEWEST = 3


def parallel_coordinates(reading: Reading) -> Figure | None:
    """Optuna's figure over all trials, and for each architecture with only its own parameters."""
    if len(reading.scored) < 2:
        return None
    groups: list[tuple[str, str]] = [("all", "all architectures")]
    if len(reading.architectures) > 1:
        groups += [(name, name) for name in reading.architectures]
    panels = []
    total = shown = 0
    for name, title in groups:
        records = [r for r in reading.scored if name == "all" or r.architecture == name]
        if len(records) < (2 if name == "all" else _FEWEST):
            continue
        kept = thinned(records, _MOST, always={record.number for record in records[:_BEST]})
        if name == "all":
            total, shown = len(records), len(kept)
        values = {record.number: record.score for record in kept if record.score is not None}
        drawing = _drawing(reading, values)
        panels.append(
            Panel(name.replace(":", "-"), f"{title} ({count_text(len(records), 'trial')})", drawing)
        )
    part = (
        f" Of {total:,} trials {shown:,} are drawn: the best {_BEST} and an even sample of the rest."
        if shown < total
        else ""
    )
    return Figure(
        "parallel-coordinates",
        "Parallel coordinates",
        "Parallel",
        "One line per trial, from grey for the worst to orange for the best: where orange lines meet, good trials "
        f"agree. “None” means that the trial has no such parameter.{part}",
        tuple(panels),
    )


def _drawing(reading: Reading, values: dict[int, float]) -> go.Figure:
    study = study_of(reading, values)
    with quiet_optuna():
        name = reading.space.metric.name.plain_name
        drawing = optuna.visualization.plot_parallel_coordinate(study, target_name=name)
    lines = [trace for trace in drawing.data if trace.mode == "lines"]
    # Optuna's blues are invisible on one of the two backgrounds, and it draws the worst trials over the best.
    as_cost = reading.space.metric.as_cost
    ranks = sorted(lines, key=lambda line: as_cost(line.y[0]), reverse=True)
    for position, line in enumerate(ranks):
        share = position / max(1, len(ranks) - 1)
        line.line = {
            "color": sample_colorscale(list(SCALE), [share])[0],
            "width": 1 + 1.6 * share**4,
        }
        line.opacity = 0.35 + 0.55 * share
    axes = len(lines[0].x)
    drawing.data = ()
    drawing.add_traces(ranks)
    drawing.update_layout(
        layout(height=460, plot_bgcolor=None, margin={"l": 70, "r": 44, "t": 30, "b": 10})
    )
    drawing.update_xaxes(tickangle=-32 if axes > 4 else 0)
    drawing.update_annotations(font={"size": 11, "color": QUIET})
    longest = max(len(note.text) for note in drawing.layout.annotations)
    drawing.update_layout(meta={"minimum_width": axes * max(80, 7 * longest)})
    return drawing
