"""What stops unpromising trials: asynchronous successive halving, at a cost that does not grow with the study.

Optuna's own rule reads every trial of the study at every rung, and compares the values of the rung's epoch. Ours
keeps the rungs at hand, and compares scores, which here are always those of the best epoch so far: an LSTM's
accuracy swings from epoch to epoch.
"""

import math
from bisect import bisect_right, insort

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from tuner.run.records import is_cut_off, number_in
from tuner.settings.config import PrunerName

_REDUCTION_FACTOR = 3


def make_pruner(name: PrunerName, max_epochs: int) -> optuna.pruners.BasePruner:
    """The pruner of a study whose trials take up to `max_epochs`."""
    if name is PrunerName.HALVING:
        return HalvingPruner()
    if name is PrunerName.HYPERBAND:
        return optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=max_epochs, reduction_factor=_REDUCTION_FACTOR
        )
    return optuna.pruners.NopPruner()


class HalvingPruner(optuna.pruners.BasePruner):
    """Asynchronous successive halving (Li et al., 2020, "ASHA"), with r = 1 epoch and eta = 3.

    Rung k lies at epoch 3^k. Whoever reaches it goes on if fewer than a third of all that ever reached it
    have a better score; while they are not yet three, if none has.

    Between two rungs it is asked the same of the last one, with its best score so far. The paper does not ask again.
    But a search's first trials come to a rung before anybody whom to measure them against, and would all train to the
    end. Who comes behind somebody who trained for fewer epochs has had more than a fair chance.

    For one study and one process: what other processes add is not seen.
    """

    def __init__(self) -> None:
        self._scores: dict[int, list[float]] | None = None  # by rung, ascending, higher is better

    def forget(self) -> None:
        """Has the next question read the rungs from the study again."""
        self._scores = None

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Notes the trial's score at the rungs that it has reached; True when it should stop there."""
        step = trial.last_step
        if step is None:
            return False
        if self._scores is None:
            self._scores = _scores_of(study)
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        values = [sign * v for v in trial.intermediate_values.values() if not math.isnan(v)]
        if not values:
            return True
        score = max(values)
        rung = _rungs_reached(trial)
        while step >= _REDUCTION_FACTOR**rung:
            study._storage.set_trial_system_attr(trial._trial_id, _key(rung), sign * score)
            insort(self._scores.setdefault(rung, []), score)
            if _is_behind(score, self._scores[rung]):
                return True
            rung += 1
        return rung > 0 and _is_behind(score, self._scores[rung - 1])


def _is_behind(score: float, scores: list[float]) -> bool:
    """Whether a third of `scores`, ascending, or of less than three anyone, is better."""
    better = len(scores) - bisect_right(scores, score)
    return better >= max(1, len(scores) // _REDUCTION_FACTOR)


def _scores_of(study: optuna.Study) -> dict[int, list[float]]:
    """What the study's trials scored at each rung. Cut-off trials run again, so they do not count twice."""
    sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
    scores: dict[int, list[float]] = {}
    for trial in study.get_trials(deepcopy=False):
        if not is_cut_off(trial):
            for rung in range(_rungs_reached(trial)):
                scores.setdefault(rung, []).append(sign * number_in(trial.system_attrs, _key(rung)))
    return {rung: sorted(values) for rung, values in scores.items()}


def _rungs_reached(trial: FrozenTrial) -> int:
    rung = 0
    while _key(rung) in trial.system_attrs:
        rung += 1
    return rung


def _key(rung: int) -> str:
    """As Optuna's own rule names it."""
    return f"completed_rung_{rung}"
