"""The configurations that `tuner train` trains: a row of a leaderboard (`RUN:17`), or parameters (`lstm_units=64 …`).

Must not import Keras or Ray.
"""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuner.errors import ConfigError, RunFolderError, SpaceError
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.run.records import TrialRecord
from tuner.run.score_errors import ValidationRows
from tuner.run.sessions import versions_at
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import TrainerName
from tuner.settings.data import DataConfig
from tuner.settings.hyperparameters import ARCHITECTURES, Hyperparameters, Scalar, resolve
from tuner.settings.metric import Metric
from tuner.settings.space import ARCHITECTURE, SearchSpace
from tuner.settings.yaml_files import parse_yaml
from tuner.training.gpus_of_machine import default_gpus
from tuner.training.own_modules import check_named, name_modules_of
from tuner.training.single.settings import TRAIN_SETTINGS, Settings
from tuner.training.spec import TrialSpec, derive_seed

_ROW = re.compile(r"(?P<run>.+):(?P<trial>[0-9]+)")
_PARAMETER = re.compile(r"[^\s=]+=\S+")
_DEFAULT_ARCHITECTURE = "lstm"


@dataclass(frozen=True)
class Row:
    """A row of a leaderboard, to be compared with."""

    run: str
    record: TrialRecord
    fingerprint: str  # of the data it learned from
    vectors: str | None  # digest of the word vectors it started from; None: of none
    versions: Mapping[str, str]  # of what trained it
    cpus: float
    is_unchanged: bool  # the same seed, as many epochs


@dataclass(frozen=True)
class Configuration:
    """One training."""

    title: str
    spec: TrialSpec  # the schedule of the learning rate follows its `max_epochs`
    epochs: int  # to train: of a row that did not break, as many as it ran
    parameters: Mapping[str, Scalar]  # as they were requested, for people
    data: DataConfig
    metric: Metric
    cpus: float
    gpus: float
    are_gpus_asked: bool = True
    row: Row | None = None


def read_configurations(words: Sequence[str], settings: Settings) -> list[Configuration]:
    """The configurations that `words` name, in their order.

    A word is a row, or one parameter. All words with one parameter make one configuration together. A word with spaces
    in it is a configuration of its own.

    Raises:
        UsageError: in one line, what is wrong with one of them.
    """
    loose = [word for word in words if _PARAMETER.fullmatch(word) and not _is_row(word)]
    rows = [word for word in words if _is_row(word)]
    if loose and rows:
        raise ConfigError(
            f"{loose[0]}: a row ({rows[0]}) is trained as it was; leave it out, or write a configuration of its own "
            f'in quotes: "{ARCHITECTURE}=lstm {loose[0]}"'
        )
    configurations = []
    runs: dict[str, Run] = {}  # each read once, however many of its rows are named
    for word in words:
        if word in loose:
            if word == loose[0]:
                configurations.append(_of_parameters(loose, settings))
        elif _is_row(word):
            configurations.append(_of_row(word, settings, runs))
        else:
            parts = word.split()
            if not parts or not all(map(_PARAMETER.fullmatch, parts)):
                raise _neither(word)
            configurations.append(_of_parameters(parts, settings))
    if settings.data is not None and all(each.row is not None for each in configurations):
        given = settings.model_dump(exclude_unset=True)
        first = next(each for each in TRAIN_SETTINGS if each.value_in(given) is not None)
        raise ConfigError(f"{first.flag}: a row is trained on its run's data again; leave it out")
    configurations = _with_default_gpus(configurations)
    shares = {(each.cpus, each.gpus) for each in configurations}
    if len(shares) > 1:  # a process is configured once
        raise ConfigError(
            "these trainings had different shares of their machine; train them one by one, or give --cpus and --gpus"
        )
    return configurations


