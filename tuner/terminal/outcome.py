"""The end of a search on the terminal: the leaderboard, where its file is, and the next commands."""

import shlex
from collections import Counter

from rich.console import Console

from tuner.execution.plan import SearchOutcome
from tuner.run.components import components_in
from tuner.run.records import counts_as_finished, front_trials
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import SearchConfig
from tuner.terminal.ensemble import ensemble_lines, headed, one_group_note
from tuner.terminal.pareto import pareto_texts
from tuner.terminal.reference import reference_lines
from tuner.terminal.tables import leaderboard_table, plain_console, printable
from tuner.text import count_text, format_duration

_SHOWN_ROWS = 10


def print_outcome(outcome: SearchOutcome, config: SearchConfig) -> int:
    """Prints how the search ended; returns the exit code."""
    console = plain_console()
    run = outcome.run
    board = run.leaderboard()
    if len(board):
        table = leaderboard_table(
            board.head(_SHOWN_ROWS), config.space.varied_names, run.objectives
        )
        console.print(table)
        more = len(board) - _SHOWN_ROWS
        console.print(f"… and {more} more" if more > 0 else "")
    texts = pareto_texts(run.objectives, front_trials(run.pareto, run.objectives))
    if "front" in texts:
        _print(console, f"Front:       {texts['front']}")
    counts = Counter(map(TrialStatus, board["status"]))
    lines = ensemble_lines(run.ensemble, counts, run.objectives)
    for line in headed("Ensemble:", lines, width=13):
        _print(console, line)
    for line in reference_lines(run.reference, width=12):
        _print(console, line)
    for line in headed("Note:", one_group_note(run.ensemble, run.reference), width=13):
        _print(console, line)
    components = components_in(run.reader)
    if components is not None:
        metric = run.space.metric
        _print(console, f"Differences: {components.text(metric)} (standard deviations of scores)")
        _print(console, f"             {components.advice(metric, run.ensemble)}")
    folder = shlex.quote(str(run.folder))
    finished = sum(counts_as_finished(trial) for trial in run.study.get_trials(deepcopy=False))
    if outcome.reason in {SessionEnd.INTERRUPTED, SessionEnd.STOPPED}:
        _print(
            console,
            f"Stopped. {count_text(finished, 'finished trial')} kept in {folder}; "
            "type the same command again to continue.",
        )
        return 128 + outcome.signal_number if outcome.signal_number is not None else 0
    if outcome.reason is SessionEnd.BUDGET_WAS_USED:
        _print(console, f"The budget of {folder} was used up before; a larger one continues it.")
    _print(console, f"Leaderboard: {run.files.leaderboard}")
    front = " --pareto" if "front" in texts else ""
    _print(console, f"Next:        tuner leaderboard {folder}{front}")
    if run.best is not None:
        _print(console, f"             tuner confirm {folder}   (is the winner really better?)")
    if run.ensemble is not None and run.ensemble.is_average:
        _print(
            console,
            f"             tuner export {folder} --members trials   (the ensemble, as one model)",
        )
    if run.ensemble is not None and run.ensemble.is_worse_than_single:
        best = run.ensemble.members[0]
        _print(
            console,
            f"             tuner export {folder} --members trials --ensemble 1   (trial {best} alone, which scored "
            "better)",
        )
    is_member = run.ensemble is not None and run.ensemble.with_reference is not None
    if is_member and run.reference is not None and run.reference.is_unbeaten:
        _print(
            console,
            f"             tuner export {folder} --members reference   (the reference, which none is shown to beat)",
        )
    settings = shlex.quote(str(run.files.run_file))
    twice = _twice(config, finished, run.reader.seconds)
    _print(console, f"             tuner search --config {settings} {twice}   (continues it)")
    return 0


def _twice(config: SearchConfig, finished: int, seconds: float) -> str:
    """The flag that doubles the budget of this kind, or the used budget if that is more."""
    if config.time_budget is not None:
        return f"--time-budget {format_duration(2 * max(config.time_budget, seconds))}"
    return f"--trials {2 * max(config.trial_budget or 0, finished)}"


def _print(console: Console, text: str) -> None:
    """Prints a line to copy from: it is never wrapped, and brackets in it are no markup."""
    console.print(printable(text), soft_wrap=True)
