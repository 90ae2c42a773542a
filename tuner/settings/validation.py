"""What is parsed at the edge: models that refuse what they do not know, and their report in one line."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tuner.text import one_line

# A parameter's form stands in pydantic's locations (discriminated union) but nowhere in the user's file:
# its place below each section.
_FORM_AT = {"shared": 2, "architectures": 3}
_FORMS = {
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "one_value": "one finite number, text, true or false",
}
_NUMBERS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
}
_ONE_VALUE = {"bool_type", "bool_parsing"}


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )


def first_problem(error: ValidationError, *, field: bool = True, known: Iterable[str] = ()) -> str:
    """The first problem of `error`, as `field: rule, got value`.

    Args:
        field: whether to begin with the field's name.
        known: keys to choose a suggestion from when a top-level key is unknown.
    """
    problem = _first(error)
    location = problem["loc"]
    where = _where(location) if field else ""
    if problem["type"] == "value_error":  # raised by our own validators: says everything but where
        rule = str(problem["ctx"]["error"])
    elif problem["type"] == "extra_forbidden":
        near = (
            difflib.get_close_matches(str(location[-1]), known, n=1) if len(location) == 1 else []
        )
        rule = f"unknown key; did you mean {near[0]}?" if near else "unknown key; remove it"
    elif problem["type"] == "missing":
        rule = "is missing; add it"
    elif problem["type"] == "string_pattern_mismatch":
        rule = f"must be letters, digits, '.', '_' or '-', got {_short(problem.get('input'))}"
    elif problem["type"] == "too_short":
        rule = f"needs at least {problem['ctx']['min_length']}, got {_short(problem.get('input'))}"
    elif problem["type"] == "too_long":
        rule = f"takes at most {problem['ctx']['max_length']}, got {_short(problem.get('input'))}"
    elif problem["type"] in _FORMS:
        rule = f"must be {_FORMS[problem['type']]}, got {_short(problem.get('input'))}"
    elif problem["type"] in _NUMBERS:
        rule = f"must be {_NUMBERS[problem['type']]}, got {_short(problem.get('input'))}"
    elif problem["type"] == "parameter":
        rule = f"{problem['msg']}, got {_short(problem.get('input'))}"
    else:
        message = problem["msg"].replace("Input should", "must")
        rule = f"{message[:1].lower()}{message[1:]}, got {_short(problem.get('input'))}"
    return one_line(f"{where}: {rule}" if where else rule)


def _first(error: ValidationError) -> Any:
    """The problem to tell: an unknown key before a missing one, which it may be a misspelling of."""
    problems = error.errors(include_url=False)
    first = problems[0]
    if first["type"] == "missing":
        unknown = (p for p in problems if p["type"] == "extra_forbidden" and len(p["loc"]) == 1)
        first = next(unknown, first)
    if first["type"] in _ONE_VALUE and first["loc"] and first["loc"][-1] == "bool":
        # The first of the types that one value may have; nobody wrote that.
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
