"""The live table and the lines of a running search."""

import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pytest
from rich.console import Console
from support.ensembles import RECORD
from support.watching import Clock

from tuner.run.epoch_parts import EpochPart
from tuner.run.events import BestTrial, Event, EventKind, LiveTrial, SearchState
from tuner.run.reference_record import ReferenceRecord
from tuner.run.trial_status import TrialStatus
from tuner.settings.metric import Metric
from tuner.settings.objectives import Cost, FrontTrial, MetricAlone, MetricAndCost
from tuner.terminal.live import Lines, LiveTable, draw, event_line, make_listener, terminal_stream

EVIL = "[red]x[/red]\x1b[2J\x07"
HARMLESS = "[red]x[/red]�[2J�"


def trial(**changes: Any) -> LiveTrial:
    fields: dict[str, Any] = {
        "number": 7,
        "architecture": "lstm",
        "parameters": {"learning_rate": 0.00123456, "lstm_units": 64},
        "started": 95.0,
        "max_epochs": 9,
        **changes,
    }
    return LiveTrial(**fields)


def state(**changes: Any) -> SearchState:
    fields: dict[str, Any] = {
        "name": "seed-imdb-train",
        "metric": "val_accuracy",
        "objectives": MetricAlone(Metric()),
        "seconds": 0.0,
        "seconds_read_at": 0.0,
        "trial_budget": 30,
        "time_budget_s": None,
        **changes,
    }
    return SearchState(**fields)


def picture(of: SearchState, now: float = 100.0, *, height: int = 40, width: int = 160) -> str:
    """The live table as plain text."""
    console = Console(
        file=io.StringIO(), record=True, width=width, force_terminal=True, color_system=None
    )
    console.print(draw(of, now, height))
    return console.export_text()


# -- lines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "changes", "line"),
    [
        (Event(EventKind.SEARCH_STARTED), {}, "searching seed-imdb-train: 30 trials"),
        (
            Event(EventKind.SEARCH_STARTED),
            {"time_budget_s": 5400.0, "counts": {TrialStatus.COMPLETE: 4}},
            "searching seed-imdb-train: 30 trials, at most 1h30m, 4 trials done before",
        ),
        (
            Event(EventKind.SEARCH_STARTED),
            {"trial_budget": None, "time_budget_s": 60.0},
            "searching seed-imdb-train: at most 1m",
        ),
        (
            Event(EventKind.TRIAL_STARTED, trial(baseline=True)),
            {},
            "trial 7 lstm (baseline) started: learning_rate=0.001235  lstm_units=64",
        ),
        (
            Event(EventKind.EPOCH_CONTINUES, trial(epoch=1, part=EpochPart(2, 0.449, 0.6, 0.7))),
            {},
            "trial 7 lstm epoch 1.4/9: training loss 0.6000",
        ),
        (
            Event(EventKind.EPOCH_ENDED, trial(epoch=2), score=0.81234),
            {},
            "trial 7 lstm epoch 2/9: val_accuracy 0.8123",
        ),
        (
            Event(EventKind.TRIAL_ENDED, trial(), TrialStatus.COMPLETE, score=0.9, seconds=61),
            {"best": BestTrial(3, "cnn_lstm", 0.91)},
            "trial 7 lstm complete, best val_accuracy 0.9000 in 1m01s; "
            "best of all: 0.9100 (trial 3, cnn_lstm)",
        ),
        (
            Event(EventKind.TRIAL_ENDED, trial(), TrialStatus.FAILED, "ValueError: no", seconds=1),
            {},
            "trial 7 lstm failed in 1s: ValueError: no",
        ),
        (Event(EventKind.NOTE, error="MLflow is down"), {}, "MLflow is down"),
    ],
)
def test_an_event_is_a_line(event: Event, changes: Mapping[str, Any], line: str) -> None:
    assert event_line(event, state(**changes)) == line


