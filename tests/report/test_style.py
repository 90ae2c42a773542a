"""Colours that stand out on both pages, texts that Plotly does not interpret, axes with ticks."""

import pytest

from tuner.report.style import (
    BEST,
    BROKEN,
    DARK_PAGE,
    LIGHT_PAGE,
    PALETTE,
    QUIET,
    SCALE,
    SIGNS,
    log_axis,
    looks,
    plain,
)


def luminance(colour: str) -> float:
    """As WCAG 2.1 defines it."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", sorted({*PALETTE, *SCALE, BEST, BROKEN, QUIET}))
def test_every_colour_stands_out_on_both_pages(colour: str) -> None:
    assert contrast(colour, LIGHT_PAGE) >= 3
    assert contrast(colour, DARK_PAGE) >= 3


def test_no_two_of_many_architectures_look_alike() -> None:
    names = [f"m:f{number}" for number in range(len(PALETTE) * len(SIGNS))]
    assert len(set(looks(names).values())) == len(names)


def test_plain_text_is_not_interpreted() -> None:
    assert plain("<b>&lt;</b>") == "&lt;b&gt;&amp;lt;&lt;/b&gt;"


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [(2e-4, 1e-2, "0.0002", "0.01"), (16, 256, "20", "200"), (2e5, 2e6, "200k", "2M"), (3, 3, "3", "3")],
)  # fmt: skip
def test_a_log_axis_has_round_ticks(low: float, high: float, first: str, last: str) -> None:
    ticks = log_axis(low, high)["ticktext"]
    assert (ticks[0], ticks[-1]) == (first, last)
    assert len(ticks) <= 10
