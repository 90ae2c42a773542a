"""Stops unpromising trials by asynchronous successive halving, at a cost that does not grow with the study.

Optuna's own pruner reads every trial of the study at every rung and compares the values of the rung's epoch. This one
keeps the rungs in memory and compares scores, those of the best epoch so far: an LSTM's accuracy swings from epoch to
epoch. Must not import Ray or Keras.
"""

import math
from bisect import bisect_left, insort
from typing import assert_never

import optuna
from optuna.trial import FrozenTrial

from tuner.run.attributes import Attribute
from tuner.run.optuna_internals import rung_attribute, set_system_attribute
from tuner.run.records import is_interrupted
from tuner.run.study_records import number_in
from tuner.settings.config import PrunerName
from tuner.settings.metric import Metric

_REDUCTION_FACTOR = 3


def make_pruner(name: PrunerName, max_epochs: int, metric: Metric) -> optuna.pruners.BasePruner:
    """The pruner of a study whose trials take up to `max_epochs` and report `metric`."""
    match name:
        case PrunerName.HALVING:
            return HalvingPruner(metric)
        case PrunerName.HYPERBAND:
            return optuna.pruners.HyperbandPruner(
                min_resource=1, max_resource=max_epochs, reduction_factor=_REDUCTION_FACTOR
            )
        case PrunerName.NONE:
            return optuna.pruners.NopPruner()
        case _:
            assert_never(name)


class HalvingPruner(optuna.pruners.BasePruner):
    """Asynchronous successive halving (Li et al., 2020, "ASHA"), with r = 1 epoch and eta = 3.

    Rung k lies at epoch 3^k. A trial that reaches it goes on if fewer than a third of all trials that ever reached it
    have a better score; before three have reached it, if none has.

    Between two rungs a trial is compared again at its last rung, with its best score so far. The paper compares once.
    But the first trials of a search reach a rung before any other trial, and would all train to the end. A trial that
    is behind one that trained for fewer epochs has had more than a fair chance.

    For one study and one process: it does not see trials that another process adds.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._costs: dict[int, list[float]] | None = (
            None  # by rung, ascending: the best score first
        )

    def forget(self) -> None:
        """Reads the rungs from the study again at the next call of `prune`."""
        self._costs = None

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Records the trial's score at the rungs that it has reached; True when it should stop here."""
        step = trial.last_step
        if step is None:
            return False
        if self._costs is None:
            self._costs = self._costs_in(study)
        values = [value for value in trial.intermediate_values.values() if not math.isnan(value)]
        if not values:
            return True
        score = self._metric.best(values)
        cost = self._metric.as_cost(score)
        rung = _rungs_reached(trial)
        while step >= _REDUCTION_FACTOR**rung:
            set_system_attribute(study, trial, rung_attribute(rung), score)
            insort(self._costs.setdefault(rung, []), cost)
            if _is_behind(cost, self._costs[rung]):
                return True
            rung += 1
        return rung > 0 and _is_behind(cost, self._costs[rung - 1])

    def _costs_in(self, study: optuna.Study) -> dict[int, list[float]]:
        """The costs of the study's trials at each rung.

        Interrupted trials run again, so they do not count twice. The score of a trial that broke is no evidence of its
        configuration: a high rate may lead at the first rung and diverge at the second.
        """
        costs: dict[int, list[float]] = {}
        for trial in study.get_trials(deepcopy=False):
            has_broken = Attribute.STATUS in trial.user_attrs
            if not is_interrupted(trial) and not has_broken:
                for rung in range(_rungs_reached(trial)):
                    score = number_in(trial.system_attrs, rung_attribute(rung))
                    costs.setdefault(rung, []).append(self._metric.as_cost(score))
        return {rung: sorted(values) for rung, values in costs.items()}


def _is_behind(cost: float, costs: list[float]) -> bool:
    """Whether a third of `costs` (ascending), or any of fewer than three, are less."""
    return bisect_left(costs, cost) >= max(1, len(costs) // _REDUCTION_FACTOR)


def _rungs_reached(trial: FrozenTrial) -> int:
    rung = 0
    while rung_attribute(rung) in trial.system_attrs:
        rung += 1
    return rung
