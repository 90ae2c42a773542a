"""Finds the ranges at whose end the best trial lies: beyond it there may be better ones, out of the search's reach."""

import math

from tuner.run.records import TrialRecord
from tuner.settings.ranges import Choice, FloatRange, IntRange
from tuner.settings.space import SearchSpace
from tuner.text import number_text

_NEAR = 0.03  # of the range's length, on its own scale


def edge_of(space: SearchSpace, best: TrialRecord, name: str) -> str | None:
    """The advice to widen the range of a parameter; None where the best trial lies well inside."""
    if best.baseline:
        return None  # a person chose its values
    parameter = space.parameters(best.architecture).get(name)
    value = best.parameters.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(parameter, Choice):
        low, high = _ends(parameter)
        near = None if low is None else "low" if value == low else "high" if value == high else None
    elif isinstance(parameter, FloatRange | IntRange):
        low, high = parameter.bounds
        near = _near(value, low, high, log=parameter.log)
    else:
        return None
    if near is None:
        return None
    end, number = ("lower", low) if near == "low" else ("upper", high)
    if near == "low" and number == 0:
        return None  # such as a dropout of 0: there is nothing below
    where = f"{name} = {number_text(value)}, {end} end {number_text(number)}"
    return f"the best trial lies at the end of a range ({where}): widen it"


def edges(space: SearchSpace, best: TrialRecord) -> list[str]:
    """The advice for every parameter of the best trial that lies at an end of its range."""
    found = (edge_of(space, best, name) for name in space.parameters(best.architecture))
    return [each for each in found if each is not None]


def _ends(choice: Choice) -> tuple[float | None, float | None]:
    """The smallest and the largest option; None each where not all are numbers or there are fewer than three."""
    numbers = [o for o in choice.options if isinstance(o, int | float) and not isinstance(o, bool)]
    if len(numbers) < len(choice.options) or len(numbers) < 3:
        return None, None
    return min(numbers), max(numbers)


def _near(value: float, low: float, high: float, *, log: bool) -> str | None:
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    share = (value - low) / (high - low)
    if share <= _NEAR:
        return "low"
    return "high" if share >= 1 - _NEAR else None
