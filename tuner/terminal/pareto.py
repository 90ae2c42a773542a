"""Two objectives in words: what they are, that nothing is pruned, and how far the front reaches."""

from collections.abc import Sequence

from tuner.settings.objectives import Cost, FrontTrial, Objectives
from tuner.text import cost_text, score_text


def objectives_text(objectives: Objectives) -> str:
    """Both, with the way each is better."""
    return f"{objectives.metric.name} ({objectives.metric.mode}), {objectives.cost} (min)"


def no_pruning_text(objectives: Objectives) -> str:
    """What the pruner does, and why."""
    return (
        "no pruning: every trial takes all its epochs, because one that is behind in "
        f"{objectives.metric.name} may still be on the front"
    )


def front_text(front: Sequence[FrontTrial], cost: Cost) -> str:
    """How many trials are on the front, and its ends."""
    if not front:
        return "no trial yet"
    if len(front) == 1:
        return f"1 trial: {_trial_text(front[0], cost)}"
    return f"{len(front)} trials, {_trial_text(front[0], cost)} to {_trial_text(front[-1], cost)}"


def _trial_text(trial: FrontTrial, cost: Cost) -> str:
    unit = "weights" if cost is Cost.WEIGHTS else "s an epoch"
    return (
        f"{score_text(trial.score)} with {cost_text(trial.cost)} {unit} "
        f"(trial {trial.number}, {trial.architecture})"
    )
