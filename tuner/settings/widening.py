"""Whether a search space holds all of another one, so that a search of the narrower may go on in the wider."""

from collections.abc import Iterator

from tuner.settings.hyperparameters import Scalar, is_custom
from tuner.settings.ranges import Choice, FloatRange, IntRange, NamedChoice, Parameter, Range
from tuner.settings.space import SearchSpace

_UNKNOWN = "what its code has"  # of a person's own architecture


def not_held(narrow: SearchSpace, wide: SearchSpace) -> str | None:
    """The first thing in `narrow` that `wide` does not hold, in words; None where it holds all."""
    if narrow.metric != wide.metric:
        return "another metric"
    if narrow.max_epochs != wide.max_epochs:
        return f"max_epochs {wide.max_epochs}, not {narrow.max_epochs}"
    for architecture in narrow.architectures:
        if architecture not in wide.architectures:
            return f"no {architecture}"
        for name, before, after in _changed(architecture, narrow, wide):
            if not _holds(after, before):
                return f"{name} of {architecture} {_text(after)}, which does not hold all of {_text(before)}"
    return None


def widened(narrow: SearchSpace, wide: SearchSpace) -> tuple[str, ...]:
    """What a space that holds another one has more, in words, each thing once."""
    found: dict[str, None] = {}
    for architecture in wide.architectures:
        if architecture not in narrow.architectures:
            found[architecture] = None
            continue
        for name, before, after in _changed(architecture, narrow, wide):
            found[f"{name} {_text(after)} in place of {_text(before)}"] = None
    return tuple(found)


def other_space_text(reason: str) -> str:
    """Why a search does not go on in a space; `reason` is that of `not_held`."""
    return (
        f"belongs to a search with another space, this one has {reason}; choose another --name, or ask for the same "
        "space or a wider one, which holds all of it"
    )


def _changed(
    architecture: str, narrow: SearchSpace, wide: SearchSpace
) -> Iterator[tuple[str, Parameter | None, Parameter | None]]:
    """The parameters of an architecture that differ: name, before and after.

    Of one that a space does not mention `value_without`.
    """
    before, after = narrow.parameters(architecture), wide.parameters(architecture)
    for name in dict.fromkeys([*before, *after]):
        ours, theirs = (
            each[name] if name in each else value_without(space, architecture, name)
            for each, space in ((before, narrow), (after, wide))
        )
        if ours != theirs:
            yield name, ours, theirs


def value_without(space: SearchSpace, architecture: str, name: str) -> Scalar | None:
    """The value of a parameter that a space does not mention: its default.

    None where that is no single value, and for a person's own architecture, whose defaults are its code's.
    """
    if is_custom(architecture):
        return None
    values = {
        each: parameter.extremes()[0] if isinstance(parameter, Range) else parameter
        for each, parameter in space.parameters(architecture).items()
    }
    value = getattr(space.hyperparameters(architecture, values), name)
    if isinstance(value, str):
        return str(value)  # not a member of an enumeration
    return value if isinstance(value, bool | int | float) else None


def _holds(wide: Parameter | None, narrow: Parameter | None) -> bool:
    """Whether every value of `narrow` is one of `wide`."""
    if wide is None or narrow is None:
        return False
    if not isinstance(narrow, Range):
        if isinstance(wide, NamedChoice):  # a name is no value
            return False
        return wide.contains(narrow) if isinstance(wide, Range) else _is_equal(wide, narrow)
    if isinstance(narrow, NamedChoice):
        return isinstance(wide, NamedChoice) and narrow.named.items() <= wide.named.items()
    if isinstance(narrow, Choice):
        if not isinstance(wide, Choice | IntRange | FloatRange):
            return False
        return all(map(wide.contains, narrow.options))
    if isinstance(wide, IntRange | FloatRange) and type(wide) is type(narrow):
        return all(map(wide.contains, narrow.bounds)) and _has_steps(wide, narrow)
    return False


def _has_steps(wide: IntRange | FloatRange, narrow: IntRange | FloatRange) -> bool:
    """Whether every step of `narrow` is one of `wide`, which has its ends."""
    if wide.step is None or (isinstance(wide, IntRange) and wide.step == 1):
        return True
    if narrow.step is None:
        return False
    return wide.contains(narrow.bounds[0] + narrow.step)


def _is_equal(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _text(parameter: Parameter | None) -> str:
    return _UNKNOWN if parameter is None else str(parameter)
