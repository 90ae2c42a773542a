"""How many examples a property test draws: its own number, or fewer in `make check`."""

import hypothesis

_USUAL = 100


def examples(count: int) -> int:
    """`count`, or as few as the profile `quick` of `tests/conftest.py` draws."""
    most = hypothesis.settings.default.max_examples
    return min(count, most) if most < _USUAL else count
