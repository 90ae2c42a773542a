"""The view of a running search: a live table on a terminal, otherwise one line per event."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.run.events import BestTrial, Event, EventKind, LiveTrial, SearchState
from tuner.run.trial_status import TrialStatus
from tuner.terminal.pareto import pareto_texts
from tuner.terminal.tables import STATUS_STYLES, on_one_line, printable
from tuner.text import count_text, format_duration, number_text, score_text

_SHOWN_PARAMETERS = 4
_BAR_WIDTH = 30
_QUIET_S = 15.0  # then a log shows how far an epoch is


class Lines:
    """One line per event, for logs, pipes and notebooks.

    Args:
        out: where the lines go.
        clock: that of the search's state.
        ends_with_reader: whether it is an error if the lines' reader has gone.
    """

    def __init__(
        self,
        out: IO[str],
        clock: Callable[[], float] = time.monotonic,
        *,
        ends_with_reader: bool = False,
    ) -> None:
        self._out = out
        self._clock = clock
        self._printed_at = clock()
        self._silenced_by = () if ends_with_reader else (BrokenPipeError,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Does nothing: lines stay as they are."""

    def show(self, text: str) -> None:
        """Prints a line, unless its reader has gone (`tuner search … | head`): the search continues."""
        with suppress(*self._silenced_by):
            print(text, file=self._out, flush=True)

    def on_event(self, event: Event, state: SearchState) -> None:
        """Prints the event; how far an epoch is only after a while without any other."""
        now = self._clock()
        if event.kind is EventKind.EPOCH_CONTINUES and now - self._printed_at < _QUIET_S:
            return
        self._printed_at = now
        elapsed = state.seconds_at(now)
        self.show(f"[{format_duration(elapsed):>6}] {printable(event_line(event, state))}")