def _with_default_gpus(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Those that nobody has asked GPUs for with what the others have, or with one of this machine's."""
    shares = [each.gpus for each in configurations if each.are_gpus_asked]
    if len(shares) == len(configurations):
        return list(configurations)
    gpus = shares[0] if shares else float(default_gpus() == "auto")
    return [each if each.are_gpus_asked else replace(each, gpus=gpus) for each in configurations]


def _is_row(word: str) -> bool:
    return _ROW.fullmatch(word) is not None and not word.startswith(f"{ARCHITECTURE}=")


def _neither(word: str) -> ConfigError:
    name = word.partition("=")[0]
    if name in Hyperparameters.model_fields:
        return ConfigError(f"{word}: has no value; write {name}=VALUE")
    near = difflib.get_close_matches(word, ARCHITECTURES, n=1)
    if near:
        return ConfigError(f"{word}: did you mean {ARCHITECTURE}={near[0]}?")
    if RunFolder(Path(os.path.expanduser(word))).journal.is_file():
        return ConfigError(f"{word}: names no row; write {word}:17, with a trial's number")
    return ConfigError(
        f"{word!r}: must be a row (RUN:17, a trial's number) or parameters (lstm_units=64 learning_rate=1e-3)"
    )


# -- parameters -----------------------------------------------------------------------------------


def _of_parameters(parts: Sequence[str], settings: Settings) -> Configuration:
    values = _values(parts)
    architecture = str(values.pop(ARCHITECTURE, _DEFAULT_ARCHITECTURE))
    space = _checked(architecture, values, " ".join(parts))
    name_modules_of([architecture])
    seed = settings.seed or 0
    epochs = settings.epochs or space.max_epochs
    gpus = 0.0 if settings.gpus is None else settings.gpus
    return Configuration(
        title=architecture,
        # As the first trial of a search with this seed.
        spec=TrialSpec(0, resolve(architecture, values), derive_seed(seed, "trial 0"), epochs),
        epochs=epochs,
        parameters=values,
        data=settings.data or DataConfig(),
        metric=space.metric,
        cpus=settings.cpus or 1.0,
        gpus=1.0 if gpus == "auto" else gpus,
        are_gpus_asked=settings.gpus is not None,
    )


def _values(parts: Sequence[str]) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {}
    for part in parts:
        name, _, text = part.partition("=")
        if name in values:
            raise ConfigError(
                f"{part}: {name} is given twice; of several configurations write each in quotes, with its "
                f'architecture: "{ARCHITECTURE}=lstm {part}"'
            )
        value = parse_yaml(f"value: {text}", part, ConfigError).get("value")
        if not isinstance(value, bool | int | float | str):
            raise ConfigError(f"{part}: must be one value, such as {name}=64")
        values[name] = value
    return values


def _checked(architecture: str, values: Mapping[str, Scalar], where: str) -> SearchSpace:
    """The space of this one configuration, with the parameters and bounds of every space."""
    content = {"name": "one", "architectures": {architecture: dict(values)}}
    try:
        return SearchSpace.from_mapping(content, where)
    except SpaceError as cause:
        # In the words of the command line: there is no space file here.
        message = str(cause).replace(f"architectures.{architecture}.", "")
        message = message.replace("architectures.", f"{ARCHITECTURE}=")
        raise SpaceError(
            message.replace("move it under the architectures that do", "write another architecture")
        ) from cause


# -- rows -----------------------------------------------------------------------------------------


def _of_row(word: str, settings: Settings, runs: dict[str, Run]) -> Configuration:
    match = _ROW.fullmatch(word)
    assert match is not None
    run = runs.setdefault(match["run"], Run(match["run"], read_only=True))
    recorded, config = run.recorded, run.recorded.config
    if config.trainer is TrainerName.TOY:
        raise RunFolderError(f"{word}: this run was a rehearsal, its trials trained nothing")
    records = run.reader.records()
    record = _record(records, int(match["trial"]), word)
    check_named([record.architecture], word)
    data = recorded.located_data()
    recorded.check_vectors(data)
    given = settings.gpus if settings.gpus is not None else config.gpus_per_trial
    is_own_seed, is_own_length = settings.seed is None, settings.epochs is None
    first = _first_try(records, record)
    run_seed = config.seed if is_own_seed else settings.seed or 0
    seed = derive_seed(run_seed, f"trial {first.number}")
    if is_own_seed and record.seed is not None:
        seed = record.seed
    parts = ValidationRows.of(run.reader.study.user_attrs).parts
    part = record.part if record.part is not None else first.number % (parts or 1)
    max_epochs = settings.epochs or config.epochs
    ran = max(record.curve, default=0)
    is_cut_short = record.status.is_ranked and is_own_length
    return Configuration(
        title=f"trial {record.number} of {match['run']}: {record.architecture}"
        + (f", validated by part {part} of {parts}" if parts else ""),
        spec=TrialSpec(
            record.number,
            config.space.hyperparameters(record.architecture, record.parameters),
            seed,
            max_epochs,
            part=part,
        ),
        epochs=ran if is_cut_short else max_epochs,
        parameters=record.parameters,
        data=data,
        metric=config.space.metric,
        cpus=settings.cpus or config.cpus_per_trial,
        gpus=1.0 if given == "auto" else given or 0.0,
        are_gpus_asked=given is not None,
        row=Row(
            run=match["run"],
            record=record,
            fingerprint=str(recorded.fingerprint and recorded.fingerprint.data),
            vectors=recorded.fingerprint.vectors if recorded.fingerprint else None,
            versions=versions_at(run.reader.sessions, record.started) or recorded.versions,
            cpus=config.cpus_per_trial,
            is_unchanged=is_own_seed and is_own_length,
        ),
    )


def _record(records: Sequence[TrialRecord], number: int, word: str) -> TrialRecord:
    record = next((each for each in records if each.number == number), None)
    if record is None:
        there = f"its trials are {records[0].number} to {records[-1].number}" if records else "none"
        raise RunFolderError(f"{word}: no such trial in this run; {there}")
    if record.status is TrialStatus.RUNNING or not record.architecture:
        raise RunFolderError(f"{word}: this trial has not ended; wait for it, or name another")
    return record


def _first_try(records: Sequence[TrialRecord], record: TrialRecord) -> TrialRecord:
    """That of a trial which runs again: seed and validation rows follow from its number, as in `SearchStudy`."""
    by_number = {each.number: each for each in records}
    while record.retry_of is not None:
        record = by_number[record.retry_of]
    return record
