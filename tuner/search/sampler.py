"""Chooses the next configuration, with Optuna's samplers at a cost that does not grow with the study.

TPE weighs every finished trial at every suggestion: that takes 19 ms after 100 trials and 150 ms after 1,500, in which
no other trial starts. But its model of the good trials holds at most 25 of them, and the older ones of the rest count
less and less. So it is shown only the best and the latest trials. Must not import Ray or Keras.
"""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, assert_never

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from tuner.run.optuna_internals import PartOfStudy, random_choice
from tuner.run.records import is_interrupted
from tuner.search.ordered_choices import OrderedChoices
from tuner.settings.config import SamplerName
from tuner.settings.objectives import Objectives
from tuner.settings.space import ARCHITECTURE

_BEST = 25  # as many as `_good` ever takes
_LATEST = 200
_STARTUP_TRIALS = (
    5  # drawn at random, each architecture as often; Optuna's 10 are half of a short search
)
_SCORED = (TrialState.COMPLETE, TrialState.PRUNED)


def make_sampler(
    name: SamplerName, objectives: Objectives, *, number: int, seed: int, workers: int
) -> optuna.samplers.BaseSampler:
    """The sampler of one trial.

    What TPE learns to like is soon all alike: trials whose models make the same mistakes, and an average of them gains
    nothing. So by default every second trial is drawn at random (docs/decisions/12-random-trials-by-turns.md).

    Args:
        number: the trial's.
        workers: how many trials run at once.
    """
    match name:
        case SamplerName.RANDOM:
            return optuna.samplers.RandomSampler(seed=seed)
        case SamplerName.MIXED if number % 2 and number >= _STARTUP_TRIALS:
            return optuna.samplers.RandomSampler(seed=seed)
        case SamplerName.TPE | SamplerName.MIXED:
            return _tpe(objectives, seed=seed, workers=workers)
        case _:
            assert_never(name)


def _tpe(objectives: Objectives, *, seed: int, workers: int) -> "BoundedTPESampler":
    with warnings.catch_warnings():
        # `group`, without which conditional parameters are sampled one by one, is still called experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Optuna 6 will have no `gamma`; pyproject.toml keeps Optuna 5.
        warnings.filterwarnings("ignore", "`gamma` has been deprecated", FutureWarning)
        return BoundedTPESampler(
            objectives,
            # With more than it is shown it would draw at random for ever.
            n_startup_trials=min(max(_STARTUP_TRIALS, workers // 2), _LATEST),
            gamma=_good,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )


def _good(scored: int) -> int:
    """How many of the scored trials TPE models as the good ones: the best quarter.

    Optuna takes a tenth: 2 of a search's first 20 trials, which the luckiest seeds decide.
    """
    return min(math.ceil(scored / 4), _BEST)


class BoundedTPESampler(optuna.samplers.TPESampler):
    """TPE (Bergstra et al., 2011) of one trial, learning from the running, the 25 best and the latest 200 trials."""

    def __init__(self, objectives: Objectives, *, n_startup_trials: int, **options: Any) -> None:
        super().__init__(n_startup_trials=n_startup_trials, **options)
        self._objectives = objectives
        self._startup_trials = n_startup_trials
        self._shown: PartOfStudy | None = None
        self._choices = OrderedChoices([])

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters of the shown trials, in groups that occur together."""
        space = super().infer_relative_search_space(self._part_of(study), trial)
        return self._choices.by_option(space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for the parameters of the search space, learned from the shown trials."""
        part = self._part_of(study)
        space = {name: self._choices.by_place(name, each) for name, each in search_space.items()}
        values = super().sample_relative(part, trial, space)
        return {name: self._choices.option(name, value) for name, value in values.items()}

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
        self._choices.add(param_name, param_distribution)
        distribution = self._choices.by_place(param_name, param_distribution)
        value = super().sample_independent(part, trial, param_name, distribution)
        return self._choices.option(param_name, value)

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
            self._choices = OrderedChoices(trials)
            self._shown = PartOfStudy(study, [self._choices.shown(trial) for trial in trials])
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
