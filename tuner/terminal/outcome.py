"""What a person reads when a search has ended: the leaderboard, where it lies, what to type next."""

import shlex

from rich.console import Console

from tuner.config import SearchConfig
from tuner.driver.search import EndReason, SearchOutcome
from tuner.terminal.tables import leaderboard_table, plain_console, printable

_SHOWN_ROWS = 10


def print_outcome(outcome: SearchOutcome, config: SearchConfig) -> int:
    """Prints how the search ended; returns the exit code."""
    console = plain_console()
    run = outcome.run
    board = run.leaderboard()
    if len(board):
        console.print(leaderboard_table(board.head(_SHOWN_ROWS), config.space.parameter_names))
        more = len(board) - _SHOWN_ROWS
        console.print(f"… and {more} more" if more > 0 else "")
    folder = shlex.quote(str(run.folder))
    finished = int((board["status"] != "running").sum()) if len(board) else 0
    if outcome.reason is EndReason.INTERRUPTED:
        _say(
            console,
            f"Stopped. {finished} finished trials are kept in {folder}; "
            "type the same command again to continue.",
        )
        return 128 + (outcome.signal_number or 2)
    if outcome.reason is EndReason.BUDGET_WAS_USED:
        _say(console, f"The budget of {folder} was used up before; a larger one continues it.")
    _say(console, f"Leaderboard: {run.folder / 'leaderboard.csv'}")
    _say(console, f"Next:        tuner leaderboard {folder}")
    more_trials = 2 * max(finished, config.trial_budget or 0)
    _say(
        console,
        f"             tuner search --config {shlex.quote(str(run.folder / 'run.yaml'))} "
        f"--trials {more_trials}   (continues it)",
    )
    return 0


def _say(console: Console, text: str) -> None:
    """A line to copy from: never broken, its brackets no markup."""
    console.print(printable(text), soft_wrap=True)
