"""Draws learning curves: one line per trial in its architecture's colour; pruned trials are dashed up to a cross."""

from collections.abc import Sequence

import plotly.graph_objects as go

from tuner.report.figure import Figure, Panel
from tuner.report.figures.points import thinned
from tuner.report.reading import Reading
from tuner.report.style import BEST, IN_WORDS, Look, empty_figure, looks, plain
from tuner.run.records import TrialRecord
from tuner.run.trial_status import TrialStatus
from tuner.settings.metric import MetricName
from tuner.text import score_text

_MOST = 240  # lines; more hide each other
_BEST = 40
_TITLES = {**{str(name): name.in_words for name in MetricName}, "loss": "training loss"}


def learning_curves(reading: Reading) -> Figure | None:
    """The metrics of every epoch; None where no epoch has ended."""
    having = [record for record in reading.records if record.curve and record.architecture]
    if not having:
        return None
    always = {r.number for r in (*reading.scored[:_BEST], *(r for r in having if r.baseline))}
    shown = thinned(having, _MOST, always=always, kind=lambda r: (r.architecture, r.status))
    first = str(reading.space.metric.name)
    names = dict.fromkeys((first, *_TITLES))
    panels = tuple(
        Panel(name.replace("_", "-"), _TITLES[name], _drawing(reading, shown, name))
        for name in names
        if any(name in metrics for record in shown for metrics in record.curve.values())
    )
    return Figure(
        "learning-curves",
        "Learning curves",
        "Curves",
        _caption(shown, having),
        panels,
    )


def _caption(shown: Sequence[TrialRecord], having: Sequence[TrialRecord]) -> str:
    part = (
        f"{len(shown):,} of {len(having):,} trials: the best {_BEST}, the baselines, and an even sample of the rest. "
        if len(shown) < len(having)
        else ""
    )
    return (
        f"{part}Solid lines are complete trials, dashed ones were pruned at the ×, dotted ones broke or still "
        "run. The thick line is the best trial."
    )


def _drawing(reading: Reading, shown: Sequence[TrialRecord], metric: str) -> go.Figure:
    drawing = empty_figure()
    longest = max(max(record.curve) for record in shown)
    drawing.update_xaxes(
        title="epoch", dtick=1 if longest <= 12 else None, range=[0.6, longest + 0.4]
    )
    drawing.update_yaxes(title=_TITLES[metric])
    faint = 0.85 if len(shown) <= 30 else 0.45
    for architecture, look in looks(reading.space.architectures).items():
        own = [record for record in shown if record.architecture == architecture]
        if own:  # an entry in the legend, also where every trial was pruned
            line = {"color": look.colour, "width": 2}
            drawing.add_scatter(
                x=[None], y=[None], mode="lines", line=line, name=plain(architecture), legendgroup=architecture
            )  # fmt: skip
        for status, dash in (
            (TrialStatus.COMPLETE, "solid"),
            (TrialStatus.PRUNED, "dash"),
            (None, "dot"),
        ):
            lines = [r for r in own if r.status is status or (status is None and _is_other(r))]
            if lines:
                _add_lines(drawing, lines, metric, look, dash, faint, architecture)
    if reading.best is not None:
        _add_best(drawing, reading.best, metric)
    return drawing


def _is_other(record: TrialRecord) -> bool:
    return not record.status.has_worked


def _add_lines(
    drawing: go.Figure,
    records: Sequence[TrialRecord],
    metric: str,
    look: Look,
    dash: str,
    faint: float,
    group: str,
) -> None:
    """Draws all lines of one kind as one trace with gaps between them: thousands of traces would be slow."""
    x: list[int | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    signs: list[str] = []
    sizes: list[int] = []
    for record in records:
        points = [(epoch, metrics.get(metric)) for epoch, metrics in record.curve.items()]
        for epoch, value in points:
            is_end = dash == "dash" and epoch == points[-1][0]
            x.append(epoch)
            y.append(value)
            signs.append("x-thin" if is_end else look.sign)
            sizes.append(8 if is_end else 4)
            texts.append(
                f"<b>trial {record.number}</b> · {plain(record.architecture)} · {IN_WORDS[record.status]}"
                f"<br>epoch {epoch}: {score_text(value)}"
            )
        x.append(None)
        y.append(None)
        texts.append("")
        signs.append(look.sign)
        sizes.append(4)
    drawing.add_scatter(
        x=x,
        y=y,
        text=texts,
        mode="lines+markers",
        line={"color": look.colour, "width": 1.4, "dash": dash},
        marker={
            "symbol": signs,
            "size": sizes,
            "color": look.colour,
            "line": {"color": look.colour, "width": 1.6},
        },
        opacity=faint if dash == "solid" else faint * 0.75,
        legendgroup=group,
        showlegend=False,
        hovertemplate="%{text}<extra></extra>",
    )


def _add_best(drawing: go.Figure, best: TrialRecord, metric: str) -> None:
    epochs = list(best.curve)
    drawing.add_scatter(
        x=epochs,
        y=[best.curve[epoch].get(metric) for epoch in epochs],
        mode="lines",
        line={"color": BEST, "width": 4},
        name=f"best: trial {best.number}",
        hoverinfo="skip",
    )
