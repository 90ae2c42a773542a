"""Chooses the next configuration, with Optuna's samplers at a cost that does not grow with the study.

TPE weighs every finished trial at every suggestion: that takes 19 ms after 100 trials and 150 ms after 1,500, in which
no other trial starts. But its model of the good trials holds at most 25 of them, and the older ones of the rest count
less and less. So it is shown only the best and the latest trials. Must not import Ray or Keras.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, assert_never

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from tuner.run.optuna_internals import PartOfStudy, random_choice
from tuner.run.records import is_interrupted
from tuner.settings.config import SamplerName
from tuner.settings.objectives import Objectives
from tuner.settings.space import ARCHITECTURE

_BEST = 25  # as many as TPE's own rule for the good ones ever takes
_LATEST = 200
_SCORED = (TrialState.COMPLETE, TrialState.PRUNED)


def make_sampler(
    name: SamplerName, objectives: Objectives, *, seed: int, workers: int
) -> optuna.samplers.BaseSampler:
    """The sampler of one trial."""
    match name:
        case SamplerName.RANDOM:
            return optuna.samplers.RandomSampler(seed=seed)
        case SamplerName.TPE:
            return _tpe(objectives, seed=seed, workers=workers)
        case _:
            assert_never(name)


def _tpe(objectives: Objectives, *, seed: int, workers: int) -> "BoundedTPESampler":
    with warnings.catch_warnings():
        # `group`, without which conditional parameters are sampled one by one, is still called experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return BoundedTPESampler(
            objectives,
            n_startup_trials=max(10, 2 * workers),
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )


class BoundedTPESampler(optuna.samplers.TPESampler):
    """TPE (Bergstra et al., 2011) of one trial, learning from the running, the 25 best and the latest 200 trials."""

    def __init__(self, objectives: Objectives, *, n_startup_trials: int, **options: Any) -> None:
        super().__init__(n_startup_trials=n_startup_trials, **options)
        self._objectives = objectives
        self._startup_trials = n_startup_trials
        self._shown: PartOfStudy | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters of the shown trials, in groups that occur together."""
        return super().infer_relative_search_space(self._part_of(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for the parameters of the search space, learned from the shown trials."""
        return super().sample_relative(self._part_of(study), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value for a parameter that none of the shown trials has."""
        part = self._part_of(study)
        if param_name == ARCHITECTURE and _scored(part.trials) < self._startup_trials:
            return self._least_tried(study, param_distribution)
        return super().sample_independent(part, trial, param_name, param_distribution)

    def _least_tried(self, study: optuna.Study, architectures: BaseDistribution) -> str:
        """One of the architectures that the fewest trials have, so that the first few trials cover all of them.

        If each were drawn from all four, the first eight trials would leave one out in four of ten searches. Failed
        trials count, or an architecture that always fails would be drawn for ever.
        """
        assert isinstance(architectures, CategoricalDistribution)
        trials = study.get_trials(deepcopy=False)
        tried = Counter(t.params.get(ARCHITECTURE) for t in trials if not is_interrupted(t))
        fewest = min(tried[name] for name in architectures.choices)
        candidates = [name for name in architectures.choices if tried[name] == fewest]
        return str(candidates[random_choice(self, len(candidates))])

    def _part_of(self, study: optuna.Study) -> Any:
        if self._shown is None:
            trials = best_and_latest(study.get_trials(deepcopy=False), self._objectives)
            self._shown = PartOfStudy(study, trials)
        return self._shown


def _scored(trials: Sequence[FrozenTrial]) -> int:
    """How many of the trials have a score that TPE learns from."""
    return sum(trial.state in _SCORED for trial in trials)


def best_and_latest(trials: Sequence[FrozenTrial], objectives: Objectives) -> list[FrozenTrial]:
    """The running trials, the best complete ones and the latest finished ones with a score, by number."""
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    leading = objectives.leading([trial.values for trial in complete], _BEST)
    best = [complete[position] for position in leading]
    latest: list[FrozenTrial] = []
    for trial in reversed(trials):
        if len(latest) == _LATEST:
            break
        if trial.state in _SCORED:
            latest.append(trial)
    chosen = {trial.number: trial for trial in (*running, *best, *latest)}
    return [chosen[number] for number in sorted(chosen)]
