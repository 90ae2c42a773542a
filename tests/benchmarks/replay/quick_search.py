"""A replayed search without the product's session: its sampler and pruner over a study that only holds trials.

Most of a replay's time went into what a real search records and shows. A thousand replays need none of it. That every
arm decides as through `session_search.py`, to the last trial, is tested.
"""

import copy
from collections.abc import Container
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.run.journal import SEARCH
from tuner.search.sampler import make_sampler
from tuner.settings.config import SearchConfig
from tuner.training.spec import TrialSpec, derive_seed

from .quick_normal import quick_normal
from .tabular import Chooser
from .virtual_search import VirtualClock


class QuickSearch:
    """See `Search`.

    Args:
        seed: the search's.
        workers: how many trials run at once.
    """

    def __init__(
        self,
        chooser: Chooser,
        config: SearchConfig,
        pruner: optuna.pruners.BasePruner,
        *,
        seed: int,
        workers: int,
    ) -> None:
        self.clock = VirtualClock()
        self._chooser = chooser
        self._config = config
        self._seed = seed
        self._workers = workers
        self._running = 0
        self._metric = config.space.metric
        self._prunes = not isinstance(pruner, optuna.pruners.NopPruner)
        # One for all trials: they differ in nothing that `is_over` asks for.
        hyperparameters = chooser.recorded.hyperparameters[0]
        self._spec = TrialSpec(
            0, hyperparameters, seed, config.epochs, patience=config.patience or None
        )
        self._storage = _Trials(config.compared_by.directions)
        # With samplers and pruners of its own it would make one of each.
        self._study = _Study(SEARCH, self._storage, optuna.samplers.RandomSampler(), pruner)

    @property
    def has_more(self) -> bool:
        """See `Search`."""
        return self._chooser.has_more

    @property
    def has_room(self) -> bool:
        """See `Search`."""
        return self._running < self._workers

    @property
    def snapping(self) -> list[float]:
        """See `Search`."""
        return self._chooser.snapping

    def start_trial(self) -> tuple[int, int]:
        """See `Search`."""
        trial = self._storage.add()
        number = trial.number
        sampler = self._chooser.sampler(lambda: self._own_sampler(number))
        study = optuna.pruners._filter_study(self._study, trial) if self._prunes else self._study
        with quick_normal():
            chosen = self._chooser.choose(sampler, study, trial)
        recorded = self._chooser.recorded
        self._storage.fill(number, recorded.parameters[chosen], recorded.distributions[chosen])
        self._running += 1
        return number, chosen

    def _own_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """As `SearchStudy.ask` makes it."""
        return make_sampler(
            self._config.sampler,
            self._config.compared_by,
            number=number,
            seed=derive_seed(self._seed, f"sampler {number}"),
            workers=self._workers,
        )

    def end_epoch(self, trial: int, epoch: int, accuracy: float, loss: float) -> bool:
        """See `Search`."""
        value = loss if self._metric.name == "val_loss" else accuracy
        frozen = self._storage.trials[trial]
        frozen.intermediate_values[epoch] = value
        return self._prunes and self._study.pruner.prune(self._study, frozen)

    def is_over(self, trial: int, losses: list[float]) -> bool:
        """See `Search`."""
        return self._spec.is_over(losses)

    def end_trial(self, trial: int, *, is_pruned: bool) -> None:
        """See `Search`."""
        self._running -= 1
        values = list(self._storage.trials[trial].intermediate_values.values())
        state = TrialState.PRUNED if is_pruned else TrialState.COMPLETE
        self._storage.end(trial, state, values[-1] if is_pruned else self._metric.best(values))

    def close(self) -> None:
        """See `Search`."""


class _Study(optuna.Study):
    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study_id, deepcopy, states)


class _Trials:
    """The part of Optuna's storage that samplers and pruners use, in memory and without copies.

    As in Optuna's own, a trial whose attributes change is another object, so that who holds a list of trials does not
    see the change.
    """

    def __init__(self, directions: Any) -> None:
        self.trials: list[FrozenTrial] = []
        self._directions = [StudyDirection[each.upper()] for each in directions]

    def add(self) -> FrozenTrial:
        number = len(self.trials)
        trial = FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=None,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        self.trials.append(trial)
        return trial

    def fill(
        self, number: int, parameters: Any, distributions: dict[str, BaseDistribution]
    ) -> None:
        trial = self.trials[number]
        trial.params = parameters
        trial.distributions = distributions

    def end(self, number: int, state: TrialState, value: float) -> None:
        trial = copy.copy(self.trials[number])
        trial.state = state
        trial.value = value
        self.trials[number] = trial

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self.trials if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = copy.copy(self.trials[trial_id])
        trial.system_attrs = {**trial.system_attrs, key: value}
        self.trials[trial_id] = trial
