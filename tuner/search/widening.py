"""Takes a search on in a wider space: its studies are written once more, in terms of that space.

Optuna wants one distribution per parameter and study, and refuses another choice under the same name. So the trials are
added to new studies of the same journal, with their numbers, scores and times; what was a constant, or was not
mentioned, becomes a parameter like any other, so that the sampler learns from all trials. The journal only grows, and a
new study counts once it is whole: a kill meanwhile loses nothing. Must not import Ray or Keras.
"""

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.journal import (
    CONFIRMATION,
    SEARCH,
    confirmation_in,
    name_in_space,
    number_of_space,
    study_in,
)
from tuner.run.optuna_internals import enqueued_parameters, with_enqueued_parameters
from tuner.run.records import StudyReader
from tuner.search.starters import first_trials
from tuner.settings.hyperparameters import Scalar
from tuner.settings.ranges import Choice, FloatRange, IntRange, Range
from tuner.settings.space import ARCHITECTURE, SearchSpace
from tuner.settings.widening import value_without, widened

# Of the largest models of the narrower space.
_NOT_TAKEN = {str(Attribute.SPACE), str(Attribute.GPU_MEMORY)}


def widen(
    storage: JournalStorage, search: optuna.Study, space: SearchSpace, journal: Path
) -> optuna.Study:
    """The study of the search in a space that holds its own; the finalists' study follows.

    The caller holds the run folder's lock.

    Args:
        journal: the file that `storage` reads.
    """
    narrow = StudyReader(search).space
    confirmation = confirmation_in(storage, search)
    number = number_of_space(search) + 1
    # It tells of trials of the study that counts until now.
    RunFolder(journal.parent).leaderboard_note.unlink(missing_ok=True)
    for name in (SEARCH, CONFIRMATION):
        if study_in(storage, name_in_space(name, number)) is not None:  # a killed session left it
            optuna.delete_study(study_name=name_in_space(name, number), storage=storage)
    terms = _Terms(narrow, space)
    if confirmation is not None:
        made = terms.written(storage, confirmation, name_in_space(CONFIRMATION, number))
        made.set_user_attr(Attribute.SPACE, space.to_mapping())
    made = terms.written(storage, search, name_in_space(SEARCH, number))
    if widened(narrow, space):
        trials = made.get_trials(deepcopy=False)
        begun = sum(trial.state is not TrialState.WAITING for trial in trials)
        made.set_user_attr(Attribute.NARROWER, begun)
    for parameters, attributes in first_trials(made, space, ()):
        made.enqueue_trial(parameters, user_attrs=attributes)
    made.set_user_attr(Attribute.SPACE, space.to_mapping())
    return made


class _Terms:
    """Rewrites trials of one space in terms of another one that holds it."""

    def __init__(self, narrow: SearchSpace, wide: SearchSpace) -> None:
        self._narrow = narrow
        self._wide = wide
        self._distributions: dict[str, BaseDistribution] = {
            ARCHITECTURE: CategoricalDistribution(list(wide.architectures))
        }
        # By architecture: the values of the parameters that only the wide space mentions.
        self._added: dict[str, dict[str, Scalar | None]] = {}
        for architecture in wide.architectures:
            for name, parameter in wide.parameters(architecture).items():
                if isinstance(parameter, Range):
                    study_name = wide.study_name(architecture, name)
                    self._distributions[study_name] = distribution_of(parameter)
        for architecture in narrow.architectures:
            self._added[architecture] = {
                name: value_without(narrow, architecture, name)
                for name in wide.parameters(architecture)
                if name not in narrow.parameters(architecture)
            }

    def written(self, storage: JournalStorage, study: optuna.Study, name: str) -> optuna.Study:
        """A new study with the trials and attributes of another one, but for its space."""
        made = optuna.create_study(storage=storage, study_name=name, directions=study.directions)
        if study.metric_names is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                made.set_metric_names(study.metric_names)
        for attribute, value in study.user_attrs.items():
            if attribute not in _NOT_TAKEN:
                made.set_user_attr(attribute, value)
        for trial in study.get_trials(deepcopy=False):
            made.add_trial(self._rewritten(trial))
        return made

    def _rewritten(self, trial: FrozenTrial) -> FrozenTrial:
        made = copy.copy(trial)
        made.params = self._parameters(trial.params)
        made.distributions = {name: self._distributions[name] for name in made.params}
        if enqueued := enqueued_parameters(trial):
            made = with_enqueued_parameters(made, self._parameters(enqueued))
        return made

    def _parameters(self, parameters: Mapping[str, Any]) -> dict[str, Scalar]:
        """Parameters as the wide space's study names them; those that were not sampled yet are absent."""
        if ARCHITECTURE not in parameters:
            return {}
        architecture = str(parameters[ARCHITECTURE])
        values = {**self._added[architecture], **self._narrow.values(parameters)}
        found: dict[str, Scalar] = {ARCHITECTURE: architecture}
        for name, parameter in self._wide.parameters(architecture).items():
            value = values.get(name)
            if isinstance(parameter, Range) and value is not None:
                found[self._wide.study_name(architecture, name)] = _as_in(parameter, value)
        return found


def distribution_of(parameter: Range) -> BaseDistribution:
    """What Optuna makes of a range when a trial samples it."""
    match parameter:
        case FloatRange(bounds=(low, high)):
            return FloatDistribution(low, high, log=parameter.log, step=parameter.step)
        case IntRange(bounds=(low, high)):
            return IntDistribution(low, high, log=parameter.log, step=parameter.step or 1)
        case _:
            return CategoricalDistribution(list(parameter.options))


def _as_in(parameter: Range, value: Scalar) -> Scalar:
    """The value of `parameter` that is equal to one of another range: 1.0 where that had 1."""
    if isinstance(parameter, FloatRange):
        return float(value)
    if isinstance(parameter, Choice):
        return next(option for option in parameter.options if option == value)
    return value
