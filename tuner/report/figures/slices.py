"""Draws slices: each parameter against the score, by architecture, and which range should be wider."""

from collections.abc import Sequence

import plotly.graph_objects as go

from tuner.report.figure import Arrangement, Figure, Panel
from tuner.report.figures.points import hover_text, marker, thinned
from tuner.report.range_edges import edge_of
from tuner.report.reading import Reading
from tuner.report.style import BEST, QUIET, empty_figure, log_axis, looks, plain
from tuner.run.records import TrialRecord
from tuner.settings.ranges import Choice, FloatRange, IntRange, NamedChoice, Range

_MOST = 400  # points per panel


def slices(reading: Reading) -> Figure | None:
    """One panel per parameter that was searched; None where no trial has a score."""
    if not reading.scored:
        return None
    panels = tuple(
        _panel(reading, name, own)
        for name in reading.space.parameter_names
        if (own := _having(reading, name))
    )
    if not panels:
        return None
    most = max(len(_having(reading, panel.title)) for panel in panels)
    part = f" At most {_MOST} points each." if most > _MOST else ""
    return Figure(
        "slices",
        "Slices",
        "Slices",
        "Each parameter against the score; hollow points are pruned trials. Dashed lines are the ends of the range, "
        f"the ring is the best trial.{part}",
        panels,
        Arrangement.GRID,
        {
            name: look
            for name, look in looks(reading.space.architectures).items()
            if name in reading.architectures
        },
    )


def _range(reading: Reading) -> list[float]:
    """The range of scores; the same for every panel, so that they can be compared."""
    scores = [record.score for record in reading.scored if record.score is not None]
    room = 0.1 * (max(scores) - min(scores)) or 0.01
    return [min(scores) - room, max(scores) + room]


def _having(reading: Reading, name: str) -> list[TrialRecord]:
    """The scored trials in whose architecture the parameter is searched."""
    searched = {
        architecture
        for architecture in reading.space.architectures
        if isinstance(reading.space.parameters(architecture).get(name), Range)
    }
    return [r for r in reading.scored if r.architecture in searched and name in r.parameters]


def _panel(reading: Reading, name: str, records: Sequence[TrialRecord]) -> Panel:
    drawing = empty_figure(height=300)
    ranges = [reading.space.parameters(a).get(name) for a in {r.architecture for r in records}]
    choices = [each for each in ranges if isinstance(each, Choice | NamedChoice)]
    numbers = [each for each in ranges if isinstance(each, FloatRange | IntRange)]
    options = [option for each in choices for option in each.options]
    labels = list(dict.fromkeys(map(str, options)))  # 1, 1.0 and true are equal, and three labels
    bounds = {bound for each in numbers for bound in each.bounds}
    if choices and numbers:  # of different architectures
        if all(isinstance(o, int | float) and not isinstance(o, bool) for o in options):
            choices, bounds = [], bounds | {float(option) for option in options}
        else:
            labels += sorted({str(r.parameters[name]) for r in records} - set(labels))
    drawing.update_yaxes(title=reading.metric, range=_range(reading))
    drawing.update_xaxes(title=plain(name))
    if choices:
        drawing.update_xaxes(
            tickvals=list(range(len(labels))),
            ticktext=[plain(label) for label in labels],
            range=[-0.6, len(labels) - 0.4],
        )
    else:
        if all(each.log for each in numbers) and min(bounds) > 0:
            drawing.update_xaxes(log_axis(min(bounds), max(bounds)))
        for bound in bounds:
            drawing.add_vline(bound, line={"color": QUIET, "dash": "dash", "width": 1})
    _add_points(drawing, reading, name, records, labels if choices else None)
    note = edge_of(reading.space, reading.scored, name)
    return Panel(
        name.replace("_", "-"), name, drawing, f"{note[0].upper()}{note[1:]}." if note else ""
    )


def _add_points(
    drawing: go.Figure,
    reading: Reading,
    name: str,
    records: Sequence[TrialRecord],
    options: Sequence[str] | None,
) -> None:
    always = {reading.best.number} if reading.best is not None else set()
    shown = thinned(records, _MOST, always=always)
    architectures = [a for a in reading.architectures if any(r.architecture == a for r in shown)]
    colours = looks(reading.space.architectures)
    for place, architecture in enumerate(architectures):
        own = [record for record in shown if record.architecture == architecture]
        # For a choice, architectures stand side by side; for a number, each point is at its value.
        shift = 0.6 * ((place + 0.5) / len(architectures) - 0.5) if options is not None else 0.0
        look = colours[architecture]
        x = [_place(record.parameters[name], options) for record in own]
        drawing.add_scatter(
            x=[value + shift for value in x] if options is not None else x,
            y=[record.score for record in own],
            text=[hover_text(record) for record in own],
            mode="markers",
            marker=marker(look, own, size=7 if len(shown) <= 200 else 5),
            name=plain(architecture),
            hovertemplate="%{text}<extra></extra>",
        )
        if reading.best in own:
            value = _place(reading.best.parameters[name], options) + shift
            drawing.add_scatter(
                x=[value],
                y=[reading.best.score],
                mode="markers",
                marker={"symbol": "circle-open", "size": 17, "color": BEST, "line": {"width": 3}},
                name="best",
                hoverinfo="skip",
            )


def _place(value: object, options: Sequence[str] | None) -> float:
    if options is not None:
        return float(options.index(str(value)))
    assert isinstance(value, int | float)
    return value
