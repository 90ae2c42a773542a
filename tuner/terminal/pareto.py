"""Two objectives in words: their names, that nothing is pruned, and the two ends of the front."""

from collections.abc import Mapping, Sequence

from tuner.settings.objectives import Cost, FrontTrial, Objectives
from tuner.text import cost_text, score_text


def pareto_texts(objectives: Objectives, front: Sequence[FrontTrial]) -> Mapping[str, str]:
    """The texts of a search with a cost, by heading; empty where the metric is the only objective."""
    if not objectives.costs:
        return {}
    (cost,) = objectives.costs
    name, mode = objectives.metric.name, objectives.metric.mode
    return {
        "front": _front_text(front, cost),
        "objectives": f"{name} ({mode}), {cost} (min)",
        "pruner": f"no pruning, because a trial that is behind in {name} may still be on the front: each takes all its "
        "epochs, or ends by its own --patience",
    }


def _front_text(front: Sequence[FrontTrial], cost: Cost) -> str:
    """How many trials are on the front, and the two at its ends."""
    if not front:
        return "no trial yet"
    if len(front) == 1:
        return f"1 trial: {_trial_text(front[0], cost)}"
    return f"{len(front)} trials, {_trial_text(front[0], cost)} to {_trial_text(front[-1], cost)}"


def _trial_text(trial: FrontTrial, cost: Cost) -> str:
    return (
        f"{score_text(trial.score)} with {cost_text(trial.cost)} {cost.unit} "
        f"(trial {trial.number}, {trial.architecture})"
    )
