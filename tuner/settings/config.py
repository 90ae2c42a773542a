"""The settings of a search, each declared once: flags, keywords and `run.yaml` all become these models.

Must not import Ray, Keras or Optuna.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from tuner.errors import ConfigError
from tuner.nvidia import MpsMode
from tuner.settings.builtin import find_space
from tuner.settings.data import SOURCE_NAMES, DataConfig
from tuner.settings.declarations import Group, Names, Setting, declared_settings, setting_at
from tuner.settings.metric import MetricName
from tuner.settings.objectives import Cost, Objectives, TwoObjectives, check_metric, make_objectives
from tuner.settings.places import LONGEST_NAME, Place, TrackingPlace, default_run_name, working_copy
from tuner.settings.quantities import CountOrOff, Duration, GpusPerTrial
from tuner.settings.settings_files import RUN_NAME, read_settings
from tuner.settings.space import SearchSpace
from tuner.settings.starters import Starters
from tuner.settings.validation import OFF_IS_NONE, Strict, first_problem
from tuner.storage import is_url

DEFAULT_TRIALS = 30


class SamplerName(StrEnum):
    """How the next configuration is chosen."""

    MIXED = (
        "mixed"  # TPE and random search by turns, as SMAC interleaves them (Hutter et al., 2011)
    )
    TPE = "tpe"  # Bergstra et al., 2011, multivariate and by groups of conditional parameters
    RANDOM = "random"


class PrunerName(StrEnum):
    """How unpromising trials are stopped."""

    HALVING = "halving"  # asynchronous successive halving, Li et al., 2020
    HYPERBAND = "hyperband"  # Li et al., 2018; needs more than 10 trials per bracket
    NONE = "none"


def _default_pruner(settings: Mapping[str, Any]) -> PrunerName:
    """Halving where no patience ends a trial early: see docs/decisions/10-no-rungs.md.

    With two objectives, a trial that falls behind in one may lead in the other.
    """
    is_ended_early = settings.get("patience") or settings.get("objectives")
    return PrunerName.NONE if is_ended_early else PrunerName.HALVING


class TrainerName(StrEnum):
    """How a trial is trained."""

    KERAS = "keras"
    TOY = "toy"  # a closed learning curve instead of training: rehearses a search in seconds


class SearchConfig(Strict):
    """All settings of a search."""

    space: SearchSpace
    data: DataConfig = DataConfig()
    name: Annotated[
        str | None,
        Field(pattern=RUN_NAME, max_length=LONGEST_NAME),
        Setting(Group.TRACKING, "Name of the run", "NAME", unset="made of space and data"),
    ] = None
    out: Annotated[Place, Setting(Group.TRACKING, "Folder or URL of the runs", "PATH|URL")] = "runs"
    trials: Annotated[
        int | None,
        Field(ge=1),
        Setting(
            Group.BUDGET,
            "Stop at so many finished trials",
            "N",
            unset=f"{DEFAULT_TRIALS}, or no limit with a time budget",
        ),
    ] = None
    time_budget: Annotated[
        Duration | None,
        Setting(
            Group.BUDGET,
            "Stop after so long, such as 30m or 1h30m; a number is seconds",
            "TIME",
        ),
    ] = None
    max_epochs: Annotated[
        int | None,
        Field(ge=1),
        Setting(Group.BUDGET, "Most epochs of a trial", "N", unset="the space's"),
    ] = None
    patience: Annotated[
        CountOrOff,
        Setting(
            Group.BUDGET,
            "A trial ends after so many epochs in a row without a lower validation loss; it is complete",
            "N|off",
        ),
    ] = 1
    stop_when_flat: Annotated[
        bool,
        Setting(Group.BUDGET, "End the search where more trials would hardly find a better one"),
    ] = False
    cpus_per_trial: Annotated[
        float, Field(ge=0.001), Setting(Group.RESOURCES, "CPUs per trial", "N")
    ] = 1.0  # Ray counts ten-thousandths
    gpus_per_trial: Annotated[
        GpusPerTrial | None,
        Setting(
            Group.RESOURCES,
            "GPUs per trial, fractions allowed; auto runs as many trials on a GPU as fit",
            "N|auto",
            unset="auto where TensorFlow can use a GPU of this machine, else 0",
        ),
    ] = None
    mps: Annotated[
        MpsMode,
        Setting(
            Group.RESOURCES,
            "Whether NVIDIA MPS is started where trials share a GPU; without it they take turns on it",
        ),
    ] = MpsMode.AUTO
    max_concurrent: Annotated[
        int | None,
        Field(ge=1),
        Setting(Group.RESOURCES, "Most trials at once", "N", unset="as many as fit"),
    ] = None
    storage_path: Annotated[
        Place | None,
        OFF_IS_NONE,
        Setting(
            Group.RESOURCES,
            "Folder or URL that all nodes share; interrupted trials continue from their last epoch",
            "PATH|URL|off",
        ),
    ] = None
    retries: Annotated[
        int,
        Field(ge=0, le=100),
        Setting(
            Group.RESOURCES,
            "Most times that a trial runs again after its process died or hung",
            "N",
        ),
    ] = 2
    epoch_timeout: Annotated[
        Duration | None,
        OFF_IS_NONE,
        Setting(
            Group.RESOURCES,
            "Longest epoch, such as 30m; a trial that takes longer counts as hanging",
            "TIME|off",
            unset="ten times the slowest epoch so far, without any progress",
        ),
    ] = None
    rotate_validation: Annotated[
        bool,
        Setting(
            Group.DATA,
            "Validate each trial on a part of the training and validation rows, by turns; it learns from the rest",
        ),
    ] = False
    seed: Annotated[
        int, Field(ge=0, lt=2**31), Setting(Group.SEARCH, "Seed of sampler and trials", "N")
    ] = 0
    sampler: Annotated[
        SamplerName,
        Setting(
            Group.SEARCH,
            "How the next configuration is chosen: mixed is tpe, which learns from trials, and random by turns, "
            "because an average needs models that differ",
        ),
    ] = SamplerName.MIXED
    accept_changed_code: Annotated[
        bool,
        Setting(
            Group.SEARCH,
            "Continue although the code of an architecture of your own has changed; the leaderboard shows each trial's",
        ),
    ] = False
    starters: Starters | None = None
    objectives: Annotated[
        TwoObjectives | None,
        Setting(
            Group.SEARCH,
            f"Keep a cost low, too: the space's metric and {' or '.join(Cost)}. Nothing is pruned then",
            "METRIC,COST",
        ),
    ] = None
    pruner: Annotated[
        PrunerName,
        Setting(
            Group.SEARCH,
            "How unpromising trials are stopped",
            unset="none; halving with patience off",
        ),
    ] = Field(default_factory=_default_pruner)
    ensemble: Annotated[
        CountOrOff,
        Setting(
            Group.SEARCH,
            "Average so many of the best trials, usually better than one, and keep the weights of three times as many",
            "N|off",
            unset="5, or off with two objectives",
        ),
    ] = Field(default_factory=lambda given: 0 if given.get("objectives") else 5)
    no_reference: Annotated[
        bool,
        Setting(
            Group.SEARCH,
            "Train no linear reference (logistic regression on n-grams, in seconds), which the search's models are "
            "compared and averaged with",
        ),
    ] = False
    tensorboard: Annotated[
        bool, Setting(Group.TRACKING, "Write TensorBoard's event files into the run folder")
    ] = False
    mlflow: Annotated[
        TrackingPlace | None,
        OFF_IS_NONE,
        Setting(
            Group.TRACKING,
            "Log every trial to MLflow: a server's http address, or a SQLite file's path",
            "URL|PATH|off",
        ),
    ] = None
    address: Annotated[
        str | None,
        OFF_IS_NONE,
        Setting(
            Group.RESOURCES,
            "A running Ray cluster; off is this machine alone",
            "ADDRESS|off",
            unset="this machine alone",
        ),
    ] = None
    trainer: Annotated[
        TrainerName,
        Setting(
            Group.SEARCH,
            "How trials are trained; toy rehearses a search in seconds",
            is_hidden=True,
        ),
    ] = TrainerName.KERAS

    @field_validator("objectives")
    @classmethod
    def _check_objectives(
        cls, objectives: tuple[MetricName, Cost] | None, others: ValidationInfo
    ) -> tuple[MetricName, Cost] | None:
        if objectives is not None and "space" in others.data:
            check_metric(*objectives, own=others.data["space"].metric.name)
        return objectives

    @field_validator("pruner")
    @classmethod
    def _check_pruner(cls, pruner: PrunerName, others: ValidationInfo) -> PrunerName:
        if others.data.get("objectives") is not None and pruner is not PrunerName.NONE:
            raise ValueError(
                "must be none with two objectives, because a trial that falls behind in one may lead in the other, "
                f"got {str(pruner)!r}; write none"
            )
        return pruner

    @property
    def compared_by(self) -> Objectives:
        """The objectives that trials are compared by: the space's metric, and the cost where there is one."""
        return make_objectives(self.space.metric, self.objectives[1] if self.objectives else None)

    @property
    def gpus(self) -> float:
        """The most GPUs per trial: of `auto` a whole one, before it is measured how many trials share it."""
        return 1.0 if self.asked_gpus == "auto" else self.asked_gpus

    @property
    def asked_gpus(self) -> float | Literal["auto"]:
        """GPUs per trial; 0 where it is not given, see `tuner.execution.default_gpus`."""
        return 0.0 if self.gpus_per_trial is None else self.gpus_per_trial

    @property
    def run_name(self) -> str:
        """The run folder's name: given, or made of space and data, so that the same search finds it again."""
        return self.name or default_run_name(self.space.name, self.data.source)

    @property
    def is_mirrored(self) -> bool:
        """Whether the run folder is a working copy of one behind a URL."""
        return is_url(self.out)

    @property
    def place(self) -> str:
        """The run folder's path or URL, as other commands take it."""
        return f"{self.out.rstrip('/')}/{self.run_name}"

    @property
    def folder(self) -> Path:
        """The run folder, on this machine."""
        local = Path(os.path.expanduser(self.out)) / self.run_name
        return working_copy(self.place) if self.is_mirrored else local

    @property
    def epochs(self) -> int:
        """The most epochs a trial may take."""
        return self.max_epochs or self.space.max_epochs

    @property
    def trial_budget(self) -> int | None:
        """Finished trials to stop at; None when only the time is limited."""
        if self.trials is None and self.time_budget is None:
            return DEFAULT_TRIALS
        return self.trials

    def is_budget_used(self, *, trials: int, seconds: float) -> bool:
        """Whether so many trials, or so long a search, use the budget up."""
        has_all_trials = self.trial_budget is not None and trials >= self.trial_budget
        return has_all_trials or (self.time_budget is not None and seconds >= self.time_budget)


