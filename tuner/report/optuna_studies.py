"""Makes Optuna studies of a run for Optuna's own figures.

These count only COMPLETE trials, take a trial's last value where tuner takes its best epoch's, and interpret some HTML
in choices. So they get studies in memory in which each trial that counts is COMPLETE, with the value that counts.
"""

import logging
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.report.reading import Reading
from tuner.report.style import plain
from tuner.run.optuna_internals import storage_of
from tuner.run.records import TrialRecord
from tuner.settings.ranges import Range
from tuner.settings.space import ARCHITECTURE


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silences Optuna's warnings of experimental features and of few trials; the report has its own words on these."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(level)


class View(optuna.Study):
    """A study that returns its trials themselves: Optuna's figures would copy all of them once per parameter."""

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials, never copied."""
        return super().get_trials(deepcopy=False, states=states)


def study_of(
    reading: Reading, values: Mapping[int, float], *, keep_numbers: bool = False
) -> optuna.Study:
    """A study with one COMPLETE trial for each of `values` (trial -> value).

    Args:
        reading: the run.
        values: the trials that count, and their values.
        keep_numbers: whether a failed trial takes the place of every other one, so that numbers stay the run's.
    """
    records = {record.number: record for record in reading.records}
    distributions = _distributions(reading)
    numbers = range(max(values, default=-1) + 1) if keep_numbers else sorted(values)
    other = create_trial(state=TrialState.FAIL)
    trials = [
        _trial(reading, records[number], values[number], distributions)
        if number in values
        else other
        for number in numbers
    ]
    return _in_memory(reading, trials)


def resampled(
    reading: Reading, trials: Sequence[FrozenTrial], rng: np.random.Generator
) -> optuna.Study:
    """A study with as many of these trials, drawn with replacement: what others might have been."""
    drawn = rng.integers(len(trials), size=len(trials))
    return _in_memory(reading, [trials[place] for place in drawn])


def _in_memory(reading: Reading, trials: list[FrozenTrial]) -> optuna.Study:
    with quiet_optuna():
        study = optuna.create_study(
            study_name=plain(reading.label), direction=reading.space.metric.direction
        )
        study.add_trials(trials)
        return View(study.study_name, storage_of(study))


def _trial(
    reading: Reading,
    record: TrialRecord,
    value: float,
    distributions: Mapping[str, BaseDistribution],
) -> FrozenTrial:
    space = reading.space
    parameters: dict[str, Any] = {ARCHITECTURE: plain(record.architecture)}
    for name, parameter in space.parameters(record.architecture).items():
        if isinstance(parameter, Range) and name in record.parameters:
            given = record.parameters[name]
            parameters[space.study_name(record.architecture, name)] = _shown(given)
    return create_trial(
        state=TrialState.COMPLETE,
        value=value,
        params=parameters,
        distributions={name: distributions[name] for name in parameters},
    )


def _distributions(reading: Reading) -> dict[str, BaseDistribution]:
    """The distributions that the search had, by the study's names of the parameters."""
    found: dict[str, BaseDistribution] = {}
    for trial in reading.study.get_trials(deepcopy=False):
        if trial.distributions.keys() - found.keys():
            found |= {name: _escaped(each) for name, each in trial.distributions.items()}
    return found


def _escaped(distribution: BaseDistribution) -> BaseDistribution:
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    return CategoricalDistribution([_shown(choice) for choice in distribution.choices])


def _shown(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value