def test_the_ensemble_is_shown_as_it_grows() -> None:
    averaged = "3 trials averaged 0.7400, best single 0.7270 (trial 7), on confirmation sequences"
    assert f"ensemble: {averaged}" in picture(state(ensemble=RECORD))
    ended = Event(EventKind.TRIAL_ENDED, trial(), TrialStatus.COMPLETE, score=0.9, seconds=61)
    assert event_line(ended, state(ensemble=RECORD)).endswith(f" in 1m01s; {averaged}")
    another = Event(EventKind.TRIAL_ENDED, trial(number=8), TrialStatus.COMPLETE, seconds=61)
    assert "averaged" not in event_line(another, state(ensemble=RECORD))  # it has not changed
    one = RECORD.model_copy(update={"members": (7,)})
    assert "ensemble" not in picture(state(ensemble=one))


def test_the_reference_is_shown_from_when_it_is_measured() -> None:
    measured = ReferenceRecord(
        sequences=850, score=0.7712, low=0.75, high=0.79, majority=0.5, seconds=3.2
    )
    line = event_line(Event(EventKind.REFERENCE_MEASURED), state(reference=measured))
    assert line == f"reference: {measured.text}"
    figures = "linear model on n-grams 0.7712, the most frequent class alone 0.5000"
    assert f"reference: {figures}, on confirmation sequences" in picture(state(reference=measured))
    assert "reference" not in picture(state())


BY_TWO = MetricAndCost(Metric(), Cost.SECONDS_PER_EPOCH)
FRONT = (FrontTrial(3, "cnn_lstm", 0.91, 12.345), FrontTrial(8, "lstm", 0.85, 0.5))


def test_a_search_by_two_objectives_begins_with_a_note_that_nothing_is_pruned() -> None:
    started = event_line(Event(EventKind.SEARCH_STARTED), state(objectives=BY_TWO))
    assert started == (
        "searching seed-imdb-train: 30 trials; val_accuracy (max), seconds_per_epoch (min); no pruning, because a "
        "trial that is behind in val_accuracy may still be on the front: each takes all its epochs, or ends by its own "
        "--patience"
    )


def test_a_search_by_two_objectives_counts_its_front() -> None:
    ended = Event(EventKind.TRIAL_ENDED, trial(), TrialStatus.COMPLETE, score=0.9, seconds=61)
    line = event_line(
        ended, state(best=BestTrial(3, "cnn_lstm", 0.91), objectives=BY_TWO, front=FRONT)
    )
    assert line.endswith("best of all: 0.9100 (trial 3, cnn_lstm); trials on the front: 2")


def test_lines_begin_with_the_time_searched_in_all_sessions() -> None:
    out = io.StringIO()
    with Lines(out, clock=lambda: 130.0) as lines:
        lines.show("reading the data")
        event = Event(EventKind.EPOCH_ENDED, trial(epoch=1), score=0.5)
        lines.on_event(event, state(seconds_read_at=100.0, seconds=60.0))
    assert out.getvalue() == (
        "reading the data\n[ 1m30s] trial 7 lstm epoch 1/9: val_accuracy 0.5000\n"
    )


def test_a_log_shows_how_far_an_epoch_is_only_when_nothing_else_happens() -> None:
    clock = Clock(100.0)
    out = io.StringIO()
    lines = Lines(out, clock)
    for _ in range(10):
        clock.now += 4
        part = EpochPart(1, (clock.now - 100) / 100, 0.6, 0.7)
        lines.on_event(Event(EventKind.EPOCH_CONTINUES, trial(part=part)), state())
    assert [line.split()[-4] for line in out.getvalue().splitlines()] == ["0.1/9:", "0.3/9:"]


def test_an_error_with_line_ends_stays_one_line() -> None:
    out = io.StringIO()
    ended = Event(EventKind.TRIAL_ENDED, trial(), TrialStatus.FAILED, f"{EVIL}\r\nmore")
    Lines(out, clock=lambda: 0.0).on_event(ended, state())
    assert out.getvalue().count("\n") == 1
    assert HARMLESS in out.getvalue()
    assert out.getvalue()[:-1].isprintable()


# -- the live table -------------------------------------------------------------------------------


