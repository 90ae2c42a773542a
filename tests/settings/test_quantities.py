"""Amounts as people write them: durations, and shares of GPUs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.settings.quantities import parse_duration, parse_gpus
from tuner.text import format_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("90", 90),
        (90, 90),
        (0.5, 0.5),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("1.5H", 5400),
    ],
)
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a duration such as 90s, 30m or 1h30m, got ''"),
        ("soon", "must be a duration .*, got 'soon'"),
        ("-5m", "must be a duration .*, got '-5m'"),
        ("30m1h", "must be a duration"),
        ("1,5h", "must be a duration"),
        ("1h30", "must have a unit after its last number, got '1h30'; write 1h30m or 1h30s$"),
        ("2m 5", "must have a unit after its last number, got '2m 5'; write 2m5s$"),
        (True, "must be a duration .*, got True"),
        ("0s", "must be above zero, got '0s'"),
        (-1, "must be above zero, got -1"),
        (float("inf"), "must be above zero, got inf"),
        (float("nan"), "must be above zero, got nan"),
        ("9" * 400, "must be above zero"),
    ],
)
def test_anything_but_a_duration_is_refused(text: str | float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_duration(text)


@given(seconds=st.integers(1, 10**6))
def test_a_duration_reads_back_as_it_was_written(seconds: int) -> None:
    shown = parse_duration(format_duration(seconds))
    assert 0 <= seconds - shown < (60 if seconds >= 3600 else 1)  # hours leave the seconds out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45s"), (59.6, "1m"), (250, "4m10s"), (3600, "1h"), (3599.7, "1h"), (5400, "1h30m")],
)
def test_a_duration_is_written_as_a_person_does(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("written", "gpus"), [("auto", "auto"), ("0", 0), (0.25, 0.25), ("1", 1), (1 / 3, 1 / 3)]
)
def test_a_share_of_gpus_is_read(written: object, gpus: object) -> None:
    assert parse_gpus(written) == gpus


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("all", "must be a number or auto, got 'all'"),
        (None, "must be a number or auto, got None"),
        (True, "must be a number or auto, got True"),
        ("inf", "must be a finite number, got inf"),
        (-1, "must be 0, or 0.001 or more, got -1"),
        (0.0001, "must be 0, or 0.001 or more, got 0.0001"),
        (1.5, "must be 1 or less, got 1.5: no model is trained on two GPUs"),
        (2, "must be 1 or less, got 2: no model is trained on two GPUs at once.*write 1"),
    ],
)
def test_anything_but_a_share_of_gpus_is_refused(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_gpus(written)
