"""The forms of a parameter in a space: a range of real or whole numbers, a choice, or one value.

They sample through the trial that is passed in. Must not import Optuna.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from tuner.settings.hyperparameters import Scalar
from tuner.settings.validation import Strict

_LARGEST = 1e15  # samplers calculate in floats, which are exact for whole numbers up to here


class SuggestsValues(Protocol):
    """The part of `optuna.Trial` that sampling a space needs."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


class FloatRange(Strict):
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


class IntRange(Strict):
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


class Choice(Strict):
    """One of a few values."""

    options: tuple[Scalar, ...] = Field(alias="choice", min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "Choice":
        for index, option in enumerate(self.options):
            for other in self.options[:index]:
                if option == other and type(option) is not type(other):  # 1, 1.0 and true
                    raise ValueError(
                        f"{other!r} and {option!r} count as one value; write one of them as text, in quotes"
                    )
                if option == other:
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


class NamedChoice(Strict):
    """One of a few values of any kind, such as null, lists and mappings, by their names.

    Studies and leaderboards have the names; the function of a person's own architecture gets the values.
    """

    named: Mapping[str, JsonValue] = Field(alias="choice", min_length=1)

    @property
    def options(self) -> tuple[str, ...]:
        """The names."""
        return tuple(self.named)

    def suggest(self, trial: SuggestsValues, name: str) -> Scalar:
        value: Scalar = trial.suggest_categorical(name, list(self.options))
        return value

    def contains(self, value: object) -> bool:
        return value in self.options

    def extremes(self) -> tuple[Scalar, ...]:
        return self.options

    def __str__(self) -> str:
        return " | ".join(f"{name} = {json.dumps(value)}" for name, value in self.named.items())


def _kind(raw: Any) -> str | None:
    """The form that a parameter is written in."""
    if isinstance(raw, FloatRange | IntRange | Choice | NamedChoice):
        return {FloatRange: "float", IntRange: "int", Choice: "choice", NamedChoice: "named"}[
            type(raw)
        ]
    if isinstance(raw, bool | int | float | str):
        return "constant"
    if isinstance(raw, Mapping):
        kinds = [kind for kind in ("float", "int", "choice") if kind in raw]
        if kinds == ["choice"] and isinstance(raw["choice"], Mapping):
            return "named"
        return kinds[0] if len(kinds) == 1 else None
    return None


Parameter = Annotated[
    Annotated[FloatRange, Tag("float")]
    | Annotated[IntRange, Tag("int")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[NamedChoice, Tag("named")]
    | Annotated[Scalar, Tag("constant")],
    Discriminator(
        _kind,
        custom_error_type="parameter",
        custom_error_message=(
            "must be {float: [low, high]}, {int: [low, high]}, {choice: [a, b]} or one value"
        ),
    ),
]
Range = FloatRange | IntRange | Choice | NamedChoice
Parameters = dict[str, Parameter]


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
