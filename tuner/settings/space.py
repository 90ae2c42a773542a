"""Search spaces: YAML -> SearchSpace -> one trial's hyperparameters.

Optuna samples from a space, but this module does not import Optuna: it uses the trial that is passed in, so that
`tuner spaces` starts at once.
"""

import difflib
import keyword
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from tuner.errors import SpaceError
from tuner.settings.hyperparameters import (
    ARCHITECTURES,
    MODEL_PARAMETERS,
    Hyperparameters,
    Scalar,
    is_custom,
    resolve,
)
from tuner.settings.metric import Metric
from tuner.settings.ranges import (
    FloatRange,
    NamedChoice,
    Parameter,
    Parameters,
    Range,
    SuggestsValues,
)
from tuner.settings.validation import Strict, first_problem
from tuner.settings.yaml_files import parse_yaml, read_yaml, to_yaml

ARCHITECTURE = "architecture"  # the study's parameter that decides which others a trial has
_WHOLE_NUMBERS = frozenset(
    name for name, field in Hyperparameters.model_fields.items() if field.annotation is int
)
_NUMBERS = _WHOLE_NUMBERS | {
    name for name, field in Hyperparameters.model_fields.items() if field.annotation is float
}
# A custom architecture's parameters become columns of the leaderboard and arguments of its function, beside these.
RESERVED_NAMES = frozenset(
    {
        *("architecture", "baseline", "best_epoch", "custom", "device", "epochs", "error", "host"),
        *(
            "n_classes",
            "pareto",
            "rank",
            "run",
            "score",
            "score_error",
            "seconds",
            "seconds_per_epoch",
            "seed",
            "starter",
        ),
        *("started", "status", "trial", "tries", "val_accuracy", "val_loss", "weights"),
    }
)


