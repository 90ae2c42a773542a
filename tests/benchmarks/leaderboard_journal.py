"""Writes the journal of a long search in seconds: the entries that a search of toy trials appends, made up."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from tuner.run.attributes import Attribute
from tuner.settings.space import SearchSpace

MOST_EPOCHS = 3
_START = datetime(2026, 1, 1, tzinfo=UTC)


def write_journal(path: Path, space: SearchSpace, trials: int, seed: int = 0) -> None:
    """Appends `trials` trials of up to `MOST_EPOCHS` epochs, made up, to the study in `path`."""
    rng = random.Random(seed)
    with open(path, "a", encoding="utf-8") as journal:
        for number in range(trials):
            for entry in _trial(number, space, rng):
                journal.write(json.dumps(entry, separators=(",", ":")) + "\n")


def _trial(number: int, space: SearchSpace, rng: random.Random) -> Iterator[dict[str, Any]]:
    """The entries of one trial, in the order in which a search appends them."""
    worker = {"worker_id": "00000000-0000-0000-0000-000000000000-140102729005952"}
    start = _START + timedelta(seconds=number)

    def of_trial(operation: JournalOperation, **content: object) -> dict[str, Any]:
        return {"op_code": int(operation), **worker, "trial_id": number, **content}

    yield {
        "op_code": int(JournalOperation.CREATE_TRIAL),
        **worker,
        "study_id": 0,
        "datetime_start": start.isoformat(),
    }
    suggested = _Suggests(rng)
    space.suggest(suggested)
    shown = {name: value for name, (value, *_) in suggested.values.items()}
    yield of_trial(
        JournalOperation.SET_TRIAL_SYSTEM_ATTR,
        system_attr={"tpe:relative_params:0": json.dumps(shown)},
    )
    for name, (_, internal, distribution) in suggested.values.items():
        yield of_trial(
            JournalOperation.SET_TRIAL_PARAM,
            param_name=name,
            param_value_internal=internal,
            distribution=distribution,
        )
    facts = {"seed": number, "host": "node", "device": "cpu", "weights": 339725}
    yield of_trial(JournalOperation.SET_TRIAL_USER_ATTR, user_attr={Attribute.FACTS: facts})
    accuracy = rng.uniform(0.5, 0.8)
    epochs = rng.randint(1, MOST_EPOCHS)
    for epoch in range(1, epochs + 1):
        accuracy += rng.uniform(0.0, 0.05)
        figures = {
            "loss": 1 - accuracy,
            "accuracy": accuracy,
            "val_loss": 1.01 - accuracy,
            "val_accuracy": accuracy,
            "val_f1": accuracy,
            "seconds": 0.4 + rng.random(),
        }
        yield of_trial(
            JournalOperation.SET_TRIAL_USER_ATTR, user_attr={f"{Attribute.EPOCH}{epoch}": figures}
        )
        yield of_trial(
            JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE, step=epoch, intermediate_value=accuracy
        )
        yield of_trial(
            JournalOperation.SET_TRIAL_SYSTEM_ATTR,
            system_attr={f"completed_rung_{epoch - 1}": accuracy},
        )
    state = TrialState.COMPLETE if epochs == MOST_EPOCHS else TrialState.PRUNED
    yield of_trial(
        JournalOperation.SET_TRIAL_STATE_VALUES,
        state=int(state),
        values=[accuracy],
        datetime_complete=(start + timedelta(seconds=2)).isoformat(),
    )
    yield {
        "op_code": int(JournalOperation.SET_STUDY_USER_ATTR),
        **worker,
        "study_id": 0,
        "user_attr": {Attribute.SECONDS: float(number)},
    }


class _Suggests:
    """Draws values as a trial would, and keeps each with its internal form and its distribution as JSON."""

    def __init__(self, rng: random.Random) -> None:
        self.values: dict[str, tuple[Any, float, str]] = {}
        self._rng = rng

    def suggest_float(self, name: str, low: float, high: float, **kind: Any) -> float:
        drawn = self._rng.uniform(low, high)
        return self._keep(name, drawn, optuna.distributions.FloatDistribution(low, high, **kind))

    def suggest_int(self, name: str, low: int, high: int, **kind: Any) -> int:
        drawn = self._rng.randint(low, high)
        return self._keep(name, drawn, optuna.distributions.IntDistribution(low, high, **kind))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        value = self._rng.choice(list(choices))
        return self._keep(name, value, optuna.distributions.CategoricalDistribution(choices))

    def _keep(self, name: str, value: Any, distribution: Any) -> Any:
        internal = distribution.to_internal_repr(value)
        self.values[name] = (value, internal, distribution_to_json(distribution))
        return value
