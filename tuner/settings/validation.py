"""Models that refuse unknown keys, and the first problem of a refused one as a line."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from tuner.text import one_line

# Pydantic's locations name a parameter's form (discriminated union), which is not in the user's file: its position
# in them, per section.
_FORM_AT = {"shared": 2, "architectures": 3}
_KINDS = {
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "one_value": "one finite number, text, true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
}
_ONE_VALUE = {"bool_type", "bool_parsing"}


def _none_if_off(given: object) -> object:
    return None if given == "off" else given


# Of a setting that `run.yaml` may have recorded: `off` takes it back.
OFF_IS_NONE = BeforeValidator(_none_if_off)


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, given: object, info: ValidationInfo) -> object:
        """Refuses true and false in place of numbers, where Python takes them for 1 and 0."""
        values = given if isinstance(given, list | tuple) else (given,)
        if any(isinstance(each, bool) for each in values):
            field = cls.model_fields[str(info.field_name)]
            kinds = set(_plain_kinds(Annotated[field.annotation, *field.metadata, None]))
            if bool not in kinds and any(issubclass(kind, int | float) for kind in kinds):
                raise ValueError(f"must be a number, got {_short(given)}")
        return given


@dataclass(frozen=True)
class Problem:
    """A value that breaks a rule; as text `field: rule, got value`."""

    location: tuple[int | str, ...]  # in the model
    rule: str  # what must hold, and what was given

    def __str__(self) -> str:
        where = one_line(_where(self.location))
        return f"{where}: {self.rule}" if where else self.rule


def first_problem(
    error: ValidationError, *, known: Iterable[str] = (), written: Mapping[str, str] | None = None
) -> Problem:
    """The first problem of `error`.

    Args:
        known: keys to choose a suggestion from when a top-level key is unknown.
        written: other names of settings, each with the form that a file has them in; they come before suggestions.
    """
    problem = _first(error)
    return Problem(problem["loc"], one_line(_rule(problem, known, written or {})))


def _rule(problem: Any, known: Iterable[str], written: Mapping[str, str]) -> str:
    location, kind = problem["loc"], problem["type"]
    given = f"got {_short(problem.get('input'))}"
    match kind:
        case "value_error":  # raised by our own validators: complete but for the place
            return str(problem["ctx"]["error"])
        case "extra_forbidden":
            form = written.get(str(location[-1]).replace("-", "_"))
            if form is not None and (len(location) == 1 or form.startswith(f"{location[0]}: ")):
                return f"unknown key; write {form}"
            if form is not None:
                section = location[0]
                return f"unknown key in {section}; remove it, or write {form} outside of {section}"
            near = difflib.get_close_matches(str(location[-1]), known, n=1)
            is_misspelt = near and len(location) == 1
            return f"unknown key; {f'did you mean {near[0]}?' if is_misspelt else 'remove it'}"
        case "missing":
            return "is missing; add it"
        case "string_pattern_mismatch":
            return f"must be letters, digits, '.', '_' or '-', and begin with a letter or a digit, {given}"
        case "string_too_long":
            return f"must have at most {problem['ctx']['max_length']} characters, {given}"
        case "too_short":
            return f"needs at least {problem['ctx']['min_length']}, {given}"
        case "too_long":
            return f"takes at most {problem['ctx']['max_length']}, {given}"
        case "parameter":
            return f"{problem['msg']}, {given}"
    if kind in _KINDS:
        is_own = kind == "one_value" and any(":" in str(part) for part in location)
        advice = "; give such values names: {choice: {small: [64], none: null}}" if is_own else ""
        if kind == "string_type" and isinstance(problem["input"], int | float):
            advice = "; put it in quotes"
        return f"must be {_KINDS[kind]}, {given}{advice}"
    message = problem["msg"].replace("Input should", "must")
    return f"{message[:1].lower()}{message[1:]}, {given}"


def _plain_kinds(annotation: Any) -> Iterator[type]:
    """The types of a field's values, or of those in its list; none where the field reads its values itself."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        if all(each == OFF_IS_NONE or not isinstance(each, BeforeValidator) for each in metadata):
            yield from _plain_kinds(inner)
    elif get_origin(annotation) in (Union, UnionType, list, tuple):
        for inner in get_args(annotation):
            yield from _plain_kinds(inner)
    elif isinstance(annotation, type):
        yield annotation


def _first(error: ValidationError) -> Any:
    """The problem to report. An unknown key comes before a missing one, which it may be a misspelling of."""
    problems = error.errors(include_url=False)
    first = problems[0]
    if first["type"] == "missing":
        unknown = (p for p in problems if p["type"] == "extra_forbidden" and len(p["loc"]) == 1)
        first = next(unknown, first)
    if first["type"] in _ONE_VALUE and first["loc"] and first["loc"][-1] == "bool":
        # Of the types that one value may have, pydantic names the first.
        return {**first, "type": "one_value", "loc": first["loc"][:-1]}
    return first


def _where(location: tuple[int | str, ...]) -> str:
    form_at = _FORM_AT.get(str(location[0])) if location else None
    text = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
        elif position != form_at:
            text += f".{part}" if text else part
    return text


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
