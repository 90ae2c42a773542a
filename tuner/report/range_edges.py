"""Finds the ranges at whose end the best trials crowd: beyond it there may be better ones, out of the search's reach.

One trial tells nothing: of a space with ten ranges the best trial lies at some end nearly always. So the best tenth of
an architecture's trials must lie there more often than chance and the other trials explain.
"""

import math
from collections.abc import Sequence

from tuner.run.records import TrialRecord
from tuner.settings.ranges import Choice, FloatRange, IntRange, Parameter
from tuner.settings.space import SearchSpace
from tuner.text import number_text

_OUTER = 0.1  # of the range's length, on its own scale
_FEWEST = 5  # trials that count as the best ones, and values that a range must have
_LEVEL = 0.05  # of all ends of all ranges together


def edge_of(space: SearchSpace, scored: Sequence[TrialRecord], name: str) -> str | None:
    """The advice to widen the range of a parameter; None where the best trials lie where chance may put them.

    Args:
        scored: trials with a score, best first; those of the best one's architecture count, without baselines, whose
            values a person chose.
    """
    if not scored:
        return None
    ranges = space.parameters(scored[0].architecture)
    own = [each for each in scored if each.architecture == scored[0].architecture]
    values = [
        value
        for each in own
        if not each.baseline and isinstance(value := each.parameters.get(name), int | float)
    ]
    count = max(_FEWEST, math.ceil(len(values) / 10))
    best, others = values[:count], values[count:]
    parameter = ranges.get(name)
    ends = None if parameter is None else _ends(parameter)
    if parameter is None or ends is None or len(others) < count:
        return None
    level = _LEVEL / (2 * sum(_ends(each) is not None for each in ranges.values()))
    for end, number, share in ends:
        if end == "lower" and number == 0:
            continue  # such as a dropout of 0: there is nothing below
        at_end = sum(_is_at(parameter, value, end) for value in best)
        elsewhere = sum(_is_at(parameter, value, end) for value in others) / len(others)
        expected = max(share, elsewhere)
        if _at_least(at_end, count, expected) <= level:
            return (
                f"{at_end} of the best {count} trials lie at the end of a range ({name}, {end} end "
                f"{number_text(number)}), where chance would put {expected * count:.1f}: widen it"
            )
    return None


def edges(space: SearchSpace, scored: Sequence[TrialRecord]) -> list[str]:
    """The advice for every parameter of the best trial's architecture."""
    names = space.parameters(scored[0].architecture) if scored else ()
    found = (edge_of(space, scored, name) for name in names)
    return [each for each in found if each is not None]


_End = tuple[
    str, float, float
]  # which one, its number, and the share of random trials in its outer tenth


def _ends(parameter: Parameter) -> tuple[_End, _End] | None:
    """Both ends of a range of numbers; None where it has fewer than five values, or they are no numbers."""
    if isinstance(parameter, FloatRange) and parameter.step is None:
        low, high = parameter.bounds
        return ("lower", low, _OUTER), ("upper", high, _OUTER)
    values = _values(parameter)
    if len(values) < _FEWEST:
        return None
    weights = [1.0] * len(values)
    if isinstance(parameter, IntRange) and parameter.log:
        weights = [math.log((value + 0.5) / (value - 0.5)) for value in values]
    low_share, high_share = (
        sum(
            weight
            for value, weight in zip(values, weights, strict=True)
            if _is_at(parameter, value, end)
        )
        / sum(weights)
        for end in ("lower", "upper")
    )
    return ("lower", values[0], low_share), ("upper", values[-1], high_share)


def _values(parameter: Parameter) -> list[float]:
    """The values of a range that has some only, ascending; none of others."""
    if isinstance(parameter, Choice):
        numbers = [
            each
            for each in parameter.options
            if isinstance(each, int | float) and not isinstance(each, bool)
        ]
        return sorted(numbers) if len(numbers) == len(parameter.options) else []
    if isinstance(parameter, IntRange):
        low, high = parameter.bounds
        return list(range(low, high + 1, parameter.step or 1))
    if isinstance(parameter, FloatRange) and parameter.step is not None:
        start, stop = parameter.bounds
        count = round((stop - start) / parameter.step) + 1
        return [start + n * parameter.step for n in range(count)]
    return []


def _is_at(parameter: Parameter, value: float, end: str) -> bool:
    """Whether a value lies in the outer tenth of a range; of a choice, whether it is its last one."""
    if isinstance(parameter, FloatRange | IntRange):
        scale = math.log if parameter.log else float
        low, high = map(scale, parameter.bounds)
        share = (scale(value) - low) / (high - low)
        return share <= _OUTER if end == "lower" else share >= 1 - _OUTER
    values = _values(parameter)
    return value == (values[0] if end == "lower" else values[-1])


def _at_least(hits: int, count: int, share: float) -> float:
    """The chance of at least so many hits in `count` tries (binomial)."""
    ways = (
        math.comb(count, n) * share**n * (1 - share) ** (count - n) for n in range(hits, count + 1)
    )
    return sum(ways)
