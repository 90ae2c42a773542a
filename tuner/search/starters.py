"""The trials that a search begins with: the space's baselines, then configurations that were good in earlier runs.

An earlier run may mislead, on other data. So there are few of its configurations, they stop like any trial, and what
they cost is all that it can cost. Must not import Ray or Keras.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import zip_longest
from typing import Any

import optuna

from tuner.errors import ConfigError, UsageError
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.folder import RunFolder
from tuner.run.optuna_internals import enqueued_parameters
from tuner.run.records import ranked
from tuner.run.run_file import read_run_file
from tuner.settings.config import SearchConfig, TrainerName
from tuner.settings.embeddings import starting_from_vectors
from tuner.settings.hyperparameters import Scalar, resolve
from tuner.settings.ranges import Range
from tuner.settings.space import ARCHITECTURE, SearchSpace
from tuner.settings.starters import Starter

MOST_OF_A_RUN = 3  # each of another architecture
MOST = 6


def first_trials(
    study: optuna.Study, space: SearchSpace, starters: Sequence[Starter]
) -> Iterator[tuple[dict[str, Scalar], dict[str, Any]]]:
    """Parameters and attributes of each trial to be enqueued, but for those of an earlier start that was killed."""
    first: list[tuple[dict[str, Scalar], dict[str, Any]]] = [
        (each, {str(Attribute.BASELINE): True}) for each in space.baseline_parameters()
    ]
    for starter in starters:
        attributes = {str(Attribute.STARTER): starter.trial}
        first.append((space.study_parameters(starter.configuration), attributes))
    for parameters, attributes in first:
        known = map(enqueued_parameters, study.get_trials(deepcopy=False))
        if parameters not in list(known):
            yield parameters, attributes


def with_starters(folder: RunFolder, config: SearchConfig) -> SearchConfig:
    """The settings with the starters of the run in `folder`, which has them recorded, or of a new one.

    Raises:
        ConfigError: there is nothing to learn from in one of the runs, or the run in `folder` began without.
    """
    asked = config.starters
    if folder.journal.is_file() and folder.run_file.is_file():
        recorded = read_run_file(folder).config
        starters = recorded.starters
        if starters is None and asked is not None and asked.learn_from:
            raise ConfigError.of(
                "learn_from",
                f"{config.place} began without starters, which are tried first; leave it out, or choose "
                "another --name",
            )
        if starters is not None:
            found = (_in_wider_space(each, recorded.space, config) for each in starters.found)
            starters = starters.model_copy(update={"found": tuple(found)})
        return config.model_copy(update={"starters": starters})
    return with_found_starters(config)


def with_found_starters(config: SearchConfig) -> SearchConfig:
    """The settings of a new run, with the starters that its runs to learn from have.

    Raises:
        ConfigError: as above, or starters that a file of settings records do not lie in the space.
    """
    asked = config.starters
    if asked is None:
        return config
    space = _space_of_trials(config)
    if asked.learn_from:
        of_runs = [_starters_of(place, config, space) for place in asked.learn_from]
        in_turn = [each for same_rank in zip_longest(*of_runs) for each in same_rank if each]
        distinct: dict[str, Starter] = {}
        for each in in_turn:
            distinct.setdefault(str(sorted(each.configuration.items())), each)
        asked = asked.model_copy(update={"found": tuple(distinct.values())[:MOST]})
    found = []
    for number, starter in enumerate(asked.found):  # a file may have been edited
        configuration = _completed(space, starter.configuration)
        try:
            space.check_configuration(f"starters.found[{number}]", configuration)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        found.append(starter.model_copy(update={"configuration": configuration}))
    asked = asked.model_copy(update={"found": tuple(found)})
    return config.model_copy(update={"starters": asked})


def _space_of_trials(config: SearchConfig) -> SearchSpace:
    """The space as trials sample it; with word vectors it fixes the embedding size, at any value until they are read.

    Raises:
        ConfigError: it has an architecture that cannot start from them.
    """
    vectors = config.data.vectors
    return config.space if vectors is None else starting_from_vectors(config.space, 1)


def _completed(space: SearchSpace, configuration: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    """A configuration with the parameters that it lacks at their defaults; one outside of the space is unchanged."""
    try:
        inside = configuration_in(space, str(configuration.get(ARCHITECTURE)), configuration)
    except Outside:
        return configuration
    return {**configuration, **inside}


def _in_wider_space(starter: Starter, narrow: SearchSpace, config: SearchConfig) -> Starter:
    """A recorded starter with what the narrower space fixed, and the wider one varies."""
    architecture = str(starter.configuration[ARCHITECTURE])
    own = narrow.parameters(architecture)
    fixed = {name: value for name, value in own.items() if not isinstance(value, Range)}
    parameters = {**fixed, **starter.configuration}
    try:
        found = configuration_in(_space_of_trials(config), architecture, parameters)
    except Outside:
        return starter
    return starter.model_copy(update={"configuration": found})


def in_narrower_space(config: SearchConfig, space: SearchSpace) -> SearchConfig:
    """The settings with `space`, which fixes some parameters that the starters still have."""
    starters = config.starters
    if starters is not None:
        found = [
            each.model_copy(update={"configuration": _varied(space, each.configuration)})
            for each in starters.found
        ]
        starters = starters.model_copy(update={"found": tuple(found)})
    return config.model_copy(update={"space": space, "starters": starters})


def _varied(space: SearchSpace, configuration: Mapping[str, Scalar]) -> dict[str, Scalar]:
    known = space.parameters(str(configuration[ARCHITECTURE]))
    return {
        name: value
        for name, value in configuration.items()
        if name == ARCHITECTURE or isinstance(known.get(name), Range)
    }


def _starters_of(place: str, config: SearchConfig, searched: SearchSpace) -> list[Starter]:
    """The best trials of a run that lie in the space, at most one of each architecture, best first."""
    try:
        run = Run(place, read_only=True)
        space, records = run.space, run.reader.records()
        trainer = run.recorded.config.trainer
    except UsageError as error:
        raise ConfigError.of("learn_from", str(error)) from error
    if trainer is TrainerName.TOY and config.trainer is not TrainerName.TOY:
        raise ConfigError.of(
            "learn_from",
            f"{place}: this run was a rehearsal, its trials trained nothing; leave it out",
        )
    worked = [each for each in records if each.status.has_worked and each.ranked_score is not None]
    if not worked:
        raise ConfigError.of(
            "learn_from",
            f"{place}: no trial of this run has ended in order, so nothing can be learned from it; "
            "leave it out",
        )
    found: dict[str, Starter] = {}
    reasons = []
    for record in ranked(worked, space.metric):
        if record.architecture in found:
            continue
        try:
            configuration = configuration_in(searched, record.architecture, record.parameters)
        except Outside as outside:
            reasons.append(str(outside))
            continue
        starter = Starter(trial=f"{run.name}:{record.number}", configuration=configuration)
        found[record.architecture] = starter
    if not found:
        raise ConfigError.of(
            "learn_from",
            f"{place}: none of its configurations lies in this space (of the best one {reasons[0]}); "
            "leave it out, or widen the space",
        )
    return list(found.values())[:MOST_OF_A_RUN]


class Outside(Exception):
    """A configuration does not lie in the space; why."""


def configuration_in(
    space: SearchSpace, architecture: str, parameters: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """A configuration's values of the parameters that the space varies; those that it does not have, at their defaults.

    Raises:
        Outside: one of them is outside. Parameters that the space fixes have its values.
    """
    if architecture not in space.architectures:
        raise Outside(f"{ARCHITECTURE} {architecture} is outside")
    defaults = vars(resolve(architecture, {}))
    configuration: dict[str, Scalar] = {ARCHITECTURE: architecture}
    for name, parameter in space.parameters(architecture).items():
        if not isinstance(parameter, Range):
            continue
        value = parameters.get(name, defaults.get(name))
        value = value.value if isinstance(value, Enum) else value
        if value is None or not parameter.contains(value):
            raise Outside(f"{name} {value} is outside of {parameter}")
        configuration[name] = value
    return configuration
