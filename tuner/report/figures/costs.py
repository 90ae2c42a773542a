"""Draws the score against its cost in time and in weights, and the trials that no other trial beats on both."""

from collections.abc import Callable

import plotly.graph_objects as go

from tuner.report.figure import Arrangement, Figure, Panel
from tuner.report.figures.points import hover_text, marker, thinned
from tuner.report.reading import Reading
from tuner.report.style import BEST, empty_figure, log_axis, looks, plain
from tuner.run.records import TrialRecord
from tuner.settings.objectives import Cost
from tuner.settings.pareto_fronts import front

_MOST = 1000  # points per panel


def costs(reading: Reading) -> Figure | None:
    """The score against seconds and weights per trial, and against seconds per epoch where these are an objective."""
    panels = [
        _panel(reading, "time", "seconds per trial", lambda record: record.seconds),
        _panel(reading, "weights", "weights", lambda record: record.weights),
    ]
    if Cost.SECONDS_PER_EPOCH in reading.objectives.costs:
        by_epoch = _panel(
            reading, "time-per-epoch", "seconds per epoch", lambda record: record.seconds_per_epoch
        )
        panels.insert(0, by_epoch)
    drawn = tuple(panel for panel in panels if panel is not None)
    if not drawn:
        return None
    return Figure(
        "costs",
        "Accuracy against time and weights"
        if "accuracy" in reading.metric
        else "Score against time and weights",
        "Costs",
        "The line joins the trials of the Pareto front, which no other trial beats on both. Hollow points are pruned "
        "trials: their time is short and their score an early one.",
        drawn,
        Arrangement.GRID,
        {
            name: look
            for name, look in looks(reading.space.architectures).items()
            if name in reading.architectures
        },
    )


def _panel(
    reading: Reading, name: str, title: str, cost: Callable[[TrialRecord], float | None]
) -> Panel | None:
    having = {
        record.number: record
        for record in reading.scored
        if (value := cost(record)) is not None and value > 0
    }
    if not having:
        return None
    pairs = {
        number: (record.score or 0.0, float(cost(record) or 0)) for number, record in having.items()
    }
    numbers = list(pairs)
    points = [(reading.space.metric.as_cost(score), value) for score, value in pairs.values()]
    leaders = sorted((numbers[position] for position in front(points)), key=lambda n: pairs[n][1])
    values = [value for _, value in pairs.values()]
    drawing = empty_figure(height=380)
    drawing.update_xaxes(title=title, **log_axis(min(values), max(values)))
    drawing.update_yaxes(title=reading.metric)
    shown = thinned(list(having.values()), _MOST, always=set(leaders))
    for architecture, look in looks(reading.space.architectures).items():
        own = [record for record in shown if record.architecture == architecture]
        if own:
            drawing.add_scatter(
                x=[pairs[record.number][1] for record in own],
                y=[record.score for record in own],
                text=[_text(record, pairs[record.number][1], title) for record in own],
                mode="markers",
                marker=marker(look, own, size=8 if len(shown) <= 300 else 5),
                name=plain(architecture),
                hovertemplate="%{text}<extra></extra>",
            )
    _add_front(drawing, [(pairs[number][1], pairs[number][0]) for number in leaders])
    return Panel(name, f"{reading.metric} against {title}", drawing)


def _text(record: TrialRecord, cost: float, title: str) -> str:
    return f"{hover_text(record, parameters=False)}<br>{cost:,.4g} {title}"


def _add_front(drawing: go.Figure, points: list[tuple[float, float]]) -> None:
    drawing.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="lines",
        line={"color": BEST, "width": 2, "shape": "hv"},
        name="Pareto front",
        hoverinfo="skip",
    )
