"""Draws which parameters decide the score, comparing trials after the same number of epochs.

Optuna counts COMPLETE trials with their final values. With pruning these are the survivors. And a trial that is scored
by its best epoch may have trained for any number of epochs (optuna/optuna issue 3709). So every trial that reached a
common epoch counts here, with its best value up to that epoch.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from tuner.report.figure import Figure, Panel
from tuner.report.optuna_studies import quiet_optuna, resampled, study_of
from tuner.report.reading import Reading
from tuner.report.style import PALETTE, layout
from tuner.run.records import TrialRecord
from tuner.text import count_text

_FEWEST = 20  # trials; importances of fewer are noise
_FEWEST_BEST = 5  # of them
_LATEST = 2000  # trials; more would change nothing and take long
_RESAMPLES = 20  # 0.015 s each
_MOST_RESAMPLED = 300  # trials; of more, intervals are narrow and take long
_DEVIATIONS = 1.96  # of a normal distribution hold 95 %


@dataclass(frozen=True)
class EqualEpochs:
    """The trials that reached a common epoch, and their values there."""

    epoch: int
    values: dict[int, float]  # by trial
    out_of: int  # trials with at least one epoch


def at_equal_epochs(reading: Reading) -> EqualEpochs | None:
    """The last epoch that more than half of the trials reached; None where no trial has an epoch."""
    records = [record for record in reading.scored if record.curve]
    reached = Counter(epoch for record in records for epoch in record.curve)
    common = [epoch for epoch, count in reached.items() if 2 * count > len(records)]
    if not common:
        return None
    epoch = max(common)
    values = {
        record.number: _best_until(reading, record, epoch)
        for record in sorted(records, key=lambda each: each.number)
        if epoch in record.curve
    }
    return EqualEpochs(epoch, values, len(records))


def parameter_importance(reading: Reading) -> Figure | None:
    """Optuna's figure over all trials that count, and within each architecture."""
    equal = at_equal_epochs(reading)
    if equal is None or len(equal.values) < _FEWEST:
        return None
    latest = dict(sorted(equal.values.items())[-_LATEST:])
    panels = []
    groups = [("all", "all architectures", latest)]
    if len(reading.architectures) > 1:
        of = {record.number: record.architecture for record in reading.scored}
        groups += [
            (name, name, {n: value for n, value in latest.items() if of[n] == name})
            for name in reading.architectures
        ]
    for name, title, values in groups:
        if len(values) >= _FEWEST:
            panel = _panel(reading, name, title, values)
            if panel is not None:
                panels.append(panel)
    if not panels:
        return None
    return Figure(
        "parameter-importance",
        "Parameter importance",
        "Importance",
        f"How much each parameter decides whether a trial is among the best {_best(len(latest))}, after "
        f"{count_text(equal.epoch, 'epoch')}. {len(equal.values):,} of {equal.out_of:,} trials count: those that "
        f"reached epoch {equal.epoch}, pruned ones too, each with its best value until then"
        f"{f'; of these the latest {_LATEST:,}' if len(latest) < len(equal.values) else ''}. Shares of 1 "
        f"(PED-ANOVA){_INTERVALS if len(latest) <= _MOST_RESAMPLED else ''}.",
        tuple(panels),
    )


_INTERVALS = (
    "; the lines are 95 % intervals for other trials, as many again (bootstrap): where they overlap, the order is not "
    "certain"
)


def _best(count: int) -> int:
    """So many trials count as the best: a tenth, but not so few that one lucky trial decides."""
    return max(_FEWEST_BEST, math.ceil(count / 10))


def _panel(reading: Reading, name: str, title: str, values: dict[int, float]) -> Panel | None:
    study = study_of(reading, values)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_best(len(values)) / len(values))
    with quiet_optuna():
        drawing = optuna.visualization.plot_param_importances(study, evaluator)
        if not drawing.data:
            return None
        bars = drawing.data[0]
        if len(values) <= _MOST_RESAMPLED:
            _draw_intervals(bars, _deviations(reading, study, evaluator))
    drawing.update_layout(
        layout(
            height=max(220, 60 + 30 * len(bars.y)),
            showlegend=False,
            # The value of the longest bar stands on its right.
            margin={"l": 10, "r": 40, "t": 12, "b": 10},
        )
    )
    drawing.update_traces(
        marker_color=PALETTE[0],
        hovertemplate="%{y}: %{x:.3f}"
        + (
            " (%{customdata[0]:.2f} to %{customdata[1]:.2f})"
            if bars.error_x.array is not None
            else ""
        )
        + "<extra></extra>",
        textangle=0,
    )
    drawing.update_xaxes(title="share of the importance", rangemode="tozero")
    drawing.update_yaxes(title=None)
    return Panel(name.replace(":", "-"), f"{title} ({count_text(len(values), 'trial')})", drawing)


def _deviations(
    reading: Reading, study: optuna.Study, evaluator: PedAnovaImportanceEvaluator
) -> dict[str, float]:
    """By parameter, the standard deviation of its importance over resampled trials."""
    rng = np.random.default_rng(0)
    trials = study.get_trials(deepcopy=False)
    found = [
        optuna.importance.get_param_importances(
            resampled(reading, trials, rng), evaluator=evaluator
        )
        for _ in range(_RESAMPLES)
    ]
    names = {name for each in found for name in each}
    return {name: float(np.std([each.get(name, 0.0) for each in found], ddof=1)) for name in names}


def _draw_intervals(bars: Any, deviations: Mapping[str, float]) -> None:
    """Lines over the bars, and their ends where one points at a bar; a share lies between 0 and 1."""
    shares = np.array(bars.x, dtype=np.float64)
    reach = _DEVIATIONS * np.array([deviations.get(name, 0.0) for name in bars.y])
    low, high = np.maximum(shares - reach, 0), np.minimum(shares + reach, 1)
    bars.error_x = {
        "type": "data",
        "symmetric": False,
        "array": high - shares,
        "arrayminus": shares - low,
    }
    bars.text = None  # it would lie under the lines
    bars.customdata = np.stack([low, high], axis=1)


def _best_until(reading: Reading, record: TrialRecord, epoch: int) -> float:
    name = reading.space.metric.name
    values = {e: metrics[name] for e, metrics in record.curve.items() if e <= epoch}
    return values[reading.space.metric.best_epoch(values)]
