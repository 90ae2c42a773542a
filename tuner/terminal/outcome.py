"""The end of a search on the terminal: the leaderboard, where its file is, and the next commands."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console

from tuner.execution.plan import SearchOutcome
from tuner.run import Run
from tuner.run.components import Components, components_in
from tuner.run.records import counts_as_finished, front_trials
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import SearchConfig
from tuner.settings.hyperparameters import module_options
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
    counts, components = Counter(map(TrialStatus, board["status"])), components_in(run.reader)
    _print(console, _found(run, counts, components, texts.get("front")))
    folder = shlex.quote(str(run.folder))
    finished = sum(counts_as_finished(trial) for trial in run.study.get_trials(deepcopy=False))
    if outcome.reason in {SessionEnd.INTERRUPTED, SessionEnd.STOPPED}:
        kept = f"Stopped. {count_text(finished, 'finished trial')} kept in {folder}"
        _print(console, [f"{kept}; type the same command again to continue."])
        return 128 + outcome.signal_number if outcome.signal_number is not None else 0
    if outcome.reason is SessionEnd.BUDGET_WAS_USED:
        _print(console, [f"The budget of {folder} was used up before; a larger one continues it."])
    _print(console, [f"Leaderboard: {run.files.leaderboard}"])
    front = " --pareto" if "front" in texts else ""
    settings = shlex.quote(str(run.files.run_file))
    modules = module_options(run.space.architectures)
    ended_flat = config.stop_when_flat and components is not None and components.is_flat
    further = _further(config, finished, run.reader.seconds, ended_flat=ended_flat)
    commands = [
        f"tuner leaderboard {folder}{front}",
        *_commands_for_a_model(run, folder),
        f"tuner search --config {settings} {further}{modules}   # continues it",
    ]
    _print(console, headed("Next:", commands, width=13))
    return 0


def _found(
    run: Run, counts: Mapping[TrialStatus, int], components: Components | None, front: str | None
) -> list[str]:
    """What the search has found beside its trials, line by line."""
    lines = [f"Front:       {front}"] if front is not None else []
    lines += headed("Ensemble:", ensemble_lines(run.ensemble, counts, run.objectives), width=13)
    lines += reference_lines(run.reference, width=12)
    lines += headed("Note:", one_group_note(run.ensemble, run.reference), width=13)
    if components is not None:
        metric = run.space.metric
        differences = f"{components.text(metric)} (standard deviations of scores)"
        advice = components.advice(metric, run.ensemble)
        lines += headed("Differences:", [differences, advice], width=13)
    return lines


def _commands_for_a_model(run: Run, folder: str) -> Iterator[str]:
    """The commands that lead from here to a model; what follows # is a comment to a shell, too."""
    modules = module_options(run.space.architectures)
    if run.best is not None:
        yield f"tuner confirm {folder}{modules}   # is the winner really better?"
    ensemble = run.ensemble
    if ensemble is None:
        return
    if ensemble.is_average:
        yield f"tuner export {folder} --members trials{modules}   # the ensemble, as one model"
    if ensemble.is_worse_than_single:
        alone = f"trial {ensemble.members[0]} alone, which scored better"
        yield f"tuner export {folder} --members trials --ensemble 1{modules}   # {alone}"
    reference = run.reference if ensemble.with_reference is not None else None
    if reference is not None and reference.is_unbeaten:
        unbeaten = "the reference, which none is shown to beat"
        yield f"tuner export {folder} --members reference   # {unbeaten}"


def _further(config: SearchConfig, finished: int, seconds: float, *, ended_flat: bool) -> str:
    """The flags without which a search that is continued would end at once."""
    if not ended_flat:
        return _twice(config, finished, seconds)
    is_used = config.is_budget_used(trials=finished, seconds=seconds)
    twice = f" {_twice(config, finished, seconds)}" if is_used else ""
    return f"--no-stop-when-flat{twice}"


def _twice(config: SearchConfig, finished: int, seconds: float) -> str:
    """The flag that doubles the budget of this kind, or the used budget if that is more."""
    if config.time_budget is not None:
        return f"--time-budget {format_duration(2 * max(config.time_budget, seconds))}"
    return f"--trials {2 * max(config.trial_budget or 0, finished)}"


def _print(console: Console, lines: Iterable[str]) -> None:
    """Prints lines to copy from: they are never wrapped, and brackets in them are no markup."""
    for line in lines:
        console.print(printable(line), soft_wrap=True)
