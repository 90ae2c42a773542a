"""How numbers, durations, names and messages are written for people, on the screen and in reports."""

import re
import reprlib
from collections.abc import Sequence
from typing import Any


def count_text(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: `1 trial`, `2,000 trials`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"


def one_group_lines(rows: str, clusters: int | None) -> list[str]:
    """A line where rows that intervals are of, such as the `confirmation` rows, are one group alone; none else."""
    if clusters != 1:
        return []
    return [
        f"All {rows} rows are of one group: their intervals hold for further rows of this group, not for other groups."
    ]


def score_text(score: float | None) -> str:
    """A score with as many digits as a validation set of a few thousand rows carries."""
    return "" if score is None else f"{score:.4f}"


def joined(items: Sequence[object]) -> str:
    """Items of a sentence: `7`, `7 and 3`, `7, 3 and 12`."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def number_text(value: Any) -> str:
    """A number with at most four significant digits, or a large one without a fraction."""
    if not isinstance(value, float):
        return str(value)
    # From 9999.5 on, four digits would be written as 1e+04.
    return f"{value:.0f}" if 9999.5 <= abs(value) < 1e15 else f"{value:.4g}"


def cost_text(cost: float | None) -> str:
    """A number of weights, or seconds."""
    return "" if cost is None else f"{cost:,}" if isinstance(cost, int) else f"{cost:.3g}"


def format_duration(seconds: float) -> str:
    """A duration as a person writes it: `45s`, `4m10s`, `1h30m`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}h{minutes:02d}m" if minutes else f"{hours}h"
    if minutes:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    return f"{rest}s"


def one_line(text: str) -> str:
    """`text` without line ends and control characters, which names in files may contain."""
    return "".join(
        character if character.isprintable() else "�" for character in " ".join(text.split())
    )


def short_reason(cause: object, *, most: int = 200) -> str:
    """An error, or its text, for the end of a message: one line of at most so many characters."""
    return one_line(str(cause))[:most]


# From a label or an error text these could move a terminal's cursor, turn the writing direction or break the encoding:
# DEL and C1 control characters, line separators and bidirectional controls, lone surrogates.
OBEYED = r"\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_OBEYED = re.compile(f"[{OBEYED}]")


def escaped_json(text: str) -> str:
    """JSON text with escape sequences for characters that a terminal would obey, or that no file holds.

    JSON itself has them for the control characters below 32.
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def code_span(text: str) -> str:
    """`text` as code in Markdown, on one line: neither line ends nor backticks in it end the code."""
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{shown}{space}{fence}"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def excerpt(value: object) -> str:
    """`value` as Python writes it, cut to a length that fits a line and free of control characters."""
    return _SHORT.repr(value)


def quoted_names(names: Sequence[str]) -> str:
    """Names for an error, quoted; long lists are cut."""
    shown = ", ".join(excerpt(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "none"
