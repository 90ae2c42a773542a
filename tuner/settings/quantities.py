"""Amounts as people write them, as numbers: durations such as `1h30m`, shares of GPUs, counts that can be off."""

import math
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer

from tuner.text import format_duration


def parse_duration(text: str | float) -> float:
    """Seconds of a duration such as `90s`, `30m`, `1h30m` or a plain number of seconds.

    Raises:
        ValueError: not a duration, or not above zero.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    else:
        compact = str(text).replace(" ", "").lower()
        match = re.fullmatch(
            r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", compact
        )
        if match is None or not compact:
            raise ValueError(f"must be a duration such as 90s, 30m or 1h30m, got {text!r}")
        hours, minutes, rest = (float(part or 0) for part in match.groups())
        if compact[-1].isdigit() and match[3] != compact:  # `1h30` is 1 h 30 min to most people
            units = "ms" if match[2] is None else "s"
            forms = " or ".join(f"{compact}{unit}" for unit in units)
            raise ValueError(f"must have a unit after its last number, got {text!r}; write {forms}")
        seconds = hours * 3600 + minutes * 60 + rest
    if not 0 < seconds < float("inf"):
        raise ValueError(f"must be above zero, got {text!r}")
    return seconds


def _exact_duration(seconds: float) -> str | float:
    """`1h30m` where that is exact, else the number; `parse_duration` of either is `seconds` again."""
    text = format_duration(seconds)
    whole = round(seconds)
    return text if seconds == whole > 0 and parse_duration(text) == whole else seconds


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str | float),
    PlainSerializer(_exact_duration),
]


def parse_gpus(given: object) -> float | Literal["auto"]:
    """GPUs per trial: any share of one, one, or `auto`.

    Raises:
        ValueError: it is none of these.
    """
    if given == "auto":
        return "auto"
    try:
        if isinstance(given, bool):
            raise TypeError
        gpus = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"must be a number or auto, got {given!r}") from None
    if not math.isfinite(gpus):
        raise ValueError(f"must be a finite number, got {gpus}")
    if gpus < 0 or 0 < gpus < 0.001:
        raise ValueError(f"must be 0, or 0.001 or more, got {gpus:g}")
    if gpus > 1:
        raise ValueError(
            f"must be 1 or less, got {gpus:g}: no model is trained on two GPUs at once, so the others would idle; "
            "write 1, and as many trials as there are GPUs run side by side"
        )
    return gpus


GpusPerTrial = Annotated[
    float | Literal["auto"], BeforeValidator(parse_gpus, json_schema_input_type=float | str)
]


def parse_count(given: object) -> int:
    """How many of something; 0 for `off`.

    Raises:
        ValueError: it is neither `off` nor a whole number of 1 or more.
    """
    if given == "off":
        return 0
    try:
        count = int(str(given))
    except ValueError:
        count = 0
    if count < 1:
        raise ValueError(f"must be off or a whole number of 1 or more, got {given!r}")
    return count


CountOrOff = Annotated[
    int,
    BeforeValidator(parse_count, json_schema_input_type=int | str),
    PlainSerializer(lambda count: count or "off"),
]
