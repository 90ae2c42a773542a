"""How this package words what it refuses: one line of where, rule, received and what to write."""

import reprlib

from tuner.errors import DataError

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def refusal(where: str, message: str) -> DataError:
    """The error to raise: `where: message`, white space collapsed so that it is always one line."""
    return DataError(" ".join(f"{where}: {message}".split()))


def excerpt(value: object) -> str:
    """`value` as Python writes it, cut to a length that fits a line and free of control characters."""
    return _SHORT.repr(value)


def listing(names: list[str]) -> str:
    """Names for an error, quoted; long lists are cut."""
    shown = ", ".join(excerpt(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "none"
