"""What makes the scores of a search's trials differ: their configurations, their seeds, the rows they are measured on.

A search pays where configurations differ by more than seeds do. No trial is trained twice to tell the two apart. But
configurations that are alike score alike, as far as configurations matter: how far is the share of the scores'
variance that the parameters explain, estimated by restricted maximum likelihood (Patterson & Thompson, 1971) with a
covariance that falls with the distance of two configurations, as genetics estimates heritability (Yang et al., 2011).
Must not import Ray, Keras or Optuna.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.run.ensemble import EnsembleRecord
from tuner.run.records import StudyReader, TrialRecord
from tuner.run.score_errors import ValidationRows, score_error
from tuner.run.trial_status import TrialStatus
from tuner.settings.metric import Metric
from tuner.settings.objectives import Objectives
from tuner.settings.ranges import Choice, FloatRange, IntRange, Range
from tuner.settings.space import SearchSpace

_FEWEST = 12  # trials; of fewer the two are hardly told apart
_FEWEST_TO_STOP = 20  # trials
_WORTH = 0.1  # see `Components.is_worth_more_trials`
_SCALE = 0.4  # of a range: so far apart two values are alike by exp(-1/2)
_MOST = 300  # trials, the latest ones: the calculation takes their number's third power
_LEAST_VARIANCE = 1e-18
_SHARES = np.linspace(0.0, 0.99, 34)


@dataclass(frozen=True)
class Components:
    """Standard deviations of the scores of complete trials, in the metric's unit.

    Attributes:
        trials: how many are complete.
        configurations: of what the parameters explain.
        seeds: of the rest: another seed of the same configuration, on the same rows; on others where rows rotate and
            their error is not known.
        rows: standard error of one trial's score over further validation rows; None where it is not known.
        are_clustered: whether several of these share a text or a group.
        are_rotated: whether parts of the rows took turns, so that scores differ by these, too.
    """

    trials: int
    configurations: float
    seeds: float
    rows: float | None
    are_clustered: bool = False
    are_rotated: bool = False

    def gain_of_trials(self, factor: float = 2.0) -> float:
        """What the best of `factor` times as many trials is better by: its true score, on average.

        Trials are chosen by scores that seeds have moved, and rows where these rotate, so of the distance between two
        choices the part that is the configurations' counts.
        """
        if not self.configurations:
            return 0.0
        of_rows = self.rows if self.are_rotated and self.rows is not None else 0.0
        total = math.hypot(self.configurations, self.seeds, of_rows)
        further = _expected_best(factor * self.trials) - _expected_best(self.trials)
        return self.configurations**2 / total * further

    def text(self, metric: Metric) -> str:
        """The deviations: `configurations 0.52, seeds 0.43, validation rows 1.50 points`."""
        scale, unit = (100.0, " points") if metric.name.is_share else (1.0, "")
        rest = "seeds and validation rows" if self.are_rotated and self.rows is None else "seeds"
        parts = {"configurations": self.configurations, rest: self.seeds}
        if self.rows is not None:
            parts["validation rows"] = self.rows
        return ", ".join(f"{name} {scale * each:.2g}" for name, each in parts.items()) + unit

    def advice(self, metric: Metric, ensemble: EnsembleRecord | None) -> str:
        """What would make the outcome better, and what would not."""
        scale, unit = (100.0, " points") if metric.name.is_share else (1.0, "")
        found = f"Twice as many trials would improve the best score by about {scale * self.gain_of_trials():.2g}{unit}"
        can_be_seen = self.rows is None or self.gain_of_trials() > _WORTH * self.rows
        if self.is_worth_more_trials and can_be_seen:
            return f"{found}: more trials help."
        helps = ["averaging", "a wider space"]
        if ensemble is not None and len(ensemble.members) > 1 and ensemble.gain > 0:
            helps[0] += f" ({len(ensemble.members)} trials gain {scale * ensemble.gain:.2g}{unit})"
        if self.rows is not None and self.rows > math.hypot(self.configurations, self.seeds):
            of_others = " of other texts or groups" if self.are_clustered else ""
            helps.append(f"more validation rows{of_others}")
        return f"{found}: more trials will hardly help; what may help is {' or '.join(helps)}."

    def text_with_advice(self, metric: Metric, ensemble: EnsembleRecord | None) -> str:
        """The deviations, and what follows from them."""
        return f"{self.text(metric)}. {self.advice(metric, ensemble)}"

    @property
    def is_flat(self) -> bool:
        """Whether enough trials tell that more of them would hardly help."""
        return self.trials >= _FEWEST_TO_STOP and not self.is_worth_more_trials

    @property
    def is_worth_more_trials(self) -> bool:
        """Whether twice as many would find a tenth more than what two trials differ by."""
        differ_by = math.hypot(self.configurations, self.seeds)
        return self.gain_of_trials() > _WORTH * differ_by


def components_in(reader: StudyReader) -> Components | None:
    """See `components_of`.

    Raises:
        RunFolderError: the study is damaged.
    """
    rows = ValidationRows.of(reader.study.user_attrs)
    return components_of(reader.records(), reader.space, reader.objectives, rows)


def components_of(
    records: Sequence[TrialRecord],
    space: SearchSpace,
    objectives: Objectives,
    rows: ValidationRows,
) -> Components | None:
    """The components of a run's scores; None while it has too few complete trials, and with two objectives.

    Of two objectives the scores alone tell little: many trials are there for their cost.

    Args:
        rows: that scored them.
    """
    if objectives.costs:
        return None
    complete = [
        record
        for record in records
        if record.status is TrialStatus.COMPLETE and record.ranked_score is not None
    ]
    if len(complete) < _FEWEST:
        return None
    latest = complete[-_MOST:]
    scores = np.array([record.ranked_score for record in latest], np.float64)
    configurations, seeds = _explained(scores, _alikeness(latest, space))
    errors = [score_error(each, space.metric.name, rows) for each in latest]
    known = [error for error in errors if error is not None]
    error = float(np.median(known)) if known else None
    are_clustered, are_rotated = rows.clusters is not None, rows.parts is not None
    if are_rotated and error is not None:
        seeds = math.sqrt(max(0.0, seeds**2 - error**2))
    return Components(len(complete), configurations, seeds, error, are_clustered, are_rotated)


def _explained(scores: NDArray[np.float64], alike: NDArray[np.float64]) -> tuple[float, float]:
    """Deviations of what `alike` explains and of the rest; together they are the scores'.

    Args:
        scores: `(n,)`.
        alike: `(n, n)`, 1 for equal configurations.
    """
    n = len(scores)
    values, vectors = np.linalg.eigh(alike)
    ones, rotated = vectors.T @ np.ones(n), vectors.T @ scores
    best = (-math.inf, 0.0, 0.0)
    for share in _SHARES:
        variances = share * values + (1 - share)
        weight = float((ones**2 / variances).sum())
        residual = rotated - (ones * rotated / variances).sum() / weight * ones
        variance = float((residual**2 / variances).sum()) / (n - 1)
        if variance < _LEAST_VARIANCE:  # all scores are equal
            return 0.0, 0.0
        likelihood = -0.5 * (
            np.log(variances).sum() + math.log(weight) + (n - 1) * math.log(variance)
        )
        best = max(best, (float(likelihood), float(share), variance))
    _, share, variance = best
    rest = (1 - share) * variance
    return math.sqrt(max(0.0, float(scores.var(ddof=1)) - rest)), math.sqrt(rest)


def _alikeness(records: Sequence[TrialRecord], space: SearchSpace) -> NDArray[np.float64]:
    """`(n, n)`: the mean over architecture and parameters, each 1 where two trials agree or neither has it."""
    architectures = np.array([record.architecture for record in records])
    alike = [(architectures[:, None] == architectures).astype(np.float64)]
    for name in space.parameter_names:
        places = np.array([_place(space, record, name) for record in records])
        apart = (places[:, None] - places) / _SCALE
        has = ~np.isnan(places)
        each = np.where(has[:, None] & has, np.exp(-0.5 * np.nan_to_num(apart) ** 2), 0.0)
        each[np.ix_(~has, ~has)] = 1.0
        alike.append(each)
    total: NDArray[np.float64] = np.sum(alike, axis=0)
    return total / len(alike)


def _place(space: SearchSpace, record: TrialRecord, name: str) -> float:
    """From 0 to 1 within the parameter's range; NaN where the trial has no such parameter."""
    parameter = space.parameters(record.architecture).get(name)
    if name not in record.parameters or not isinstance(parameter, Range):
        return math.nan
    value: Any = record.parameters[name]
    if isinstance(parameter, FloatRange | IntRange):
        low, high = parameter.bounds
        if parameter.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return float((value - low) / (high - low))
    options = list(parameter.options)
    place = options.index(value)
    # Of ascending numbers neighbours are alike; words are as far apart as can be told from 0 to 1.
    is_number = isinstance(parameter, Choice) and all(
        isinstance(each, int | float) for each in options
    )
    return place / max(1, len(options) - 1) if is_number else float(place)


def _expected_best(count: float) -> float:
    """The mean of the largest of so many standard normal values (Blom, 1958)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25))
