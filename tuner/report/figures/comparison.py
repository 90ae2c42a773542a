"""Several runs side by side: how their scores are spread."""

from collections.abc import Sequence

from tuner.report.figure import Figure, Panel
from tuner.report.figures.points import hover_text
from tuner.report.reading import Reading
from tuner.report.style import empty_figure, looks, plain
from tuner.report.thinning import thinned

_MOST = 600  # points a run


def scores_by_run(readings: Sequence[Reading]) -> Figure | None:
    """A column of points an architecture, a colour a run."""
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
        "Every trial's score, a colour a run; boxes hold the middle half.",
        (Panel("all", "all", drawing),),
    )
