"""A replayed search through the product's own session and study, in memory: what `quick_search.py` must equal."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from tuner.run.attributes import Attribute
from tuner.run.events import SilentListener
from tuner.run.journal import SEARCH
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.session import SearchSession
from tuner.search.study import SearchStudy
from tuner.settings.config import SearchConfig
from tuner.training.spec import EpochResult, TrialSpec

from .tabular import Chooser, Picker, Sampler
from .virtual_search import VirtualClock


class SessionSearch:
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
        self._specs: dict[int, TrialSpec] = {}
        study = _study_in_memory(config)
        study.pruner = pruner
        self._session = SearchSession(
            _TabularStudy(study, chooser, seed=seed, sampler=config.sampler, workers=workers),
            config,
            workers=lambda: workers,
            listener=SilentListener(),
            clock=self.clock,
            wall_clock=self.clock,
        )

    @property
    def has_more(self) -> bool:
        """See `Search`."""
        return self._chooser.has_more

    @property
    def has_room(self) -> bool:
        """See `Search`."""
        return self._session.has_budget and self._session.has_room

    @property
    def snapping(self) -> list[float]:
        """See `Search`."""
        return self._chooser.snapping

    def start_trial(self) -> tuple[int, int]:
        """See `Search`."""
        spec = self._session.start_trial()
        self._session.begin_trial(spec.number)
        self._specs[spec.number] = spec
        return spec.number, self._chooser.chosen[spec.number]

    def end_epoch(self, trial: int, epoch: int, accuracy: float, loss: float) -> bool:
        """See `Search`. Figures of the training batches are not recorded; nothing decides by them."""
        if epoch == 1:
            self._session.record_facts(
                trial, TrialFacts(seed=0, host="replay", device="cpu", weights=0)
            )
        result = EpochResult(
            epoch=epoch,
            loss=loss,
            accuracy=accuracy,
            val_loss=loss,
            val_accuracy=accuracy,
            val_f1=accuracy,
            seconds=0.0,
        )
        return self._session.end_epoch(trial, result)

    def is_over(self, trial: int, losses: list[float]) -> bool:
        """See `Search`."""
        return self._specs[trial].is_over(losses)

    def end_trial(self, trial: int, *, is_pruned: bool) -> None:
        """See `Search`."""
        status = TrialStatus.PRUNED if is_pruned else TrialStatus.COMPLETE
        self._session.end_trial(trial, status)

    def close(self) -> None:
        """See `Search`."""
        self._session.close(SessionEnd.BUDGET_USED)


def _study_in_memory(config: SearchConfig) -> optuna.Study:
    """A study of the search, empty; made as `create_or_open_study` makes one in a journal."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=SEARCH, directions=config.compared_by.directions)
    study.set_user_attr(Attribute.SPACE, config.space.to_mapping())
    return study


class _TabularStudy(SearchStudy):
    """A study whose trials get recorded configurations."""

    def __init__(self, study: optuna.Study, chooser: Chooser, **settings: Any) -> None:
        super().__init__(study, chooser.recorded.space, **settings)
        self._chooser = chooser

    def ask(self) -> optuna.Trial:
        """See `SearchStudy.ask`; the trial's parameters will be recorded ones."""
        trial = super().ask()
        own = self.study.sampler
        self.study.sampler = _TabularSampler(self._chooser, self._chooser.sampler(lambda: own))
        return trial


class _TabularSampler(Sampler):
    """Gives one trial the parameters that were chosen for it."""

    def __init__(self, chooser: Chooser, sampler: Sampler | Picker | None) -> None:
        self._chooser = chooser
        self._sampler = sampler
        self._values: Mapping[str, Any] | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if self._values is None:
            chosen = self._chooser.choose(self._sampler, study, trial)
            self._values = self._chooser.recorded.parameters[chosen]
        return self._values[param_name]