def test_the_table_shows_running_trials_the_best_and_the_budget_left() -> None:
    text = picture(
        state(
            time_budget_s=600.0,
            seconds=20.0,
            running=(
                trial(epoch=2, score=0.8),
                trial(number=8, architecture="cnn_lstm"),
                trial(number=9, part=EpochPart(1, 1.0, 0.6, 0.7)),
                trial(number=10, epoch=1, score=0.7, part=EpochPart(2, 0.25, 0.6, 0.7)),
            ),
            counts={TrialStatus.COMPLETE: 3, TrialStatus.PRUNED: 2, TrialStatus.OUT_OF_MEMORY: 1},
            best=BestTrial(3, "lstm", 0.85),
        )
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("seed-imdb-train ")
    assert lines[0].endswith(" 6 of 30 trials, 2m of 10m")
    assert lines[1] == "3 complete 2 pruned 1 out of memory best 0.8500 (trial 3, lstm)"
    assert lines[3] == "trial architecture epoch val_accuracy time parameters"
    assert lines[4] == "7 lstm 2/9 0.8000 5s learning_rate=0.001235 lstm_units=64"
    assert lines[5].startswith("8 cnn_lstm 0/9 … 5s ")
    # A training loss stands in for the first score; an epoch is whole when it has been evaluated.
    assert lines[6].startswith("9 lstm 0.9/9 loss 0.6000 5s ")
    assert lines[7].startswith("10 lstm 1.2/9 0.7000 5s ")
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("running", "height", "rows", "rest"),
    [
        (7, 12, 7, None),
        (8, 12, 6, "… and 2 more running"),
        (64, 24, 18, "… and 46 more running"),
        (3, 5, 1, "… and 2 more running"),
        (1, 5, 1, None),
    ],
)
def test_the_table_is_no_taller_than_the_terminal(
    running: int, height: int, rows: int, rest: str | None
) -> None:
    trials = tuple(trial(number=number) for number in range(running))
    for width in (160, 80, 60):
        lines = picture(state(running=trials), height=height, width=width).splitlines()
        numbers = [line.split()[0] for line in lines[4 : 4 + rows]]
        assert lines[3].split()[:5] == ["trial", "architecture", "epoch", "val_accuracy", "time"]
        assert numbers == [str(number) for number in range(rows)]
        assert [line.rstrip() for line in lines[4 + rows :]] == ([rest] if rest else [])
        assert len(lines) < max(height, 7)


def test_a_narrow_screen_cuts_names_before_numbers() -> None:
    running = [trial(number=123, architecture="lstm_bidirectional", score=0.87654)]
    text = picture(state(running=running), width=40)
    assert {"trial", "123", "epoch", "0/9", "val_accuracy", "0.8765", "time", "5s"} <= {
        *text.split()
    }


def test_the_table_shows_the_front_and_still_fits() -> None:
    trials = tuple(trial(number=number) for number in range(20))
    of = state(objectives=BY_TWO, front=FRONT, running=trials)
    lines = picture(of, height=12).splitlines()
    assert lines[2].rstrip() == (
        "front: 2 trials, 0.9100 with 12.3 s per epoch (trial 3, cnn_lstm) to "
        "0.8500 with 0.5 s per epoch (trial 8, lstm)"
    )
    assert len(lines) == 11
    assert lines[-1].startswith("… and ")
    assert "front: no trial yet" in picture(state(objectives=BY_TWO))
    narrow = picture(of, height=12, width=60).splitlines()
    assert len(narrow) == 11


def test_the_table_leaves_on_the_screen_that_nothing_is_pruned() -> None:
    console = Console(file=io.StringIO(), width=300, force_terminal=True, color_system=None)
    with LiveTable(console, clock=lambda: 100.0) as table:
        table.on_event(Event(EventKind.SEARCH_STARTED), state(objectives=BY_TWO))
    assert isinstance(console.file, io.StringIO)
    assert "no pruning, because a trial that is behind" in console.file.getvalue()


