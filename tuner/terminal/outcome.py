"""What a person reads when a search has ended: the leaderboard, where it lies, what to type next."""

import shlex

from tuner.config import SearchConfig
from tuner.driver import EndReason, SearchOutcome
from tuner.terminal.tables import leaderboard_table, plain_console

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
        console.print(
            f"Stopped. {finished} finished trials are kept in {folder}; "
            "type the same command again to continue.",
            soft_wrap=True,
        )
        return 128 + (outcome.signal_number or 2)
    if outcome.reason is EndReason.BUDGET_WAS_USED:
        console.print(f"The budget of {folder} was used up before; a larger one continues it.")
    console.print(f"Leaderboard: {run.folder / 'leaderboard.csv'}", soft_wrap=True)
    console.print(f"Next:        tuner leaderboard {folder}", soft_wrap=True)
    more_trials = 2 * max(finished, config.trial_budget or 0)
    console.print(
        f"             tuner search --config {shlex.quote(str(run.folder / 'run.yaml'))} "
        f"--trials {more_trials}   (continues it)",
        soft_wrap=True,
    )
    return 0
