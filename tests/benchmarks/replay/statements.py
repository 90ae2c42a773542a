"""How often statements of one kind are true, with a 95 % interval of that."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from tuner.training.variance import Z

_LEVEL = 0.95
_SEEN = 2.80  # standard errors that a two-sided test at 5 % finds with a power of 80 %
_ENOUGH = 200  # statements about one configuration
_ROUNDING = 1e-6  # of the figures in a record


@dataclass(frozen=True)
class Statement:
    """One of tuner's about a drawn confirmation or search.

    Args:
        kind: of one kind, 95 of 100 should be true.
        side: of an interval, 1 where the truth lies above it, -1 where below, else 0.
        half_width: of the interval.
        errors: by how many stated standard errors an estimate is too high.
        configuration: that it is about, where it is about one.
    """

    kind: str
    is_true: bool
    side: int = 0
    half_width: float | None = None
    errors: float | None = None
    configuration: int | None = None


def in_interval(
    kind: str, low: float, truth: float, high: float, *, configuration: int | None = None
) -> Statement:
    """That a truth lies in an interval, whose ends belong to it."""
    side = int(truth > high + _ROUNDING) - int(truth < low - _ROUNDING)
    return Statement(kind, side == 0, side, (high - low) / 2, configuration=configuration)


def in_errors(kind: str, value: float, error: float, truth: float) -> Statement:
    """That a truth is within 1.96 stated standard errors of its estimate."""
    errors = (value - truth) / error
    side = int(errors < -Z) - int(errors > Z)
    return Statement(kind, side == 0, side, Z * error, errors=errors)


@dataclass
class Tally:
    """Statements counted by kind."""

    _of_kind: dict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))

    def add(self, statements: Iterable[Statement]) -> None:
        """Counts some more."""
        for each in statements:
            self._of_kind[each.kind].append(each)

    def rows(self) -> list[dict[str, object]]:
        """One row per kind, in percent and points.

        `above` and `below` tell where the truth lay outside of the interval. `errors` is the root of the mean square
        of estimates' errors in units of the stated ones, 1 where these are right; `least` the lowest share of true
        statements about one configuration.
        """
        return [_row(kind, found) for kind, found in self._of_kind.items()]


def _row(kind: str, found: Sequence[Statement]) -> dict[str, object]:
    true = sum(each.is_true for each in found)
    interval = binomtest(true, len(found)).proportion_ci(method="wilson")
    widths = [each.half_width for each in found if each.half_width is not None]
    errors = [each.errors for each in found if each.errors is not None]
    return {
        "statement": kind,
        "drawn": len(found),
        "true": _percent(true / len(found)),
        "low": _percent(interval.low),
        "high": _percent(interval.high),
        "sees": _percent(_SEEN * math.sqrt(_LEVEL * (1 - _LEVEL) / len(found))),
        "above": _percent(np.mean([each.side > 0 for each in found])) if widths else "",
        "below": _percent(np.mean([each.side < 0 for each in found])) if widths else "",
        "half": _percent(np.mean(widths)) if widths else "",
        "errors": f"{math.sqrt(np.mean(np.square(errors))):.2f}" if errors else "",
        "least": _least(found),
    }


def _least(found: Iterable[Statement]) -> str:
    of_configuration: dict[int, list[bool]] = defaultdict(list)
    for each in found:
        if each.configuration is not None:
            of_configuration[each.configuration].append(each.is_true)
    shares = [np.mean(each) for each in of_configuration.values() if len(each) >= _ENOUGH]
    return _percent(min(shares)) if shares else ""


def _percent(share: float | np.floating) -> str:
    return f"{100 * share:.2f}"