class SearchSpace(Strict):
    """The parameters that a search may vary, the epochs of a trial, and the baselines that run first."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)
    description: str = ""
    metric: Metric = Metric()
    max_epochs: int = Field(9, ge=1)
    shared: Parameters = Field(default_factory=dict)
    architectures: dict[str, Parameters | None] = Field(min_length=1)
    baselines: tuple[dict[str, Scalar], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "SearchSpace":
        for architecture in self.architectures:
            _check_architecture(architecture)
            for where, name, parameter in self._located(architecture):
                _check_parameter(where, architecture, name, parameter)
        for index, baseline in enumerate(self.baselines):
            self.check_configuration(f"baselines[{index}]", baseline)
        return self

    # -- reading ------------------------------------------------------------------------------

    @classmethod
    def from_file(cls, path: Path) -> "SearchSpace":
        """The space in a YAML file.

        Raises:
            SpaceError: in one line, which field breaks which rule and what to write.
        """
        content = read_yaml(path, SpaceError)
        if "space" in content and "architectures" not in content:
            raise SpaceError(
                f"{path}: these are settings, which name a space; write --config {path}"
            )
        return cls.from_mapping(content, str(path))

    @classmethod
    def from_text(cls, text: str, where: str) -> "SearchSpace":
        """The space in YAML text; `where` names its origin in messages."""
        return cls.from_mapping(parse_yaml(text, where, SpaceError), where)

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], where: str) -> "SearchSpace":
        """The space in plain data, as YAML or JSON reads it."""
        try:
            return cls.model_validate(content)
        except ValidationError as cause:
            raise SpaceError(f"{where}: {first_problem(cause, known=cls.model_fields)}") from cause

    def to_mapping(self) -> dict[str, Any]:
        """The space as plain data; `from_mapping` of it is this space again."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def to_yaml(self) -> str:
        """The space as YAML text; `from_text` of it is this space again."""
        return to_yaml(self.to_mapping())

    def identity(self) -> list[object]:
        """Plain data that two spaces share where they are the same space to a search.

        Optuna refuses another order of choices, so that of the architectures counts; the description does not.
        """
        return [list(self.architectures), {**self.to_mapping(), "description": ""}]

    # -- parameters ---------------------------------------------------------------------------

    def parameters(self, architecture: str) -> Parameters:
        """Every parameter of one architecture's trials; its own win over the shared ones."""
        return {**self.shared, **(self.architectures[architecture] or {})}

    @cached_property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all parameters, without repetition, in the order of the file."""
        names = dict.fromkeys(self.shared)
        for architecture in self.architectures:
            names.update(dict.fromkeys(self.parameters(architecture)))
        return tuple(names)

    @cached_property
    def varied_names(self) -> tuple[str, ...]:
        """Names of the parameters that are searched in some architecture; the others follow from the architecture."""
        own = map(self.parameters, self.architectures)
        varied = {name for each in own for name, value in each.items() if isinstance(value, Range)}
        return tuple(name for name in self.parameter_names if name in varied)

    @cached_property
    def _differing(self) -> frozenset[str]:
        """Parameters whose range is not the same in all architectures that have one."""
        ranges: dict[str, Range] = {}
        differing = set()
        for architecture in self.architectures:
            for name, parameter in self.parameters(architecture).items():
                if isinstance(parameter, Range) and ranges.setdefault(name, parameter) != parameter:
                    differing.add(name)
        return frozenset(differing)

    def study_name(self, architecture: str, name: str) -> str:
        """The name in the Optuna study: the parameter's own, unless its range differs by architecture.

        Optuna wants one distribution per name, so `filters` becomes `cnn_lstm.filters` where it has to.
        """
        return f"{architecture}.{name}" if name in self._differing else name

    def suggest(self, trial: SuggestsValues) -> Hyperparameters:
        """Samples one configuration: the architecture first, then the parameters that it has."""
        architecture = trial.suggest_categorical(ARCHITECTURE, list(self.architectures))
        values: dict[str, Scalar] = {}
        for name, parameter in self.parameters(architecture).items():
            if isinstance(parameter, Range):
                values[name] = parameter.suggest(trial, self.study_name(architecture, name))
            else:
                values[name] = parameter
        return self.hyperparameters(architecture, values)

    def hyperparameters(self, architecture: str, values: Mapping[str, Scalar]) -> Hyperparameters:
        """The hyperparameters of these values, where a name in a choice by names stands for its value.

        Raises:
            SpaceError: as `resolve`.
        """
        known = self.parameters(architecture) if architecture in self.architectures else {}
        meant: dict[str, JsonValue] = dict(values)
        for name, value in values.items():
            parameter = known.get(name)
            if isinstance(parameter, NamedChoice) and parameter.contains(value):
                meant[name] = parameter.named[str(value)]
        return resolve(architecture, meant)

    def largest(self, architecture: str) -> list[Hyperparameters]:
        """The configurations of an architecture one of which takes the most memory.

        Of our own architectures it is one: every size at its upper bound, and of several words the one that needs most.
        What the parameters of a user's own architecture mean is unknown: each is also tried at its other values.
        """
        values: dict[str, Scalar] = {}
        others: list[tuple[str, Scalar]] = []
        for name, parameter in self.parameters(architecture).items():
            options = parameter.extremes() if isinstance(parameter, Range) else (parameter,)
            values[name] = _neediest(name, options)
            if name not in MODEL_PARAMETERS:
                others += [(name, option) for option in options if option != values[name]]
        changed = ({**values, name: option} for name, option in others)
        return [self.hyperparameters(architecture, each) for each in (values, *changed)]

    def values(self, study_parameters: Mapping[str, Any]) -> dict[str, Scalar]:
        """A trial's parameters by their own names, with the space's constants, from the study's names.

        Parameters that were not sampled yet are absent.
        """
        architecture = study_parameters.get(ARCHITECTURE)
        if architecture not in self.architectures:
            return {}
        values: dict[str, Scalar] = {}
        for name, parameter in self.parameters(architecture).items():
            study_name = self.study_name(architecture, name)
            if not isinstance(parameter, Range):
                values[name] = parameter
            elif study_name in study_parameters:
                values[name] = study_parameters[study_name]
        return values

    def baseline_parameters(self) -> Iterator[dict[str, Scalar]]:
        """The baselines as the study names their parameters, ready to be enqueued."""
        return map(self.study_parameters, self.baselines)

    def study_parameters(self, configuration: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """A complete configuration as the study names its parameters, ready to be enqueued."""
        architecture = str(configuration[ARCHITECTURE])
        named: dict[str, Scalar] = {ARCHITECTURE: architecture}
        for name, parameter in self.parameters(architecture).items():
            if isinstance(parameter, Range):
                named[self.study_name(architecture, name)] = configuration[name]
        return named

    def _located(self, architecture: str) -> Iterator[tuple[str, str, Parameter]]:
        own = self.architectures[architecture] or {}
        for name, parameter in self.shared.items():
            if name not in own:
                yield f"shared.{name}", name, parameter
        for name, parameter in own.items():
            yield f"architectures.{architecture}.{name}", name, parameter

    def check_configuration(self, where: str, baseline: Mapping[str, Scalar]) -> None:
        """Refuses a configuration, such as a baseline, that is incomplete or lies outside.

        Raises:
            ValueError: in one line that begins with `where`, and why.
        """
        architecture = baseline.get("architecture")
        if architecture not in self.architectures:
            raise ValueError(
                f"{where}.architecture: must be one of this space's ({', '.join(self.architectures)}), "
                f"got {architecture!r}"
            )
        parameters = self.parameters(str(architecture))
        for name, value in baseline.items():
            if name == "architecture":
                continue
            if name not in parameters:
                raise ValueError(
                    f"{where}.{name}: {architecture} has no such parameter in this space; "
                    f"remove it, or add it to the space"
                )
            parameter = parameters[name]
            inside = (
                parameter.contains(value) if isinstance(parameter, Range) else parameter == value
            )
            if not inside:
                raise ValueError(
                    f"{where}.{name}: must lie inside the space ({parameter}), got {value!r}; "
                    "change it, or widen the space"
                )
        missing = [
            name
            for name, parameter in parameters.items()
            if isinstance(parameter, Range) and name not in baseline
        ]
        if missing:
            raise ValueError(f"{where}: {missing[0]} is missing; a baseline gives every parameter")


# By memory, the one that takes most first: Adam keeps two moments per weight, SGD none; `max_mean` pools twice.
_NEEDIEST = {
    "optimizer": ("adamw", "adam", "rmsprop", "sgd"),
    "pooling": ("max_mean", "max", "mean", "last"),
}


def _neediest(name: str, options: tuple[Scalar, ...]) -> Scalar:
    """The option with which a training takes the most memory, as far as the parameter's meaning is known."""
    if name in _NEEDIEST:
        return min(options, key=lambda option: _NEEDIEST[name].index(str(option)))
    if any(isinstance(option, bool | str) for option in options):
        return options[0]
    return min(options) if name == "pool_size" else max(options)


