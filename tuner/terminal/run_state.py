"""The state of a run in words and as JSON, for `tuner status`."""

import json
import shlex

from tuner.run.folder import RunFolder
from tuner.run.state import Activity, RunningTrial, RunState
from tuner.settings.hyperparameters import module_options
from tuner.terminal.ensemble import ensemble_lines, headed, one_group_note
from tuner.terminal.pareto import pareto_texts
from tuner.terminal.reference import reference_lines
from tuner.text import count_text, escaped_json, format_duration, score_text

_SHOWN_TRIALS = 8


def state_lines(state: RunState) -> list[str]:
    """A run's state in words, one line per fact."""
    shares = [f"{count} {status}" for status, count in sorted(state.counts.items())]
    if state.running:
        shares.append(f"{len(state.running)} {_running_word(state)}")
    of_trials = f" of {state.trial_budget}" if state.trial_budget is not None else ""
    of_time = f" of {format_duration(state.time_budget_s)}" if state.time_budget_s else ""
    lines = [
        f"run         {state.folder}",
        f"state       {_in_words(state)}",
        f"trials      {state.finished}{of_trials}" + (f": {', '.join(shares)}" if shares else ""),
        f"searched    {format_duration(state.seconds)}{of_time}",
    ]
    lines += [
        f"{'' if place else 'running':<12}{line}"
        for place, line in enumerate(_running_lines(state))
    ]
    if state.best is not None:
        best = state.best
        lines.append(
            f"best        {score_text(best.score)} (trial {best.number}, {best.architecture})"
        )
    texts = pareto_texts(state.objectives, state.front)
    lines += [f"{name:<12}{text}" for name, text in texts.items()]
    ensemble = ensemble_lines(state.ensemble, state.counts, state.objectives)
    lines += headed("ensemble", ensemble, width=12)
    lines += reference_lines(state.reference, heading="reference", width=11)
    lines += headed("note", one_group_note(state.ensemble, state.reference), width=12)
    lines += [f"trouble     {each}" for each in state.troubles]
    return [*lines, f"last event  {format_duration(state.quiet_s)} ago"]


def state_json(state: RunState) -> str:
    """A run's state as JSON."""
    best = state.best
    content = {
        "run": str(state.folder),
        "state": state.activity,
        "owner": state.owner,
        "trials": dict(state.counts),
        "finished": state.finished,
        "running": len(state.running),
        "running_trials": [_running_json(each) for each in state.running],
        "trial_budget": state.trial_budget,
        "searched_s": state.seconds,
        "time_budget_s": state.time_budget_s,
        "best": None
        if best is None
        else {"trial": best.number, "architecture": best.architecture, "score": best.score},
        "ensemble": None if state.ensemble is None else state.ensemble.model_dump(mode="json"),
        "reference": None if state.reference is None else state.reference.model_dump(mode="json"),
        **_pareto(state),
        "quiet_s": round(state.quiet_s, 1),
        "troubles": list(state.troubles),
    }
    return escaped_json(json.dumps(content, indent=2, ensure_ascii=False))


def _pareto(state: RunState) -> dict[str, object]:
    """The keys for a search with a cost; none for another search."""
    if not state.objectives.costs:
        return {}
    (cost,) = state.objectives.costs
    front = [
        {
            "trial": each.number,
            "architecture": each.architecture,
            "score": each.score,
            str(cost): each.cost,
        }
        for each in state.front
    ]
    return {"objectives": state.objectives.names, "pruner": state.pruner, "pareto": front}


def _in_words(state: RunState) -> str:
    settings = shlex.quote(str(RunFolder(state.folder).run_file))
    command = f"tuner search --config {settings}{module_options(state.architectures)}"
    match state.activity:
        case Activity.SEARCHING:
            return f"searching ({state.owner})"
        case Activity.BUSY:
            return f"busy: a confirmation runs, or a search starts or ends ({state.owner})"
        case Activity.FINISHED if state.ended_flat:
            return f"finished: more trials would hardly help; to continue: {command} --no-stop-when-flat"
        case Activity.FINISHED:
            return "finished: its budget is used up"
        case Activity.STOPPED:
            return f"stopped; to continue: {command}"
        case Activity.DIED:
            return f"died; to continue: {command}"


def _running_lines(state: RunState) -> list[str]:
    """How far the trials of a running search are."""
    if state.activity is not Activity.SEARCHING:
        return []
    lines = [
        f"trial {each.record.number} {each.record.architecture}: {_epochs_text(each)}"
        for each in state.running[:_SHOWN_TRIALS]
    ]
    hidden = len(state.running) - len(lines)
    return [*lines, f"… and {hidden} more"] if hidden else lines


def _epochs_text(trial: RunningTrial) -> str:
    # Rounded down: a whole number has been evaluated, too.
    epochs = f"{int(10 * trial.epochs) / 10:g} of {count_text(trial.max_epochs, 'epoch')}"
    score = f", best {score_text(trial.record.score)}" if trial.record.score is not None else ""
    loss = f", training loss {score_text(trial.part.loss)}" if trial.part is not None else ""
    return f"{epochs}{score}{loss}"


def _running_json(trial: RunningTrial) -> dict[str, object]:
    part = trial.part
    return {
        "trial": trial.record.number,
        "architecture": trial.record.architecture,
        "epochs": round(trial.epochs, 3),
        "max_epochs": trial.max_epochs,
        "score": trial.record.score,
        "loss": None if part is None else part.loss,
        "accuracy": None if part is None else part.accuracy,
    }


def _running_word(state: RunState) -> str:
    return "running" if state.activity is Activity.SEARCHING else "interrupted"
