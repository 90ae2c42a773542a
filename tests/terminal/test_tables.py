"""Tables on a terminal: they are short and hold no control characters."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from tuner.settings.metric import Metric
from tuner.settings.objectives import Cost, MetricAlone, MetricAndCost
from tuner.terminal.tables import (
    leaderboard_table,
    markdown_table,
    number_text,
    plain_console,
    printable,
    score_text,
)


def shown(content: RenderableType, width: int = 200) -> str:
    """The text for a terminal without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(content)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def board(**cells: object) -> pd.DataFrame:
    row = {
        "rank": 1,
        "trial": 3,
        "status": "complete",
        "architecture": "lstm",
        "score": 0.87654321,
        "val_accuracy": 0.8765,
        "val_loss": 0.3,
        "best_epoch": 2,
        "epochs": 3,
        "seconds": 61.7,
        "weights": 1000,
        "learning_rate": 0.00123456,
        "filters": None,
        "baseline": False,
        "error": None,
        **cells,
    }
    return pd.DataFrame([row])


@given(text=st.text(max_size=30))
def test_no_control_character_is_ever_printable(text: str) -> None:
    assert len(printable(text).plain) == len(text)
    assert all(
        ord(character) >= 32 and not 127 <= ord(character) < 160
        for character in printable(text).plain
    )


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x9b2J", "\x07", "a\rb", "a\nb", "\u202egnp.exe", "\u2028", "\udc80"]
)
def test_control_characters_are_made_visible(text: str) -> None:
    plain = printable(text).plain
    assert plain.count("�") == 1
    plain.encode("utf-8")


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "[link=http://a]b[/link]", ":smile:"])
def test_brackets_are_no_markup(text: str) -> None:
    assert shown(printable(text)) == f"{text}\n"


def test_other_scripts_stay_as_they_are() -> None:
    assert printable("非常好 ñ 🙂").plain == "非常好 ñ 🙂"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.00123456, "0.001235"), (100, "100"), (1e-7, "1e-07"), (True, "True"), ("max", "max")),
        *((12345.678, "12346"), (99999.5, "100000"), (9999.4, "9999"), (9999.6, "10000")),
    ],
)
def test_a_number_is_as_short_as_it_can_be(value: object, text: str) -> None:
    assert number_text(value) == text


def test_a_score_has_four_digits_and_none_is_empty() -> None:
    assert (score_text(0.86789), score_text(1), score_text(None)) == ("0.8679", "1.0000", "")


def test_a_row_shows_the_parameters_that_its_trial_has() -> None:
    text = shown(leaderboard_table(board(), ["learning_rate", "filters"], MetricAlone(Metric())))
    header, row = text.splitlines()
    assert header.split()[:6] == ["rank", "trial", "status", "architecture", "score", "best"]
    assert row.split() == [
        *("1", "3", "complete", "lstm", "0.8765", "2", "3", "62", "learning_rate=0.001235")
    ]


def test_a_row_notes_baselines_and_errors() -> None:
    broken = board(
        status="failed", score=None, best_epoch=None, baseline=True, error="why [b]x[/b]"
    )
    text = shown(leaderboard_table(broken, ["learning_rate"], MetricAlone(Metric())))
    assert "learning_rate=0.001235  (baseline)  why [b]x[/b]" in text


@pytest.mark.parametrize("has_runs", [False, True])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200])
def test_a_narrow_screen_cuts_no_score_and_no_parameter(width: int, has_runs: bool) -> None:
    trials = board(
        **{"trial": 117, "architecture": "lstm_bidirectional", "baseline": True, "filters": 128},
        **{"kernel_size": 3, "recurrent_dropout": 0.25, "error": "no memory for /a/tensor"},
        **({"run": "runs/seed-reviews"} if has_runs else {}),
    )
    names = ["learning_rate", "filters", "kernel_size", "recurrent_dropout"]
    text = shown(leaderboard_table(trials, names, MetricAlone(Metric())), width)
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    assert {"rank", "trial", "score", "117", "0.8765", "complete", "lstm_bidirectional"} <= {*words}
    assert {"learning_rate=0.001235", "filters=128", "recurrent_dropout=0.25"} <= {*words}
    assert {"(baseline)", "/a/tensor"} <= {*words}
    assert ("runs/seed-reviews" in words) is has_runs
    assert "seconds" in words or width < 160


def test_a_value_wider_than_the_screen_goes_on_in_the_next_line() -> None:
    trials = board(error=f"/a/path/{'x' * 90}/z")
    text = shown(leaderboard_table(trials, ["learning_rate"], MetricAlone(Metric())), 60)
    assert f"/a/path/{'x' * 90}/z" in "".join(text.split())


@pytest.mark.parametrize("column", ["architecture", "error", "run"])
def test_text_of_users_data_in_a_table_stays_text(column: str) -> None:
    text = shown(
        leaderboard_table(board(**{column: "[red]x\x1b[2J\x07"}), [], MetricAlone(Metric()))
    )
    assert "[red]x�[2J�" in text


def test_several_runs_have_a_column_for_the_run() -> None:
    text = shown(leaderboard_table(board(run="runs/a"), [], MetricAlone(Metric())))
    assert text.split()[:3] == ["rank", "run", "trial"]
    assert "runs/a" in text


def test_markdown_has_one_cell_per_column_for_any_text() -> None:
    frame = pd.DataFrame({"trial": pd.array([1, None], dtype="Int64"), "error": ["a|b\nc", None]})
    assert markdown_table(frame).splitlines() == [
        "| trial | error |",
        "| --- | --- |",
        r"| 1 | a\|b c |",
        "|  |  |",
    ]


def test_text_that_is_printed_plainly_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    plain_console().print("runs[old]/a :smile: [/x]")
    assert capsys.readouterr().out == "runs[old]/a :smile: [/x]\n"


@pytest.mark.parametrize(
    ("cost", "cells", "shown_cost"),
    [
        (Cost.WEIGHTS, {"weights": 1234567}, "1,234,567"),
        (Cost.SECONDS_PER_EPOCH, {"seconds_per_epoch": 12.3456}, "12.3"),
        (Cost.SECONDS_PER_EPOCH, {"seconds_per_epoch": None}, ""),
    ],
)
def test_of_two_objectives_the_cost_and_the_front_are_shown(
    cost: Cost, cells: dict[str, object], shown_cost: str
) -> None:
    objectives = MetricAndCost(Metric(), cost)
    for is_on_front, mark in ((True, "*"), (False, "")):
        text = shown(leaderboard_table(board(**cells, pareto=is_on_front), [], objectives))
        heading, row = text.splitlines()
        named = " ".join(heading.split())
        assert f"score {cost.replace('_', ' ')} pareto best epoch" in named
        between = row.partition("0.8765")[2].partition("   2   ")[0]
        assert between.split() == [cell for cell in (shown_cost, mark) if cell]
