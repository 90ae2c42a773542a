"""Makes studies for tests: opens them as a search does and runs trials of known figures."""

from dataclasses import replace
from pathlib import Path

import optuna

from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.opening import create_or_open_study
from tuner.search.study import SearchStudy
from tuner.settings.config import PrunerName, SamplerName
from tuner.settings.objectives import Cost, make_objectives
from tuner.settings.space import SearchSpace

FACTS = TrialFacts(seed=7, host="h", device="cpu", weights=123)


def open_study(
    journal: Path,
    space: SearchSpace,
    *,
    seed: int = 0,
    sampler: SamplerName = SamplerName.TPE,
    pruner: PrunerName = PrunerName.HALVING,
    cost: Cost | None = None,
) -> SearchStudy:
    """The study in `journal`, for two workers; with a cost, by two objectives and without a pruner."""
    return create_or_open_study(
        journal,
        space,
        seed=seed,
        sampler=sampler,
        pruner=pruner if cost is None else PrunerName.NONE,
        max_epochs=9,
        workers=2,
        objectives=make_objectives(space.metric, cost),
    )


def metrics(accuracy: float) -> dict[str, float]:
    """An epoch's figures."""
    return {
        "loss": 0.5,
        "accuracy": 0.8,
        "val_loss": 1 - accuracy,
        "val_accuracy": accuracy,
        "val_f1": accuracy,
        "seconds": 2.0,
    }


def run_trial(
    study: SearchStudy,
    *accuracies: float,
    status: TrialStatus = TrialStatus.COMPLETE,
    weights: int = FACTS.weights,
) -> optuna.Trial:
    """A trial with these epochs."""
    trial = study.ask()
    study.space.suggest(trial)
    study.record_facts(trial, replace(FACTS, weights=weights))
    for epoch, accuracy in enumerate(accuracies, start=1):
        study.report(trial, epoch, metrics(accuracy))
    study.finish(trial, status, "why" if status is TrialStatus.FAILED else None)
    return trial
