"""Compares several runs by the spread of their scores."""

from collections.abc import Sequence

from tuner.report.figure import Figure, Panel
from tuner.report.figures.points import hover_text, thinned
from tuner.report.reading import Reading
from tuner.report.style import empty_figure, looks, plain

_MOST = 600  # points per run


def scores_by_run(readings: Sequence[Reading]) -> Figure | None:
    """One column of points per architecture, one colour per run."""
    having = [reading for reading in readings if reading.scored]
    if not having:
        return None
    colours = looks(reading.label for reading in readings)
    architectures = list(dict.fromkeys(a for reading in having for a in reading.architectures))
    drawing = empty_figure(boxmode="group")
    drawing.update_yaxes(title=having[0].metric)
    drawing.update_xaxes(categoryorder="array", categoryarray=[plain(a) for a in architectures])
    for reading in having:
        shown = thinned(reading.scored, _MOST, always={reading.scored[0].number})
        look = colours[reading.label]
        drawing.add_box(
            x=[plain(record.architecture) for record in shown],
            y=[record.score for record in shown],
            text=[f"{plain(reading.label)}<br>{hover_text(record)}" for record in shown],
            name=plain(reading.label),
            boxpoints="all",
            jitter=0.4,
            pointpos=0,
            marker={"color": look.colour, "symbol": look.sign, "size": 5, "opacity": 0.7},
            line={"color": look.colour, "width": 1.2},
            fillcolor="rgba(0,0,0,0)",
            hovertemplate="%{text}<extra></extra>",
            hoveron="points",
        )
    return Figure(
        "scores-by-run",
        "Scores by architecture",
        "Scores",
        "The score of every trial, one colour per run. Each box holds the middle half of its trials.",
        (Panel("all", "all", drawing),),
    )
