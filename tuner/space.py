"""Search spaces: YAML -> SearchSpace -> one trial's hyperparameters.

A space is what Optuna samples from, yet this module knows Optuna only through the trial object it is handed, so that
`tuner spaces` starts at once.
"""

import difflib
import keyword
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from tuner.errors import SpaceError
from tuner.hyperparameters import (
    ARCHITECTURES,
    MODEL_PARAMETERS,
    Hyperparameters,
    Scalar,
    is_custom,
    resolve,
)
from tuner.validation import first_problem, one_line
from tuner.yaml_files import parse_yaml, read_yaml, to_yaml

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
        *("n_classes", "rank", "run", "score", "seconds", "seconds_per_epoch", "seed", "started"),
        *("status", "trial", "val_accuracy", "val_loss", "weights"),
    }
)
_LARGEST = 1e15  # floats are whole numbers' equals up to here; samplers calculate in floats


class SuggestsValues(Protocol):
    """The part of `optuna.Trial` that sampling a space needs."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )


class FloatRange(_Strict):
    """A real number between two bounds, both included."""

    bounds: tuple[float, float] = Field(alias="float")
    log: bool = False
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "FloatRange":
        _check_bounds(*self.bounds, log=self.log, step=self.step)
        return self

    def suggest(self, trial: SuggestsValues, name: str) -> float:
        low, high = self.bounds
        return trial.suggest_float(name, low, high, step=self.step, log=self.log)

    def contains(self, value: object) -> bool:
        low, high = self.bounds
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and low <= value <= high and _on_step(value, low, self.step)  # type: ignore[operator, arg-type]

    def extremes(self) -> tuple[Scalar, ...]:
        return self.bounds

    def __str__(self) -> str:
        return f"{self.bounds[0]:g} … {self.bounds[1]:g}{_suffix(self.log, self.step)}"


class IntRange(_Strict):
    """A whole number between two bounds, both included."""

    bounds: tuple[int, int] = Field(alias="int")
    log: bool = False
    step: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _check(self) -> "IntRange":
        _check_bounds(*self.bounds, log=self.log, step=self.step)
        return self

    def suggest(self, trial: SuggestsValues, name: str) -> int:
        low, high = self.bounds
        return trial.suggest_int(name, low, high, step=self.step or 1, log=self.log)

    def contains(self, value: object) -> bool:
        low, high = self.bounds
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and low <= value <= high and _on_step(value, low, self.step)  # type: ignore[operator, arg-type]

    def extremes(self) -> tuple[Scalar, ...]:
        return self.bounds

    def __str__(self) -> str:
        return f"{self.bounds[0]} … {self.bounds[1]}{_suffix(self.log, self.step)}"


class Choice(_Strict):
    """One of a few values."""

    options: tuple[Scalar, ...] = Field(alias="choice", min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "Choice":
        for index, option in enumerate(self.options):
            if any(option == other for other in self.options[:index]):
                raise ValueError(f"{option!r} is given twice; remove one")
        return self

    def suggest(self, trial: SuggestsValues, name: str) -> Scalar:
        value: Scalar = trial.suggest_categorical(name, list(self.options))
        return value

    def contains(self, value: object) -> bool:
        return any(option == value for option in self.options)

    def extremes(self) -> tuple[Scalar, ...]:
        return self.options

    def __str__(self) -> str:
        return " | ".join(str(option) for option in self.options)


def _kind(raw: Any) -> str | None:
    """Which of the forms a parameter is written in."""
    if isinstance(raw, FloatRange | IntRange | Choice):
        return {FloatRange: "float", IntRange: "int", Choice: "choice"}[type(raw)]
    if isinstance(raw, bool | int | float | str):
        return "constant"
    if isinstance(raw, Mapping):
        kinds = [kind for kind in ("float", "int", "choice") if kind in raw]
        return kinds[0] if len(kinds) == 1 else None
    return None


Parameter = Annotated[
    Annotated[FloatRange, Tag("float")]
    | Annotated[IntRange, Tag("int")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[Scalar, Tag("constant")],
    Discriminator(
        _kind,
        custom_error_type="parameter",
        custom_error_message=(
            "must be {float: [low, high]}, {int: [low, high]}, {choice: [a, b]} or one value"
        ),
    ),
]
Range = FloatRange | IntRange | Choice
Parameters = dict[str, Parameter]


class Mode(StrEnum):
    """Which way a metric is better."""

    MAX = "max"
    MIN = "min"


class MetricName(StrEnum):
    """What a trial can be scored by, measured on the validation split after every epoch."""

    VAL_ACCURACY = "val_accuracy"
    VAL_F1 = "val_f1"
    VAL_LOSS = "val_loss"


class Metric(_Strict):
    """What makes one trial better than another."""

    name: MetricName = MetricName.VAL_ACCURACY
    mode: Mode = Mode.MAX

    @model_validator(mode="after")
    def _check(self) -> "Metric":
        right = Mode.MIN if self.name is MetricName.VAL_LOSS else Mode.MAX
        if self.mode is not right:
            raise ValueError(f"mode of {self.name} must be {right}, got {self.mode}")
        return self

    def best(self, values: Mapping[int, float]) -> int:
        """The epoch with the best of `values` (epoch -> value); the earliest of equals."""
        sign = -1.0 if self.mode is Mode.MAX else 1.0
        return min(values, key=lambda epoch: (sign * values[epoch], epoch))


class SearchSpace(_Strict):
    """What a search may vary, the epochs a trial may take, and the baselines that run first."""

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
            self._check_baseline(f"baselines[{index}]", baseline)
        return self

    # -- reading ------------------------------------------------------------------------------

    @classmethod
    def from_file(cls, path: Path) -> "SearchSpace":
        """The space in a YAML file.

        Raises:
            SpaceError: in one line, which field breaks which rule and what to write.
        """
        return cls.from_mapping(read_yaml(path, SpaceError), str(path))

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

        Optuna wants one distribution a name, so `filters` becomes `cnn_lstm.filters` where it has to.
        """
        return f"{architecture}.{name}" if name in self._differing else name

    def suggest(self, trial: SuggestsValues) -> Hyperparameters:
        """Samples one configuration: the architecture first, then the parameters that it has."""
        architecture = trial.suggest_categorical("architecture", list(self.architectures))
        values: dict[str, Scalar] = {}
        for name, parameter in self.parameters(architecture).items():
            if isinstance(parameter, Range):
                values[name] = parameter.suggest(trial, self.study_name(architecture, name))
            else:
                values[name] = parameter
        return resolve(architecture, values)

    def values(self, study_parameters: Mapping[str, Any]) -> dict[str, Scalar]:
        """A trial's parameters by their own names, with the space's constants, from the study's names.

        Parameters that were not sampled yet are absent.
        """
        architecture = study_parameters.get("architecture")
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
        for baseline in self.baselines:
            architecture = str(baseline["architecture"])
            named: dict[str, Scalar] = {"architecture": architecture}
            for name, parameter in self.parameters(architecture).items():
                if isinstance(parameter, Range):
                    named[self.study_name(architecture, name)] = baseline[name]
            yield named

    def _located(self, architecture: str) -> Iterator[tuple[str, str, Parameter]]:
        own = self.architectures[architecture] or {}
        for name, parameter in self.shared.items():
            if name not in own:
                yield f"shared.{name}", name, parameter
        for name, parameter in own.items():
            yield f"architectures.{architecture}.{name}", name, parameter

    def _check_baseline(self, where: str, baseline: Mapping[str, Scalar]) -> None:
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