_BUDGETS = ("trials", "time_budget")
_OF_A_FILE = (
    "text_column",
    "label_column",
    "group_column",
    "encoding",
)  # no named data set has them


def make_config(
    settings: Mapping[str, Any], *, config_file: Path | None = None, names: Names = "keywords"
) -> SearchConfig:
    """The settings of one search. `settings` win over `config_file`.

    Args:
        settings: fields of `SearchConfig`, those of `DataConfig` under `data` as a mapping; None is not given.
        config_file: a YAML file of the same fields, such as the `run.yaml` of an earlier run.
        names: how messages call settings.

    Raises:
        ConfigError, SpaceError: in one line, which setting breaks which rule.
    """
    merged = read_settings(config_file) if config_file is not None else {}
    if any(settings.get(budget) is not None for budget in _BUDGETS):
        # A budget requested now is the whole budget: the recorded one of an earlier session must not end this one.
        merged = {key: value for key, value in merged.items() if key not in _BUDGETS}
    for key, value in settings.items():
        if key == "data":
            given = {name: part for name, part in value.items() if part is not None}
            in_file = merged.get("data") or {}
            if given.get("source") in SOURCE_NAMES:  # the file's columns are of other data
                in_file = {name: part for name, part in in_file.items() if name not in _OF_A_FILE}
            merged["data"] = {**in_file, **given}
        elif value is not None:
            merged[key] = value
    where = str(config_file) if config_file is not None else ""
    space = merged.get("space")
    if space is None:
        raise ConfigError("a search needs a space; name a YAML file or a built-in, e.g. seed")
    if isinstance(space, str | Path):
        merged["space"] = find_space(str(space))
    elif not isinstance(space, SearchSpace):
        merged["space"] = SearchSpace.from_mapping(space, f"{where}: space" if where else "space")
    try:
        return SearchConfig.model_validate(merged)
    except ValidationError as cause:
        declared = declared_settings(SearchConfig)
        written = {name: each.in_file for each in declared for name in (each.keyword, each.key)}
        problem = first_problem(cause, known=SearchConfig.model_fields, written=written)
        setting = setting_at(declared, problem.location)
        if setting is not None and setting.value_in(settings) is not None:
            raise ConfigError(f"{setting.named(names)}: {problem.rule}") from cause
        raise ConfigError(f"{where}: {problem}" if where else str(problem)) from cause