def test_the_live_table_keeps_to_the_height_of_its_terminal() -> None:
    console = Console(file=io.StringIO(), width=160, height=10, force_terminal=True)
    table = LiveTable(console, clock=lambda: 100.0)
    trials = tuple(trial(number=number) for number in range(30))
    table.on_event(Event(EventKind.SEARCH_STARTED), state(running=trials))
    lines = console.render_lines(table.render())
    assert len(lines) == 9
    assert "… and 26 more running" in "".join(segment.text for segment in lines[-1])


def test_the_table_of_a_search_without_a_trial_budget_counts_trials() -> None:
    text = picture(state(trial_budget=None, time_budget_s=60.0), now=30.0)
    assert "0 trials, 30s of 1m" in text
    assert "0 complete  0 pruned" in text


def test_text_of_users_data_in_the_table_stays_text() -> None:
    text = picture(
        state(
            name=EVIL,
            running=(trial(architecture=EVIL, parameters={"depth": EVIL}),),
            best=BestTrial(3, "lstm", 0.85),
        )
    )
    assert text.count(HARMLESS) >= 2
    assert not {"\x1b", "\x07"} & set(text)


def test_the_table_draws_the_latest_state_and_keeps_failures() -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    table = LiveTable(console, clock=lambda: 100.0)
    with table:
        table.show("starting Ray …")
        console.print(table.render())
        failed = Event(EventKind.TRIAL_ENDED, trial(), TrialStatus.FAILED, f"why {EVIL}")
        table.on_event(failed, state(counts={TrialStatus.FAILED: 1}))
        table.on_event(Event(EventKind.NOTE, error="MLflow is down"), state())
        complete = Event(EventKind.TRIAL_ENDED, trial(number=8), TrialStatus.COMPLETE, score=0.5)
        table.on_event(complete, state(counts={TrialStatus.FAILED: 1, TrialStatus.COMPLETE: 1}))
        console.print(table.render())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "starting Ray …" in text
    assert f"trial 7 lstm failed in 0s: why {HARMLESS}" in text
    assert "MLflow is down" in text
    assert "trial 8 lstm complete" not in text
    assert "1 complete  0 pruned  1 failed" in text
    assert "\x07" not in text


def test_without_a_terminal_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(make_listener(io.StringIO()), Lines)


def test_a_terminal_gets_a_table() -> None:
    ours, theirs = os.openpty()
    with open(ours, "rb"), open(theirs, "w", encoding="utf-8") as terminal:
        assert isinstance(make_listener(terminal), LiveTable)


def test_the_stream_to_the_terminal_outlives_a_redirection(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(1, "w", encoding="utf-8", closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "__stdout__", stdout)
        with terminal_stream() as stream:
            _print_while_redirected(stream)
        monkeypatch.undo()
    assert capfd.readouterr().out == "seen\n"


def _print_while_redirected(stream: IO[str]) -> None:
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    print("seen", file=stream, flush=True)
    os.dup2(saved, 1)
    os.close(saved)
    os.close(null)


class Notebook(io.StringIO):
    """A stand-in for standard output as ipykernel's is: its file is not where its text goes."""

    def __init__(self, log: int) -> None:
        super().__init__()
        self._log = log

    def fileno(self) -> int:
        return self._log


def test_a_stand_in_for_standard_output_is_used_and_left_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "server.log").open("w") as log:
        for notebook in (io.StringIO(), Notebook(log.fileno())):
            monkeypatch.setattr(sys, "stdout", notebook)
            with terminal_stream() as stream:
                print("seen", file=stream)
            assert notebook.getvalue() == "seen\n"
    assert (tmp_path / "server.log").read_text() == ""


def test_where_standard_output_has_no_file_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = io.StringIO()
    monkeypatch.setattr(sys, "stdout", embedded)
    monkeypatch.setattr(sys, "__stdout__", embedded)
    with terminal_stream() as stream:
        print("seen", file=stream)
    assert embedded.getvalue() == "seen\n"


def test_lines_whose_reader_has_gone_end_no_search() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    Lines(Closed()).show("trial 1 started")
