"""Trials as Ray Tune shows them to its hooks, and its controller."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


@dataclass(eq=False)
class TuneTrial:
    config: dict[str, Any]
    status: str

    def is_finished(self) -> bool:
        return False


class TuneController:
    """What Tune knows of trials and processes."""

    def __init__(self, *trials: TuneTrial, starting: Collection[TuneTrial] = ()) -> None:
        self.trials = trials
        self._trial_to_actor = {trial: f"process of {trial.config['number']}" for trial in trials}
        live = [each for each in trials if each.status == "RUNNING" or each in starting]
        processes = {self._trial_to_actor[each] for each in live}
        self._started_actors = {*processes}
        self._actor_manager = SimpleNamespace(is_actor_started=processes.__contains__)

    def get_trials(self) -> list[TuneTrial]:
        return list(self.trials)

    def has_ended_process_of(self, trial: TuneTrial) -> bool:
        return self._trial_to_actor[trial] not in self._started_actors


def tune_trial(
    number: int,
    *avoided: str,
    status: str = "PENDING",
    gpus: float = 0.0,
    kind: str | None = None,
) -> TuneTrial:
    resources = {"CPU": 1.0, "GPU": gpus, **({f"accelerator_type:{kind}": 0.001} if kind else {})}
    config = {
        "number": number,
        "avoided": json.dumps(avoided),
        "resources": json.dumps(resources),
    }
    return TuneTrial(config, status)