def _check_architecture(architecture: str) -> None:
    if is_custom(architecture):
        module, _, function = architecture.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), function)):
            raise ValueError(
                f"architectures.{architecture}: must be package.module:function, got {architecture!r}"
            )
    elif architecture not in ARCHITECTURES:
        near = difflib.get_close_matches(architecture, ARCHITECTURES, n=1)
        advice = f"did you mean {near[0]}?" if near else f"write one of {', '.join(ARCHITECTURES)}"
        raise ValueError(f"architectures.{architecture}: no such architecture; {advice}")


def _check_parameter(where: str, architecture: str, name: str, parameter: Parameter) -> None:
    """Refuses a parameter that the architecture does not take, or values out of its bounds."""
    custom = is_custom(architecture)
    if isinstance(parameter, NamedChoice) and (not custom or name in MODEL_PARAMETERS):
        raise ValueError(
            f"{where}: values by names are for parameters of an architecture of your own; write the values as a list"
        )
    if custom and name not in MODEL_PARAMETERS:
        if name in RESERVED_NAMES:
            raise ValueError(
                f"{where}: the name is taken (columns of every leaderboard); choose another"
            )
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(
                f"{where}: must be a Python name, it is passed to a function; choose another"
            )
        return
    if name not in MODEL_PARAMETERS:
        near = difflib.get_close_matches(name, MODEL_PARAMETERS, n=1)
        advice = f"did you mean {near[0]}?" if near else "`tuner spaces --parameters` lists them"
        raise ValueError(f"{where}: no such parameter; {advice}")
    if not custom and name not in ARCHITECTURES[architecture].parameters:
        raise ValueError(
            f"{where}: {architecture} takes no {name}; move it under the architectures that do"
        )
    if name in _WHOLE_NUMBERS and isinstance(parameter, FloatRange):
        raise ValueError(f"{where}: {name} is a whole number; write int instead of float")
    for value in parameter.extremes() if isinstance(parameter, Range) else (parameter,):
        if name in _NUMBERS and isinstance(value, bool | str):
            raise ValueError(f"{where}: must be a number, got {value!r}")
        try:
            # One parameter at a time, so that the message is about this one.
            Hyperparameters.model_validate({"architecture": architecture, name: value})
        except ValidationError as cause:
            raise ValueError(f"{where}: {first_problem(cause).rule}") from cause
