"""Draws how the best score developed, over trials and over time."""

from collections.abc import Sequence

import optuna
import plotly.graph_objects as go

from tuner.report.figure import Figure, Panel
from tuner.report.figures.points import hover_text, marker, thinned
from tuner.report.optuna_studies import quiet_optuna, study_of
from tuner.report.reading import Reading
from tuner.report.search_time import end_of, unit_for
from tuner.report.style import BEST, empty_figure, layout, looks, plain
from tuner.run.records import TrialRecord
from tuner.run.trial_status import TrialStatus
from tuner.text import score_text

_MOST = 1200  # points


def optimisation_history(reading: Reading) -> Figure | None:
    """Optuna's figure in the colours of the architectures; None where no trial has a score."""
    if not reading.scored:
        return None
    study = study_of(reading, _scores(reading), keep_numbers=True)
    with quiet_optuna():
        optunas = optuna.visualization.plot_optimization_history(study, target_name=reading.metric)
    points, best, *_ = optunas.data
    by_trial = empty_figure()
    by_trial.update_xaxes(title="trial")
    by_trial.update_yaxes(title=reading.metric)
    scores = dict(zip(points.x, points.y, strict=True))
    shown = _shown(reading)
    _add_points(
        by_trial, reading, shown, [r.number for r in shown], [scores[r.number] for r in shown]
    )
    steps = _steps(list(best.x), list(best.y))
    by_trial.add_scatter(**steps, **_BEST_LINE)
    panels = [Panel("by-trial", "by trial", by_trial), *_over_time(reading, shown)]
    part = (
        f" Of {len(reading.scored):,} points {len(shown):,} are drawn, among them every new best."
        if len(shown) < len(reading.scored)
        else ""
    )
    return Figure(
        "optimisation-history",
        "Optimisation history",
        "History",
        "The score of each trial; hollow points are pruned trials. The line is the best score so far. Trials that "
        f"broke have no score and no point.{part}",
        tuple(panels),
    )


_BEST_LINE = {
    "mode": "lines",
    "line": {"color": BEST, "width": 2.5, "shape": "hv"},
    "name": "best so far",
    "hovertemplate": "best so far %{y:.4f}<extra></extra>",
}


def comparison_over_trials(readings: Sequence[Reading]) -> Figure | None:
    """Optuna's figure of several studies with the best-so-far lines only, and the same over the time searched."""
    having = [reading for reading in readings if reading.scored]
    if not having:
        return None
    colours = looks(reading.label for reading in readings)
    studies = [study_of(reading, _scores(reading), keep_numbers=True) for reading in having]
    with quiet_optuna():
        optunas = optuna.visualization.plot_optimization_history(studies)
    lines = [trace for trace in optunas.data if trace.mode == "lines"]
    by_trial, by_time = empty_figure(), empty_figure()
    longest = max(max(_times(reading).values(), default=0.0) for reading in having)
    unit = unit_for(longest)
    for reading, line in zip(having, lines, strict=True):
        style = {
            "mode": "lines",
            "line": {"color": colours[reading.label].colour, "width": 2.5, "shape": "hv"},
            "name": plain(reading.label),
        }
        by_trial.add_scatter(**_steps(list(line.x), list(line.y)), **style)
        x, y = _best_over_time(reading, unit.seconds)
        by_time.add_scatter(x=x, y=y, **style)
    by_trial.update_xaxes(title="trial")
    by_time.update_xaxes(title=f"{unit.name} searched")
    for drawing in (by_trial, by_time):
        drawing.update_yaxes(title=having[0].metric)
    return Figure(
        "best-so-far",
        "Best so far",
        "Best so far",
        "The best score that each run had reached, over the time searched and over its trials. Pauses between "
        "sessions are left out.",
        (Panel("by-time", "over time", by_time), Panel("by-trial", "by trial", by_trial)),
    )


def _scores(reading: Reading) -> dict[int, float]:
    return {r.number: r.score for r in reading.scored if r.score is not None}


def _shown(reading: Reading) -> list[TrialRecord]:
    scored = sorted(reading.scored, key=lambda record: record.number)
    bests: set[int] = set()
    best: float | None = None
    for record in scored:
        assert record.score is not None
        if best is None or reading.space.metric.is_better(record.score, best):
            best = record.score
            bests.add(record.number)
    return thinned(scored, _MOST, always=bests, kind=lambda r: (r.architecture, r.status))


def _over_time(reading: Reading, shown: Sequence[TrialRecord]) -> list[Panel]:
    times = _times(reading)
    timed = [record for record in shown if record.number in times]
    if not timed:
        return []
    unit = unit_for(max(times.values()))
    drawing = go.Figure(layout=layout())
    drawing.update_xaxes(title=f"{unit.name} searched")
    drawing.update_yaxes(title=reading.metric)
    x = [times[record.number] / unit.seconds for record in timed]
    _add_points(drawing, reading, timed, x, [record.score or 0.0 for record in timed])
    steps_x, steps_y = _best_over_time(reading, unit.seconds)
    drawing.add_scatter(x=steps_x, y=steps_y, **_BEST_LINE)
    return [Panel("over-time", "over time", drawing)]


def _times(reading: Reading) -> dict[int, float]:
    """The seconds searched when each scored trial ended."""
    return {
        record.number: reading.time.at(end)
        for record in reading.scored
        if (end := end_of(record)) is not None
    }


def _best_over_time(reading: Reading, unit_s: float) -> tuple[list[float], list[float]]:
    times = _times(reading)
    x: list[float] = []
    y: list[float] = []
    for record in sorted(
        (r for r in reading.scored if r.number in times), key=lambda r: times[r.number]
    ):
        assert record.score is not None
        if not y or reading.space.metric.is_better(record.score, y[-1]):
            x.append(times[record.number] / unit_s)
            y.append(record.score)
    if x:
        x.append(max(times.values()) / unit_s)
        y.append(y[-1])
    return x, y


def _add_points(
    drawing: go.Figure,
    reading: Reading,
    records: Sequence[TrialRecord],
    x: Sequence[float],
    y: Sequence[float],
) -> None:
    for architecture, look in looks(reading.space.architectures).items():
        own = [i for i, record in enumerate(records) if record.architecture == architecture]
        # The legend shows the first one's sign.
        own.sort(key=lambda i: records[i].status is TrialStatus.PRUNED)
        if own:
            drawing.add_scatter(
                x=[x[i] for i in own],
                y=[y[i] for i in own],
                text=[hover_text(records[i]) for i in own],
                mode="markers",
                marker=marker(
                    look, [records[i] for i in own], size=8 if len(records) <= 300 else 5
                ),
                name=plain(architecture),
                hovertemplate="%{text}<extra></extra>",
            )


def _steps(x: list[float], y: list[float]) -> dict[str, list[float]]:
    """Only the points where the line steps, and its end: Optuna's has one point per trial."""
    kept = [
        i
        for i, value in enumerate(y)
        if score_text(value) not in {"inf", "-inf"}
        and (i == 0 or value != y[i - 1] or i == len(y) - 1)
    ]
    return {"x": [x[i] for i in kept], "y": [y[i] for i in kept]}