class LiveTable:
    """A table that shows the search's state, drawn four times per second."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._state: SearchState | None = None
        self._message = ""
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, text: str) -> None:
        """Shows a line until the search has a state to show."""
        self._message = text

    def on_event(self, event: Event, state: SearchState) -> None:
        """Keeps the state to draw. Prints failures, notes, and the fact that nothing is pruned, above the table."""
        self._state = state
        if event.kind is EventKind.SEARCH_STARTED and not state.objectives.can_prune:
            self._live.console.print(printable(event_line(event, state)))
        if event.kind is EventKind.NOTE:
            self._live.console.print(printable(event_line(event, state)), style="yellow")
        if event.kind is EventKind.TRIAL_ENDED and event.status is not None:
            if event.status.is_broken:
                self._live.console.print(printable(event_line(event, state)), style="red")

    def render(self) -> RenderableType:
        """The table now."""
        if self._state is None:
            return Text(self._message, style="dim")
        return draw(self._state, self._clock(), self._console.height)


def draw(state: SearchState, now: float, height: int) -> RenderableType:
    """The table of `state` at `now`, on its clock, in less than `height` lines where that is possible."""
    elapsed = state.seconds_at(now)
    # On a narrow screen, Rich first narrows the columns that may wrap: the bar, architecture and parameters.
    head = Table.grid(padding=(0, 2))
    head.add_column(no_wrap=True)
    head.add_column(max_width=_BAR_WIDTH)
    head.add_column(no_wrap=True)
    head.add_row(
        Text(printable(state.name).plain, style="bold"),
        ProgressBar(total=1.0, completed=_share_done(state, elapsed)),
        Text(_budget_text(state, elapsed)),
    )
    trials = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("trial", "architecture", "epoch", state.metric, "time"):
        is_name = name == "architecture"
        trials.add_column(name, justify="left" if is_name else "right", no_wrap=not is_name)
    trials.add_column("parameters")
    more = [*_front_lines(state), *_ensemble_lines(state), *_reference_lines(state)]
    shown = _shown_trials(len(state.running), height - len(more))
    for trial in state.running[:shown]:
        trials.add_row(
            trial.name,
            on_one_line(trial.architecture),
            f"{_epochs_text(trial)}/{trial.max_epochs}",
            score_text(trial.score) or _loss_text(trial) or "…",
            format_duration(now - trial.started),
            on_one_line(_parameters_text(trial)),
        )
    hidden = len(state.running) - shown
    rest = [Text(f"… and {hidden} more running", style="dim")] if hidden else []
    return Group(head, _summary(state), *more, Text(), trials, *rest)


def event_line(event: Event, state: SearchState) -> str:
    """The line that describes an event."""
    trial = event.trial
    if event.kind is EventKind.NOTE:
        return event.error or ""
    if event.kind is EventKind.SEARCH_STARTED:
        before = f", {count_text(state.finished, 'trial')} done before" if state.finished else ""
        budget = _budget_text(state, 0.0, elapsed_shown=False)
        return f"{state.activity} {state.name}: {budget}{before}{_objectives_text(state)}"
    if event.kind is EventKind.REFERENCE_MEASURED and state.reference is not None:
        return f"reference: {state.reference.text}"
    assert trial is not None
    where = f"trial {trial.name} {trial.architecture}"
    if event.kind is EventKind.TRIAL_STARTED:
        kind = " (baseline)" if trial.baseline else ""
        kind = f" (as {trial.starter})" if trial.starter is not None else kind
        return f"{where}{kind} started: {_parameters_text(trial, shown=99)}"
    if event.kind is EventKind.EPOCH_CONTINUES:
        return (
            f"{where} epoch {_epochs_text(trial)}/{trial.max_epochs}: training {_loss_text(trial)}"
        )
    if event.kind is EventKind.EPOCH_ENDED:
        return f"{where} epoch {trial.epoch}/{trial.max_epochs}: {state.metric} {score_text(event.score)}"
    score = f", best {state.metric} {score_text(event.score)}" if event.score is not None else ""
    reason = f": {event.error}" if event.error else ""
    best = f"; best of all: {_best_text(state.leader)}" if state.leader is not None else ""
    if state.ensemble is not None and trial.number in state.ensemble.members:  # it has changed
        best += f"; {_ensemble_text(state)}" if _ensemble_text(state) else ""
    if state.front:
        best += f"; trials on the front: {len(state.front)}"
    return f"{where} {event.status}{score} in {format_duration(event.seconds)}{reason}{best}"


def make_listener(terminal: IO[str], *, ends_with_reader: bool = False) -> "Lines | LiveTable":
    """A live table on a terminal, otherwise lines; see `Lines`."""
    console = Console(file=terminal, highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return LiveTable(console)
    return Lines(terminal, ends_with_reader=ends_with_reader)


@contextmanager
def terminal_stream() -> Iterator[IO[str]]:
    """A stream to the present target of standard output, which stays if its file is redirected later."""
    is_stand_in = sys.stdout is not sys.__stdout__
    if is_stand_in:  # a notebook's (ipykernel 6) names a file too, but that is its server's log
        yield sys.stdout
        return
    try:
        copy = os.dup(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or no file behind it
        yield sys.stdout
        return
    sys.stdout.flush()
    with open(copy, "w", encoding="utf-8", errors="replace") as stream:
        yield stream


def _shown_trials(running: int, height: int) -> int:
    """How many rows fit below head, summary, blank line and headings, with one line free at the end."""
    room = height - 5
    # The last row counts the trials that are not shown.
    return running if running <= room else max(1, room - 1)


def _share_done(state: SearchState, elapsed: float) -> float:
    shares = [0.0]
    if state.trial_budget is not None:
        shares.append(state.finished / state.trial_budget)
    if state.time_budget_s is not None:
        shares.append(elapsed / state.time_budget_s)
    return min(1.0, max(shares))


def _budget_text(state: SearchState, elapsed: float, *, elapsed_shown: bool = True) -> str:
    parts = []
    if state.trial_budget is not None:
        done = f"{state.finished} of " if elapsed_shown else ""
        parts.append(f"{done}{count_text(state.trial_budget, 'trial')}")
    elif elapsed_shown:
        parts.append(count_text(state.finished, "trial"))
    if state.time_budget_s is not None:
        done = f"{format_duration(elapsed)} of " if elapsed_shown else "at most "
        parts.append(f"{done}{format_duration(state.time_budget_s)}")
    elif elapsed_shown:
        parts.append(format_duration(elapsed))
    return ", ".join(parts)


def _summary(state: SearchState) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for status in TrialStatus:
        count = state.counts.get(status, 0)
        if count or status.has_worked:
            style = STATUS_STYLES[status]
            text.append(f"{count} {str(status).replace('_', ' ')}  ", style=style)
    if state.leader is not None:
        text.append(f"  best {_best_text(state.leader)}", style="bold")
    return text


def _best_text(best: BestTrial) -> str:
    return f"{score_text(best.score)} (trial {best.number}, {best.architecture})"


def _objectives_text(state: SearchState) -> str:
    """For a search with a cost: its objectives, and that nothing is pruned."""
    texts = pareto_texts(state.objectives, state.front)
    return "".join(f"; {texts[name]}" for name in ("objectives", "pruner") if name in texts)


def _front_lines(state: SearchState) -> list[Text]:
    front = pareto_texts(state.objectives, state.front).get("front")
    return [] if front is None else [on_one_line(f"front: {front}")]


def _ensemble_lines(state: SearchState) -> list[Text]:
    text = _ensemble_text(state)
    return [on_one_line(f"ensemble: {text}")] if text else []


def _reference_lines(state: SearchState) -> list[Text]:
    if state.reference is None:
        return []
    return [on_one_line(f"reference: {state.reference.short_text}, on confirmation sequences")]


def _ensemble_text(state: SearchState) -> str:
    """The ensemble of a search, once several models are averaged; empty before, and of a confirmation."""
    ensemble = state.ensemble
    if ensemble is None or not ensemble.is_average:
        return ""
    return f"{ensemble.short_text}, on confirmation sequences"


def _epochs_text(trial: LiveTrial) -> str:
    """The epochs that it has trained, with a tenth of one where that is known: 1.4."""
    if trial.part is None:
        return str(trial.epoch)
    # Rounded down: a whole number has been evaluated, too.
    return f"{trial.epoch}.{min(9, int(10 * trial.part.share))}"


def _loss_text(trial: LiveTrial) -> str:
    """The loss of its training so far in this epoch."""
    return "" if trial.part is None else f"loss {score_text(trial.part.loss)}"


def _parameters_text(trial: LiveTrial, shown: int = _SHOWN_PARAMETERS) -> str:
    parts = [f"{name}={number_text(value)}" for name, value in trial.parameters.items()]
    return "  ".join(parts[:shown])
