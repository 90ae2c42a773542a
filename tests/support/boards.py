"""Leaderboards of studies in memory, for tests: of trials with known figures."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import optuna
import pandas as pd

from tuner.run.leaderboard import leaderboard
from tuner.run.records import StudyReader
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.study import SearchStudy
from tuner.settings.config import SamplerName
from tuner.settings.metric import Metric, MetricName, Mode
from tuner.settings.objectives import Cost, MetricAlone, MetricAndCost
from tuner.settings.space import SearchSpace

ACCURACY = Metric()
BY_ACCURACY = MetricAlone(ACCURACY)
LOSS = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
CONTRACT_BEFORE = (
    *("rank", "trial", "status", "architecture", "score", "val_accuracy", "val_loss"),
    *("best_epoch", "epochs", "seconds", "seconds_per_epoch", "weights"),
)
CONTRACT_AFTER = (
    "baseline",
    "tries",
    "seed",
    "host",
    "device",
    "started",
    "error",
    "score_error",
    "starter",
)


def in_memory(space: SearchSpace) -> SearchStudy:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    inner = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    inner.set_user_attr("space", space.to_mapping())
    return SearchStudy(inner, space, seed=0, sampler=SamplerName.RANDOM, workers=1)


def metrics(accuracy: float, **others: float) -> dict[str, float]:
    return {
        "loss": 0.4,
        "accuracy": 0.9,
        "val_loss": 0.3,
        "val_accuracy": accuracy,
        "val_f1": 0.8,
        "seconds": 2.0,
        **others,
    }


def begin(study: SearchStudy, architecture: str = "lstm", **parameters: float) -> optuna.Trial:
    given = {"architecture": architecture, "learning_rate": 1e-3, "lstm_units": 32, **parameters}
    study.study.enqueue_trial(given)
    trial = study.ask()
    study.space.suggest(trial)
    study.record_facts(trial, TrialFacts(seed=7, host="node", device="cpu", weights=1234))
    return trial


def run(study: SearchStudy, *accuracies: float, **parameters: Any) -> None:
    """A complete trial with these epochs."""
    trial = begin(study, **parameters)
    for epoch, accuracy in enumerate(accuracies, start=1):
        study.report(trial, epoch, metrics(accuracy))
    study.finish(trial, TrialStatus.COMPLETE)


def board_of(study: SearchStudy) -> pd.DataFrame:
    return leaderboard(StudyReader(study.study))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


BY_TWO = MetricAndCost(Metric(), Cost.WEIGHTS)


def by_two(space: SearchSpace, *trials: tuple[float | None, int]) -> StudyReader:
    """A search by score and weights; without a score the trial failed."""
    inner = optuna.create_study(directions=BY_TWO.directions, pruner=optuna.pruners.NopPruner())
    inner.set_user_attr("space", space.to_mapping())
    inner._storage.set_study_system_attr(inner._study_id, "study:metric_names", BY_TWO.names)
    study = SearchStudy(inner, space, seed=0, sampler=SamplerName.RANDOM, workers=1)
    for score, weights in trials:
        trial = begin(study)
        study.record_facts(trial, TrialFacts(seed=7, host="node", device="cpu", weights=weights))
        if score is not None:
            study.report(trial, 1, metrics(score))
        study.finish(trial, TrialStatus.FAILED if score is None else TrialStatus.COMPLETE, "why")
    return StudyReader(inner)


def small_board(*rows: Mapping[str, Any], space: SearchSpace) -> pd.DataFrame:
    """A leaderboard of trials with these scores, statuses and filters."""
    inner = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    inner.set_user_attr("space", space.to_mapping())
    study = SearchStudy(inner, space, seed=0, sampler=SamplerName.RANDOM, workers=1)
    for row in rows:
        name = "cnn_lstm" if "filters" in row else "lstm"
        trial = begin(study, name, **({"filters": row["filters"]} if "filters" in row else {}))
        if "score" in row:
            study.report(trial, 1, metrics(row["score"]))
        status = row.get("status", TrialStatus.COMPLETE)
        study.finish(trial, status, "why" if status is TrialStatus.FAILED else None)
    return board_of(study)