# -- built-in spaces --------------------------------------------------------------------------


def builtin_space_names() -> list[str]:
    """Names of the spaces that come with the package."""
    return sorted(path.stem for path in _builtin_folder().glob("*.yaml"))


def find_space(name_or_path: str, *, relative_to: Path | None = None) -> SearchSpace:
    """The space in a file, or a built-in one by its name.

    Raises:
        SpaceError: neither exists, or the space is not valid.
    """
    # os.path, because pathlib raises on `~nobody` and on names too long for the file system.
    path = Path(os.path.expanduser(name_or_path))
    if relative_to is not None and not path.is_absolute():
        path = relative_to / path
    if path.suffix in {".yaml", ".yml"} or os.path.isfile(path):
        if not os.path.exists(path):
            raise SpaceError(f"{one_line(name_or_path)}: no such file; {_what_exists(path.stem)}")
        return SearchSpace.from_file(path)
    if name_or_path in builtin_space_names():
        return SearchSpace.from_file(_builtin_folder() / f"{name_or_path}.yaml")
    raise SpaceError(
        f"{name_or_path!r} is neither a file nor a built-in space; {_what_exists(name_or_path)}"
    )


def _builtin_folder() -> Path:
    # A checkout comes first: an editable install leaves a stale copy behind (measured).
    checkout = Path(__file__).resolve().parent.parent / "search_spaces"
    if checkout.is_dir() and (checkout.parent / "pyproject.toml").is_file():
        return checkout
    return Path(str(resources.files("tuner") / "_builtin" / "search_spaces"))


def _what_exists(wanted: str) -> str:
    names = builtin_space_names()
    near = difflib.get_close_matches(wanted, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"write a YAML file's path or one of {', '.join(names)}"


# -- checks -----------------------------------------------------------------------------------


def _check_bounds(low: float, high: float, *, log: bool, step: float | None) -> None:
    if max(abs(low), abs(high)) > _LARGEST:
        raise ValueError(f"bounds must lie between -{_LARGEST:g} and {_LARGEST:g}")
    if low > high:
        raise ValueError(f"low must be below high, got {low} and {high}; swap them")
    if low == high:
        raise ValueError(f"low must be below high, got {low} twice; write the value alone: {low}")
    if log and low <= 0:
        raise ValueError(f"low must be above 0 with log: true, got {low}")
    if log and step is not None:
        raise ValueError("log and step exclude each other; remove one")
    if not _on_step(high, low, step):
        # Optuna would lower `high` and warn at every trial.
        raise ValueError(
            f"high must be low and some whole steps, got {low}, {high} and step {step}"
        )


def _on_step(value: float, low: float, step: float | None) -> bool:
    if step is None:
        return True
    steps = (value - low) / step
    return abs(steps - round(steps)) < 1e-8


def _suffix(log: bool, step: float | None) -> str:
    return (" (log)" if log else "") + (f" (step {step:g})" if step is not None else "")


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
            # Validated beside the custom ones, so that one field at a time is looked at.
            Hyperparameters.model_validate({"architecture": architecture, name: value})
        except ValidationError as cause:
            raise ValueError(f"{where}: {first_problem(cause, field=False)}") from cause
